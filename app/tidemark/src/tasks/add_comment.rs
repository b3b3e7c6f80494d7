//! A new comment.

use std::{convert::Infallible, sync::Arc};

use tidemark_api::{
    Refusal,
    comments::{AddComment, CommentAnswer},
};
use tidemark_domain::{Change, Comment, CommentId, TaskId, comment::CommentText};
use tidemark_pages::{EditError, Once, PageEdit};
use tidemark_protocol::stored;

use super::{TasksRole, board::comments_of, bodies};
use crate::operations::{self, Answer, Call, Check, refusals};

pub async fn add_comment(
    role: Arc<TasksRole>,
    call: Call,
    input: AddComment,
) -> Result<Answer<CommentAnswer>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let mut check = Check::default();
    let Some(text) = check.field("/text", CommentText::parse(&input.text)) else {
        return Err(check.refusal());
    };
    let caller = call.caller()?;
    let workspace = &caller.workspace;
    let (task, group) =
        tokio::try_join!(role.board.task(workspace, id), role.board.group(workspace, id.group()))?;
    let (Some(task), Some(group)) = (task, group) else { return Err(Refusal::not_found("task", id)) };

    let author = role.board.author(&call)?;
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let put = move |edit: &mut PageEdit<'_>| {
        let comment = Comment {
            id: CommentId::new(id, edit.number(), rand::random()),
            text: text.clone(),
            author: author.caller.actor.clone(),
            created_at: edit.now(),
        };
        edit.put(&comment.id.entry(), "", stored::write_comment(&comment));
        // A comment lies beside its task and does not change it: the event carries the task's version as it
        // was when the comment was written.
        let change = Change::TaskCommented {
            comment: comment.clone(),
            task_name: task.name.as_str().to_owned(),
            group_name: group.name.as_str().to_owned(),
            version: task.version,
        };
        author.tell(edit, &comment.id, change);
        Ok::<_, Infallible>(comment)
    };
    let added = role.board.pages.append(&comments_of(workspace, id), key, put).await;
    let added = added.map_err(|fault| match fault {
        EditError::Closed => Refusal::not_found("task", id),
        other => refusals::of_edit(other),
    })?;
    let (comment, replayed) = match added {
        Once::First(comment) => (comment, false),
        Once::Again(first) => {
            let page = first.page.number();
            let entry = first.entry.ok_or_else(Refusal::internal)?;
            let comment = stored::read_comment(id, page, &entry.id, entry.value);
            (comment.map_err(|fault| refusals::internal(&fault))?, true)
        }
    };
    Ok(Answer::from(CommentAnswer { comment: bodies::comment(&comment) })
        .with_id(&comment.id)
        .replayed(replayed))
}
