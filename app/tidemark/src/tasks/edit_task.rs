//! What every change of an existing task has in common: find it, check its version, change it, tell of it.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::header;
use tidemark_domain::{Change, Task, TaskId, task::InvalidSchedule};
use tidemark_protocol::stored::{self, CorruptEntry};

use super::{
    TasksRole,
    board::{self, tasks_of},
    bodies::{TaskAnswer, TaskBody},
};
use crate::{
    http::{Problem, conditional, conditional::IfMatch, refusal, request},
    identity::Caller,
    pages::{EditError, PageEdit},
};

/// Why a task was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditTaskError {
    #[error("the task does not exist")]
    NotFound,
    #[error("the task is at version {0}")]
    StaleVersion(u64),
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

/// Refuses a change for the reason that stands in the error.
pub fn refuse(id: TaskId, fault: EditError<EditTaskError>) -> Problem {
    match fault {
        EditError::Rejected(EditTaskError::NotFound) | EditError::Closed => Problem::not_found("task", id),
        EditError::Rejected(EditTaskError::StaleVersion(version)) => Problem::stale("task", version),
        EditError::Rejected(EditTaskError::Schedule(fault)) => Problem::invalid_field("/endDate", fault),
        EditError::Rejected(EditTaskError::Corrupt(cause)) => request::internal(&cause),
        other => refusal::of_edit(other),
    }
}

/// Reads the task under edit, if it is there in a version that `if_match` allows.
pub fn current(edit: &PageEdit<'_>, id: TaskId, if_match: &IfMatch) -> Result<Task, EditTaskError> {
    let entry = edit.get(&id.entry()).ok_or(EditTaskError::NotFound)?;
    let task = board::read_task(id.group(), id.page(), entry)?;
    if if_match.allows(task.version) { Ok(task) } else { Err(EditTaskError::StaleVersion(task.version)) }
}

/// Changes a task by `change`, which gets the current one, and answers 200 with the result.
///
/// A change of the status is an event of its own, and so has a version of its own: whoever reads the events
/// sees every version once.
pub async fn edit_task(
    role: &TasksRole,
    caller: &Caller,
    id: TaskId,
    if_match: IfMatch,
    change: impl Fn(&Task, jiff::Timestamp) -> Result<Task, EditTaskError> + Send + 'static,
) -> Result<Response, Problem> {
    let group = role.board.group(&caller.workspace, id.group()).await?;
    let group_name = group.ok_or_else(|| Problem::not_found("task", id))?.name;
    let author = role.board.author(caller);
    let edit = move |edit: &mut PageEdit<'_>| {
        let before = current(edit, id, &if_match)?;
        let after = change(&before, edit.now())?;
        let mut task = Task { status: before.status, ..after.clone() };
        if task != before {
            task.updated_at = edit.now();
            task.version = put(edit, &task);
            let group_name = group_name.as_str().to_owned();
            let change = Change::TaskUpdated { before: before.clone(), after: task.clone(), group_name };
            author.tell(edit, &id, change);
        }
        if after.status != before.status {
            let before = task.clone();
            task.status = after.status;
            task.updated_at = edit.now();
            task.version = put(edit, &task);
            let group_name = group_name.as_str().to_owned();
            author.tell(edit, &id, Change::TaskStatusChanged { before, after: task.clone(), group_name });
        }
        Ok(task)
    };
    let page = tasks_of(&caller.workspace, id.group()).page(id.page());
    let task = role.board.pages.edit(&page, edit).await.map_err(|fault| refuse(id, fault))?;
    let comments = role.board.comments_of(&caller.workspace, std::slice::from_ref(&task)).await?;
    let body = TaskBody::new(&task, comments.first().map_or(0, |first| first.count));
    let etag = [(header::ETAG, conditional::etag(task.version))];
    Ok((etag, Json(TaskAnswer { task: body })).into_response())
}

fn put(edit: &mut PageEdit<'_>, task: &Task) -> u64 {
    edit.put(&task.id.entry(), task.status.as_str(), stored::write_task(task))
}
