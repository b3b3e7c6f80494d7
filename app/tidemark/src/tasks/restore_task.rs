//! A task comes back from the trash as it was, with its comments.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    tasks::{RestoreTask, TaskAnswer},
};
use tidemark_domain::{Change, Task, TaskId};
use tidemark_pages::PageEdit;
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, TRASH, tasks_of},
    change::ChangeError,
    create_task::room,
    edit_task::answer,
    refusals,
};
use crate::operations::{self, Answer, Call, refusals::of_read};

/// One that is not in the trash stays as it is.
pub async fn restore_task(
    role: Arc<TasksRole>,
    call: Call,
    input: RestoreTask,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let caller = call.caller()?;
    let group = role.board.group(&caller.workspace, id.group()).await?;
    let Some(group) = group else { return Err(Refusal::not_found("task", id)) };
    // The page knows nothing of the others; what replicas have counted is known to all within a moment.
    let counted = role.board.pages.summary(&tasks_of(&caller.workspace, id.group())).await;
    let counted = counted.map_err(|fault| of_read(&fault))?;
    let live = usize::try_from(board::live(&counted)).unwrap_or(usize::MAX);
    let author = role.board.author(&call)?;
    let restore = move |edit: &mut PageEdit<'_>| {
        let entry = edit.get(&id.entry()).ok_or(ChangeError::NotFound)?;
        let mut task = board::read_task(id.group(), id.page(), entry)?;
        if entry.label == TRASH {
            // Among all entries with the trash it has its place already.
            let live_here = edit.entries_of_collection() - edit.labelled_of_collection(TRASH);
            room(live.max(live_here), 0)?;
            task = Task { updated_at: edit.now(), ..task };
            task.version = edit.put(&id.entry(), task.status.as_str(), stored::write_task(&task, None));
            let group_name = group.name.as_str().to_owned();
            author.tell(edit, &id, Change::TaskRestored { task: task.clone(), group_name });
        }
        Ok(task)
    };
    let page = tasks_of(&caller.workspace, id.group()).page(id.page());
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let restored = role.board.pages.edit_once(&page, key, restore).await;
    let restored = restored.map_err(|fault| refusals::of_change("task", id, fault))?;
    answer(&role, &caller.workspace, id, restored).await
}
