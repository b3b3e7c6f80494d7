//! `PUT /api/tasks/{id}`: any member of a task.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use tidemark_domain::{
    Task, TaskId, TaskStatus,
    task::{Description, Schedule, TaskName, parse_day},
};

use super::{TasksRole, edit_task::edit_task};
use crate::{
    http::{Check, JsonBody, PathId, Problem, body::null_clears, conditional::IfMatch},
    identity::Caller,
};

/// Absent members stay as they are; `null` clears the description and the dates.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskChanges {
    name: Option<String>,
    #[serde(default, deserialize_with = "null_clears")]
    description: Option<String>,
    status: Option<String>,
    #[serde(default, deserialize_with = "null_clears")]
    start_date: Option<String>,
    #[serde(default, deserialize_with = "null_clears")]
    end_date: Option<String>,
    group_id: Option<String>,
}

/// Answers 200 with the task; 400 field by field; 412 if `If-Match` names another version.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
    if_match: IfMatch,
    JsonBody { value: body, .. }: JsonBody<TaskChanges>,
) -> Result<Response, Problem> {
    let mut check = Check::default();
    let name = check.field("/name", body.name.as_deref().map(TaskName::parse).transpose());
    let description =
        check.field("/description", body.description.as_deref().map(Description::parse).transpose());
    let status = check.field("/status", body.status.as_deref().map(str::parse::<TaskStatus>).transpose());
    let day = |name, day: Option<String>| day.map(|day| parse_day(name, &day)).transpose();
    let start = check.field("/startDate", day("startDate", body.start_date));
    let end = check.field("/endDate", day("endDate", body.end_date));
    let stays = match body.group_id {
        Some(group) if group != id.group().to_string() => Err("a task cannot move to another group"),
        _ => Ok(()),
    };
    let stays = check.field("/groupId", stays);
    let parts = name.zip(description).zip(status).zip(start.zip(end)).zip(stays);
    let ((((name, description), status), (start, end)), ()) = check.finish(parts)?;

    edit_task(&role, &caller, id, if_match, move |task, _| {
        let start = start.unwrap_or(task.schedule.start());
        let end = end.unwrap_or(task.schedule.end());
        Ok(Task {
            name: name.clone().unwrap_or_else(|| task.name.clone()),
            description: description.clone().unwrap_or_else(|| task.description.clone()),
            status: status.unwrap_or(task.status),
            schedule: Schedule::new(start, end)?,
            ..task.clone()
        })
    })
    .await
}
