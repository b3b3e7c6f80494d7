//! A task goes into the trash.

use std::sync::Arc;

use tidemark_api::{Refusal, tasks::DeleteTask, values::Nothing};
use tidemark_domain::TaskId;
use tidemark_pages::{Once, PageEdit};

use super::{
    TasksRole, board::tasks_of, change::ChangeError, edit_task::current, refusals, trash::discard_task,
};
use crate::operations::{self, Answer, Call};

/// Its comments can no longer be reached, until it is restored.
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
        discard_task(edit, &author, group.name.as_str(), task);
        Ok::<_, ChangeError>(())
    };
    let page = tasks_of(&caller.workspace, id.group()).page(id.page());
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let deleted = role.board.pages.edit_once(&page, key, delete).await;
    let deleted = deleted.map_err(|fault| refusals::of_change("task", id, fault))?;
    Ok(Answer::from(Nothing {}).replayed(matches!(deleted, Once::Again(_))))
}
