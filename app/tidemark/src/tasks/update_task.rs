//! Any member of a task.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    tasks::{TaskAnswer, UnchangedTask, UpdateTask},
};
use tidemark_domain::{Task, TaskId};

use super::{
    TasksRole, bodies,
    change::{ChangeError, stays, stays_at},
    edit_task::edit_task,
    task_values::CheckedValues,
};
use crate::operations::{self, Answer, Call, Check};

/// Members that are absent stay as they are.
pub async fn update_task(
    role: Arc<TasksRole>,
    call: Call,
    input: UpdateTask,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let mut check = Check::default();
    let values = CheckedValues::check(&input.values, &mut check);
    let stays = input.unchanged.group_id.as_ref().is_none_or(|group| *group == id.group().to_string());
    check.that(stays, "/groupId", "a task cannot move to another group");
    let (Some(values), true) = (values, stays) else { return Err(check.refusal()) };
    let unchanged = input.unchanged.clone();
    edit_task(&role, &call, id, &input, move |task| {
        stays_unchanged(task, &unchanged)?;
        values.apply(task)
    })
    .await
}

/// What nobody sets must be what is there.
fn stays_unchanged(task: &Task, sent: &UnchangedTask) -> Result<(), ChangeError> {
    stays_at(sent.version, task.version)?;
    let shown = bodies::task(task, 0);
    stays(sent.own_id.as_ref(), &shown.id, "_id")?;
    stays(sent.rank.as_ref(), &shown.rank, "rank")?;
    stays(sent.created_by.as_ref(), &shown.created_by, "createdBy")?;
    stays(sent.created_at.as_ref(), &shown.created_at, "createdAt")?;
    stays(sent.updated_at.as_ref(), &shown.updated_at, "updatedAt")
}
