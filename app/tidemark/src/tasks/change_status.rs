//! `PUT /api/tasks/{id}/status`: where the task stands.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use tidemark_domain::{Task, TaskId, TaskStatus};

use super::{TasksRole, edit_task::edit_task};
use crate::{
    http::{Check, JsonBody, PathId, Problem, conditional::IfMatch},
    identity::Caller,
};

#[derive(Deserialize)]
pub struct NewStatus {
    status: Option<String>,
}

/// Answers 200 with the task. Any status may follow any other; the same again changes nothing.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
    if_match: IfMatch,
    JsonBody { value: body, .. }: JsonBody<NewStatus>,
) -> Result<Response, Problem> {
    let mut check = Check::default();
    let status = check.field("/status", body.status.as_deref().unwrap_or_default().parse::<TaskStatus>());
    let status = check.finish(status)?;
    edit_task(&role, &caller, id, if_match, move |task, _| Ok(Task { status, ..task.clone() })).await
}
