//! The end of a task and its comments.

use std::sync::Arc;

use tidemark_api::{Refusal, tasks::DeleteTask, values::Nothing};
use tidemark_domain::{Change, TaskId};
use tidemark_pages::{Once, PageEdit};

use super::{
    TasksRole,
    board::tasks_of,
    cascade::Unfinished,
    edit_task::{EditTaskError, current},
    refusals,
};
use crate::operations::{self, Answer, Call};

/// Answers once the task is gone. Its comments can no longer be reached, and go in the background.
pub async fn delete_task(
    role: Arc<TasksRole>,
    call: Call,
    input: DeleteTask,
) -> Result<Answer<Nothing>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let caller = call.caller()?;
    let group = role.board.group(&caller.workspace, id.group()).await?;
    let Some(group) = group else { return Err(Refusal::not_found("task", id)) };
    let (author, seen) = (role.board.author(&call)?, call.seen().clone());
    let delete = move |edit: &mut PageEdit<'_>| {
        let task = current(edit, id, &seen)?;
        edit.remove(&id.entry());
        let (version, group_name) = (task.version + 1, group.name.as_str().to_owned());
        author.tell(edit, &id, Change::TaskDeleted { task, version, group_name });
        edit.set_pending(&Unfinished::of_task(&author, id).marker());
        Ok::<_, EditTaskError>(())
    };
    let page = tasks_of(&caller.workspace, id.group()).page(id.page());
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let deleted = role.board.pages.edit_once(&page, key, delete).await;
    let deleted = deleted.map_err(|fault| refusals::of_task(id, fault))?;
    Ok(Answer::from(Nothing {}).replayed(matches!(deleted, Once::Again(_))))
}
