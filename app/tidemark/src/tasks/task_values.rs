//! What people may change of a task, checked.

use std::fmt;

use jiff::civil::Date;
use tidemark_api::{Patch, tasks::TaskValues};
use tidemark_domain::{
    Task, TaskStatus,
    task::{Description, InvalidSchedule, Schedule, TaskName, parse_day},
};

use super::change::ChangeError;
use crate::operations::Check;

/// What is `None` stays as it is; a day may also be taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedValues {
    name: Option<TaskName>,
    description: Option<Description>,
    status: Option<TaskStatus>,
    start: Patch<Date>,
    end: Patch<Date>,
}

impl CheckedValues {
    /// Names every fault; then there are no values.
    pub fn check(values: &TaskValues, check: &mut Check) -> Option<Self> {
        let name = check.field("/name", required("name", &values.name, TaskName::parse));
        let description = values.description.clone().or_cleared(String::new());
        let description =
            check.field("/description", description.as_deref().map(Description::parse).transpose());
        let status = check.field("/status", required("status", &values.status, str::parse::<TaskStatus>));
        let start = check.field("/startDate", day("startDate", &values.start_date));
        let end = check.field("/endDate", day("endDate", &values.end_date));
        Some(Self { name: name?, description: description?, status: status?, start: start?, end: end? })
    }

    /// The task with these values.
    pub fn apply(&self, task: &Task) -> Result<Task, ChangeError> {
        let day = |day: &Patch<Date>, now| match day {
            Patch::Absent => now,
            Patch::Clear => None,
            Patch::Set(day) => Some(*day),
        };
        let start = day(&self.start, task.schedule.start());
        let end = day(&self.end, task.schedule.end());
        Ok(Task {
            name: self.name.clone().unwrap_or_else(|| task.name.clone()),
            description: self.description.clone().unwrap_or_else(|| task.description.clone()),
            status: self.status.unwrap_or(task.status),
            schedule: Schedule::new(start, end)?,
            ..task.clone()
        })
    }
}

/// Reads a member that may stay or be replaced, and not be cleared.
fn required<T, E: fmt::Display>(
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

/// Reads a day. Empty text takes it away, as `null` does.
fn day(name: &'static str, day: &Patch<String>) -> Result<Patch<Date>, InvalidSchedule> {
    Ok(match day {
        Patch::Absent => Patch::Absent,
        Patch::Clear => Patch::Clear,
        Patch::Set(text) => parse_day(name, text)?.map_or(Patch::Clear, Patch::Set),
    })
}
