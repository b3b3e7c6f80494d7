//! The comments of a task, oldest first, by pages.

use std::{sync::Arc, task::Poll};

use tidemark_api::{
    Refusal,
    comments::{CommentList, ListComments},
};
use tidemark_domain::{TaskId, Workspace};
use tidemark_pages::{PageSummary, PageView};

use super::{
    TasksRole,
    board::{self, AfterComment, comments_of},
    bodies,
    reading::Reading,
};
use crate::{
    damage::readable,
    operations::{self, Answer, Call, paging},
};

pub async fn list_comments(
    role: Arc<TasksRole>,
    call: Call,
    input: ListComments,
) -> Result<Answer<CommentList>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let limit = paging::limit(input.limit, paging::DEFAULT_LIMIT, paging::LARGEST_LIMIT)?;
    let after: AfterComment = paging::position(input.cursor.as_deref())?;
    if after.page > tidemark_pages::LARGEST_PAGE {
        return Err(paging::refuse_cursor());
    }
    let workspace = &call.caller()?.workspace;
    let read = Reading::run(&role.board.pages, |reading| {
        let pages = pages(reading, workspace, id, after.page, limit);
        let task = board::task(reading, workspace, id)?;
        let (Some(pages), Poll::Ready(task)) = (pages, task) else { return Ok(Poll::Pending) };
        Ok(Poll::Ready(task.map(|_| pages)))
    });
    let pages = read.await?.ok_or_else(|| Refusal::not_found("task", id))?;
    let (comments, next) = from_pages(id, &pages, after, limit);
    Ok(CommentList { comments, next: next.as_ref().map(paging::cursor) }.into())
}

/// The pages that hold the next comments on the task, and one more of them if there are more.
fn pages(
    reading: &mut Reading,
    workspace: &Workspace,
    id: TaskId,
    from: u32,
    limit: usize,
) -> Option<Vec<Arc<PageView>>> {
    let label = id.entry();
    // What of the first page was shown before is not known here: it counts for nothing.
    let mut planned = 0;
    let wanted = |page: &PageSummary| {
        let is_wanted = planned <= limit && page.may_hold(|held| held == label);
        planned += page.tally.get(&label).map_or(0, |&entries| entries as usize);
        is_wanted
    };
    let collection = comments_of(workspace, id.group(), id.page());
    reading.collection(&collection, from, wanted, |_, _| {}).map(|(_, pages)| pages)
}

type Listed = (Vec<tidemark_api::comments::Comment>, Option<AfterComment>);

fn from_pages(id: TaskId, pages: &[Arc<PageView>], after: AfterComment, limit: usize) -> Listed {
    let label = id.entry();
    let (mut comments, mut last) = (Vec::new(), after);
    for view in pages {
        let page = view.key().number();
        let is_new = |number: u64| page > after.page || number > after.number;
        for entry in view.entries().iter().filter(|entry| entry.label == label && is_new(entry.number)) {
            if comments.len() == limit {
                return (comments, Some(last));
            }
            comments.extend(readable(board::read_comment(id, page, entry)).as_ref().map(bodies::comment));
            last = AfterComment { page, number: entry.number };
        }
    }
    (comments, None)
}
