//! One task.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    tasks::{ShowTask, TaskAnswer},
};
use tidemark_domain::TaskId;

use super::{TasksRole, bodies};
use crate::operations::{self, Answer, Call};

pub async fn show_task(
    role: Arc<TasksRole>,
    call: Call,
    input: ShowTask,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let workspace = &call.caller()?.workspace;
    let task = role.board.task(workspace, id).await?;
    let task = task.ok_or_else(|| Refusal::not_found("task", id))?;
    let comments = role.board.comments_of(workspace, std::slice::from_ref(&task)).await?;
    let body = match comments.first() {
        Some(first) => bodies::task_with_comments(&task, first),
        None => bodies::task(&task, 0),
    };
    Ok(Answer::from(TaskAnswer { task: body }).at_version(task.version))
}
