//! One task with its first comments.

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
    let card = role.board.card(&call.caller()?.workspace, id).await?;
    let card = card.ok_or_else(|| Refusal::not_found("task", id))?;
    Ok(Answer::from(TaskAnswer { task: bodies::card(&card) }).at_version(card.task.version))
}
