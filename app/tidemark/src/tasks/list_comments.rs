//! The comments of a task, oldest first, by pages.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    comments::{CommentList, ListComments},
};
use tidemark_domain::TaskId;

use super::{
    TasksRole,
    board::{self, comments_of},
    bodies,
};
use crate::operations::{self, Answer, Call, paging, refusals};

/// Pages of comments read by one request to the store.
const STEP: u32 = 4;

pub async fn list_comments(
    role: Arc<TasksRole>,
    call: Call,
    input: ListComments,
) -> Result<Answer<CommentList>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let limit = paging::limit(input.limit, paging::DEFAULT_LIMIT, paging::LARGEST_LIMIT)?;
    let (mut from, mut skip) = paging::position::<(u32, usize)>(input.cursor.as_deref())?;
    let workspace = &call.caller()?.workspace;
    let task = role.board.task(workspace, id).await?;
    task.ok_or_else(|| Refusal::not_found("task", id))?;
    let collection = comments_of(workspace, id);
    if from > board::LARGEST_PAGE {
        return Err(paging::refuse_cursor());
    }
    let mut comments = Vec::new();
    loop {
        let read = role.board.pages.read_collection(&collection, from, STEP).await;
        let read = read.map_err(|fault| refusals::of_read(&fault))?;
        for view in &read.pages {
            let here = board::read_comments(id, view).map_err(|fault| refusals::internal(&fault))?;
            for (index, comment) in here.iter().enumerate().skip(skip) {
                if comments.len() == limit {
                    let next = paging::cursor(&(view.key().number(), index));
                    return Ok(CommentList { comments, next: Some(next) }.into());
                }
                comments.push(bodies::comment(comment));
            }
            skip = 0;
        }
        match read.next {
            Some(next) => from = next,
            None => return Ok(CommentList { comments, next: None }.into()),
        }
    }
}
