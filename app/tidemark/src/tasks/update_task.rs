//! Any member of a task.

use std::sync::Arc;

use tidemark_api::{
    Patch, Refusal,
    tasks::{TaskAnswer, UnchangedTask, UpdateTask},
};
use tidemark_domain::{
    Task, TaskId, TaskStatus,
    task::{Description, Schedule, TaskName, parse_day},
};

use super::{
    TasksRole, bodies,
    edit_task::{EditTaskError, edit_task},
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
    let name = check.field("/name", required("name", &input.name, TaskName::parse));
    let description = input.description.clone().or_cleared(String::new());
    let description = check.field("/description", description.as_deref().map(Description::parse).transpose());
    let status = check.field("/status", required("status", &input.status, str::parse::<TaskStatus>));
    let day = |name, day: &Patch<String>| {
        day.clone().or_cleared(String::new()).map(|day| parse_day(name, &day)).transpose()
    };
    let start = check.field("/startDate", day("startDate", &input.start_date));
    let end = check.field("/endDate", day("endDate", &input.end_date));
    let stays = input.unchanged.group_id.as_ref().is_none_or(|group| *group == id.group().to_string());
    check.that(stays, "/groupId", "a task cannot move to another group");
    let (Some(name), Some(description), Some(status), Some(start), Some(end), true) =
        (name, description, status, start, end, stays)
    else {
        return Err(check.refusal());
    };
    let unchanged = input.unchanged.clone();
    edit_task(&role, &call, id, &input, move |task, _| {
        stays_unchanged(task, &unchanged)?;
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

/// Reads a member that may stay or be replaced, and not be cleared.
fn required<T, E: std::fmt::Display>(
    name: &str,
    member: &Patch<String>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, String> {
    match member {
        Patch::Absent => Ok(None),
        Patch::Clear => Err(format!("{name} is required")),
        Patch::Set(text) => parse(text).map(Some).map_err(|fault| fault.to_string()),
    }
}

/// What was read may be sent back, as long as it is what is there.
fn stays_unchanged(task: &Task, sent: &UnchangedTask) -> Result<(), EditTaskError> {
    if sent.version.is_some_and(|version| version != task.version) {
        return Err(EditTaskError::StaleVersion(task.version));
    }
    let shown = bodies::task(task, 0);
    let fixed = |same: bool, member| if same { Ok(()) } else { Err(EditTaskError::Fixed(member)) };
    fixed(sent.own_id.as_ref().is_none_or(|sent| *sent == shown.id), "_id")?;
    fixed(sent.rank.as_ref().is_none_or(|sent| *sent == shown.rank), "rank")?;
    fixed(sent.created_by.as_ref().is_none_or(|sent| *sent == shown.created_by), "createdBy")?;
    fixed(sent.created_at.as_ref().is_none_or(|sent| *sent == shown.created_at), "createdAt")?;
    fixed(sent.updated_at.as_ref().is_none_or(|sent| *sent == shown.updated_at), "updatedAt")
}
