//! A new comment.

use std::sync::Arc;

use tidemark_api::{
    Reason, Refusal,
    comments::{AddComment, CommentAnswer},
};
use tidemark_domain::{Change, Comment, CommentId, TaskId, comment::CommentText};
use tidemark_pages::{EditError, PageEdit};
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, comments_of},
    bodies,
};
use crate::operations::{self, Answer, Call, Check, made, refusals};

/// The most comments on one task.
const COMMENTS_PER_TASK: usize = 2_000;

#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a task may have {COMMENTS_PER_TASK} comments, and this one has them")]
struct TaskFull;

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
    let found = role.board.task_in_group(workspace, id).await?;
    let (group, task) = found.ok_or_else(|| Refusal::not_found("task", id))?;

    let author = role.board.author(&call)?;
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let label = id.entry();
    let put = move |edit: &mut PageEdit<'_>| {
        if edit.entries_of_collection() >= COMMENTS_PER_TASK
            && edit.labelled_of_collection(&label) >= COMMENTS_PER_TASK
        {
            return Err(TaskFull);
        }
        let comment = Comment {
            id: CommentId::new(id, edit.number(), rand::random()),
            text: text.clone(),
            author: author.caller.actor.clone(),
            created_at: edit.now(),
        };
        edit.put(&comment.id.entry(), &label, stored::write_comment(&comment));
        // A comment lies beside its task and does not change it: the event carries the task's version as it
        // was when the comment was written.
        let change = Change::TaskCommented {
            comment: comment.clone(),
            task_name: task.name.as_str().to_owned(),
            group_name: group.name.as_str().to_owned(),
            version: task.version,
        };
        author.tell(edit, &comment.id, change);
        Ok(comment)
    };
    let comments = comments_of(workspace, id.group(), id.page());
    let added = role.board.append(&comments, key, put, |TaskFull| true).await;
    let added = added.map_err(|fault| match fault {
        EditError::Closed => Refusal::not_found("task", id),
        EditError::Rejected(full) => Refusal::new(Reason::LimitReached, full.to_string()),
        other => refusals::of_edit(other),
    })?;
    let (comment, replayed) = made(added, |page, entry| board::read_comment(id, page, entry))?;
    Ok(Answer::from(CommentAnswer { comment: bodies::comment(&comment) })
        .with_id(&comment.id)
        .replayed(replayed))
}
