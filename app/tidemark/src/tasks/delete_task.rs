//! `DELETE /api/tasks/{id}`: the task and its comments.

use axum::extract::State;
use http::StatusCode;
use tidemark_domain::{Change, TaskId};

use super::{
    TasksRole,
    board::tasks_of,
    cascade::Unfinished,
    edit_task::{EditTaskError, current, refuse},
};
use crate::{
    http::{PathId, Problem, conditional::IfMatch},
    identity::Caller,
    pages::PageEdit,
};

/// Answers 204 once the task is gone. Its comments can no longer be reached, and go in the background.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let group = role.board.group(&caller.workspace, id.group()).await?;
    let group_name = group.ok_or_else(|| Problem::not_found("task", id))?.name;
    let author = role.board.author(&caller);
    let delete = move |edit: &mut PageEdit<'_>| {
        let task = current(edit, id, &if_match)?;
        edit.remove(&id.entry());
        let (version, group_name) = (task.version + 1, group_name.as_str().to_owned());
        author.tell(edit, &id, Change::TaskDeleted { task, version, group_name });
        edit.set_pending(&Unfinished::of_task(&author, id).marker());
        Ok::<_, EditTaskError>(())
    };
    let page = tasks_of(&caller.workspace, id.group()).page(id.page());
    role.board.pages.edit(&page, delete).await.map_err(|fault| refuse(id, fault))?;
    Ok(StatusCode::NO_CONTENT)
}
