//! What every change of an existing task has in common: find it, check its version, change it, tell of it.

use tidemark_api::{Operation, Refusal, tasks::TaskAnswer};
use tidemark_domain::{Change, Task, TaskId, rank::InvalidRank, task::InvalidSchedule};
use tidemark_pages::{Once, PageEdit};
use tidemark_protocol::stored::{self, CorruptEntry};

use super::{
    TasksRole,
    board::{self, tasks_of},
    bodies, refusals,
};
use crate::operations::{Answer, Call, Seen, refusals::internal};

/// Why a task was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditTaskError {
    #[error("the task does not exist")]
    NotFound,
    #[error("the task is at version {0}")]
    StaleVersion(u64),
    #[error("{0} cannot be changed")]
    Fixed(&'static str),
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
    /// There is no place between the neighbours.
    #[error(transparent)]
    Place(#[from] InvalidRank),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

/// Reads the task under edit, if it is there in a version that the caller has seen.
pub fn current(edit: &PageEdit<'_>, id: TaskId, seen: &Seen) -> Result<Task, EditTaskError> {
    let entry = edit.get(&id.entry()).ok_or(EditTaskError::NotFound)?;
    let task = board::read_task(id.group(), id.page(), entry)?;
    if seen.allows(task.version) { Ok(task) } else { Err(EditTaskError::StaleVersion(task.version)) }
}

/// Changes a task by `change`, which gets the current one, and answers with the result.
///
/// A change of the status is an event of its own, and so has a version of its own: whoever reads the events
/// sees every version once.
pub async fn edit_task<O: Operation>(
    role: &TasksRole,
    call: &Call,
    id: TaskId,
    input: &O,
    change: impl Fn(&Task, jiff::Timestamp) -> Result<Task, EditTaskError> + Send + 'static,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let caller = call.caller()?;
    let group = role.board.group(&caller.workspace, id.group()).await?;
    let Some(group) = group else { return Err(Refusal::not_found("task", id)) };
    let (author, seen) = (role.board.author(call)?, call.seen().clone());
    let edit = move |edit: &mut PageEdit<'_>| {
        let before = current(edit, id, &seen)?;
        let after = change(&before, edit.now())?;
        let mut task = Task { status: before.status, ..after.clone() };
        if task != before {
            task.updated_at = edit.now();
            task.version = put(edit, &task);
            let group_name = group.name.as_str().to_owned();
            let change = Change::TaskUpdated { before: before.clone(), after: task.clone(), group_name };
            author.tell(edit, &id, change);
        }
        if after.status != before.status {
            let before = task.clone();
            task.status = after.status;
            task.updated_at = edit.now();
            task.version = put(edit, &task);
            let group_name = group.name.as_str().to_owned();
            author.tell(edit, &id, Change::TaskStatusChanged { before, after: task.clone(), group_name });
        }
        Ok(task)
    };
    let page = tasks_of(&caller.workspace, id.group()).page(id.page());
    let key = call.identity(&id.to_string(), input).map(Into::into);
    let edited = role.board.pages.edit_once(&page, key, edit).await;
    let (task, replayed) = match edited.map_err(|fault| refusals::of_task(id, fault))? {
        Once::First(task) => (task, false),
        Once::Again(first) => {
            let task = if let Some(entry) = first.entry {
                board::read_task(id.group(), id.page(), &entry).map_err(|fault| internal(&fault))?
            } else {
                // The first request changed nothing: its answer was the task as it stood.
                let task = role.board.task(&caller.workspace, id).await?;
                task.ok_or_else(|| Refusal::not_found("task", id))?
            };
            (task, true)
        }
    };
    let comments = role.board.comments_of(&caller.workspace, std::slice::from_ref(&task)).await?;
    let comment_count = comments.first().map_or(0, |first| first.count);
    Ok(Answer::from(TaskAnswer { task: bodies::task(&task, comment_count) })
        .at_version(task.version)
        .replayed(replayed))
}

fn put(edit: &mut PageEdit<'_>, task: &Task) -> u64 {
    edit.put(&task.id.entry(), task.status.as_str(), stored::write_task(task))
}
