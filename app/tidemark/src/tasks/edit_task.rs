//! What every change of an existing task has in common: find it, check its version, change it, tell of it.

use tidemark_api::{Operation, Refusal, tasks::TaskAnswer};
use tidemark_domain::{Change, Task, TaskId, Workspace};
use tidemark_pages::{FirstAnswer, Once, PageEdit};
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, Author, TRASH, tasks_of},
    bodies,
    change::ChangeError,
    refusals,
};
use crate::operations::{Answer, Call, Seen, refusals::of_damage};

/// Reads the task under edit, if it is there in a version that the caller has seen.
pub fn current(edit: &PageEdit<'_>, id: TaskId, seen: &Seen) -> Result<Task, ChangeError> {
    let entry = edit.get(&id.entry()).filter(|entry| entry.label != TRASH).ok_or(ChangeError::NotFound)?;
    let task = board::read_task(id.group(), id.page(), entry)?;
    if seen.allows(task.version) { Ok(task) } else { Err(ChangeError::StaleVersion(task.version)) }
}

/// Changes a task by `change`, which gets the current one, and answers with the result.
pub async fn edit_task<O: Operation>(
    role: &TasksRole,
    call: &Call,
    id: TaskId,
    input: &O,
    change: impl Fn(&Task) -> Result<Task, ChangeError> + Send + 'static,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let caller = call.caller()?;
    let group = role.board.group(&caller.workspace, id.group()).await?;
    let Some(group) = group else { return Err(Refusal::not_found("task", id)) };
    let (author, seen) = (role.board.author(call)?, call.seen().clone());
    let edit = move |edit: &mut PageEdit<'_>| {
        let before = current(edit, id, &seen)?;
        let after = change(&before)?;
        Ok(replace(edit, &author, group.name.as_str(), &before, &after))
    };
    let page = tasks_of(&caller.workspace, id.group()).page(id.page());
    let key = call.identity(&id.to_string(), input).map(Into::into);
    let edited = role.board.pages.edit_once(&page, key, edit).await;
    let edited = edited.map_err(|fault| refusals::of_change("task", id, fault))?;
    answer(role, &caller.workspace, id, edited).await
}

/// Shows the task as the first request with the same key left it.
pub async fn answer(
    role: &TasksRole,
    workspace: &Workspace,
    id: TaskId,
    edited: Once<Task>,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let (task, replayed) = match edited {
        Once::First(task) => (task, false),
        Once::Again(FirstAnswer { entry: Some(entry), .. }) => {
            (board::read_task(id.group(), id.page(), &entry).map_err(|fault| of_damage(&fault))?, true)
        }
        // The first request changed nothing: its answer was the task as it stood.
        Once::Again(FirstAnswer { entry: None, .. }) => {
            let task = role.board.task(workspace, id).await?;
            (task.ok_or_else(|| Refusal::not_found("task", id))?, true)
        }
    };
    let comment_count = role.board.comment_count(workspace, id).await?;
    Ok(Answer::from(TaskAnswer { task: bodies::task(&task, comment_count) })
        .at_version(task.version)
        .replayed(replayed))
}

/// Puts `after` in the place of `before`, and tells of it, if they differ.
///
/// A change of the status is an event of its own, and so has a version of its own: whoever reads the events
/// sees every version once.
pub fn replace(
    edit: &mut PageEdit<'_>,
    author: &Author,
    group_name: &str,
    before: &Task,
    after: &Task,
) -> Task {
    let mut task = Task { status: before.status, ..after.clone() };
    if task != *before {
        task.updated_at = edit.now();
        task.version = put(edit, &task);
        let (before, group_name) = (before.clone(), group_name.to_owned());
        author.tell(edit, &task.id, Change::TaskUpdated { before, after: task.clone(), group_name });
    }
    if after.status != before.status {
        let before = task.clone();
        task.status = after.status;
        task.updated_at = edit.now();
        task.version = put(edit, &task);
        let group_name = group_name.to_owned();
        author.tell(edit, &task.id, Change::TaskStatusChanged { before, after: task.clone(), group_name });
    }
    task
}

fn put(edit: &mut PageEdit<'_>, task: &Task) -> u64 {
    edit.put(&task.id.entry(), task.status.as_str(), stored::write_task(task, None))
}
