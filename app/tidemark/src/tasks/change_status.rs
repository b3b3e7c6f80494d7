//! Where the task stands.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    tasks::{ChangeStatus, TaskAnswer},
};
use tidemark_domain::{Task, TaskId, TaskStatus};

use super::{TasksRole, edit_task::edit_task};
use crate::operations::{self, Answer, Call, Check};

/// Any status may follow any other; the same again changes nothing.
pub async fn change_status(
    role: Arc<TasksRole>,
    call: Call,
    input: ChangeStatus,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let mut check = Check::default();
    let Some(status) = check.field("/status", input.status.parse::<TaskStatus>()) else {
        return Err(check.refusal());
    };
    edit_task(&role, &call, id, &input, move |task| Ok(Task { status, ..task.clone() })).await
}
