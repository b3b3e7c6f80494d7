//! Another place on the board, and with it perhaps another status.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    tasks::{MoveTask, TaskAnswer},
};
use tidemark_domain::{Task, TaskId, TaskStatus};

use super::{
    TasksRole,
    edit_task::edit_task,
    gap::{gap, neighbour},
};
use crate::operations::{self, Answer, Call, Check};

/// One neighbour is enough, the other follows from the board; with neither, the last place. A neighbour that
/// is not in the same group, or two that are not in order, are refused.
pub async fn move_task(
    role: Arc<TasksRole>,
    call: Call,
    input: MoveTask,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let workspace = &call.caller()?.workspace;
    let mut check = Check::default();
    let after = check.field("/after", neighbour(&[id], input.after.as_deref()));
    let before = check.field("/before", neighbour(&[id], input.before.as_deref()));
    let status = input.status.as_deref().map(str::parse::<TaskStatus>).transpose();
    let status = check.field("/status", status);
    let (Some(after), Some(before), Some(status)) = (after, before, status) else {
        return Err(check.refusal());
    };
    let gap = gap(&role, workspace, &[id], after, before).await?;
    edit_task(&role, &call, id, &input, move |task| {
        Ok(Task { rank: gap.rank(id)?, status: status.unwrap_or(task.status), ..task.clone() })
    })
    .await
}
