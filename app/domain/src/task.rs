//! Tasks: what is to be done.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date};

use crate::{Rank, TaskId, UserId, text::text};

text!(
    /// What a task is called: 1 to 255 characters.
    TaskName, parse_required, "name", 255, One
);
text!(
    /// What there is to do: at most 5000 characters, may be empty.
    Description, parse_optional, "description", 5000, Many
);

/// Where a task stands. Any status may follow any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TaskStatus {
    #[default]
    New,
    Backlog,
    InProgress,
    Completed,
    Approved,
}

/// A status that is none of the five.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("status must be one of New, Backlog, In Progress, Completed, Approved")]
pub struct InvalidStatus;

impl TaskStatus {
    pub const ALL: [Self; 5] = [Self::New, Self::Backlog, Self::InProgress, Self::Completed, Self::Approved];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Backlog => "Backlog",
            Self::InProgress => "In Progress",
            Self::Completed => "Completed",
            Self::Approved => "Approved",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TaskStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(InvalidStatus)
    }
}

/// When a task starts and ends. Either may be open; it never ends before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedule {
    start: Option<Date>,
    end: Option<Date>,
}

/// A date that is none, or an end before its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    #[error("{name} must be a calendar day such as 2026-01-31")]
    NotADate { name: &'static str },
    #[error("endDate must not be before startDate")]
    EndsBeforeStart,
}

impl Schedule {
    pub fn new(start: Option<Date>, end: Option<Date>) -> Result<Self, InvalidSchedule> {
        match (start, end) {
            (Some(start), Some(end)) if end < start => Err(InvalidSchedule::EndsBeforeStart),
            _ => Ok(Self { start, end }),
        }
    }

    pub fn start(&self) -> Option<Date> {
        self.start
    }

    pub fn end(&self) -> Option<Date> {
        self.end
    }
}

/// Reads a day written as `YYYY-MM-DD`. Empty text means no day, as forms send it.
pub fn parse_day(name: &'static str, text: &str) -> Result<Option<Date>, InvalidSchedule> {
    if text.is_empty() {
        return Ok(None);
    }
    let not_a_date = InvalidSchedule::NotADate { name };
    // The parser alone would also take times and other ISO 8601 forms.
    if text.len() != "YYYY-MM-DD".len() {
        return Err(not_a_date);
    }
    text.parse().map(Some).map_err(|_| not_a_date)
}

/// A task as it stands after its latest change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    pub name: TaskName,
    pub description: Description,
    pub status: TaskStatus,
    pub schedule: Schedule,
    /// Where the task stands among the tasks of its group.
    pub rank: Rank,
    pub created_by: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts the changes: 1 when created.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_reads_back_as_it_is_written_and_no_other_text_is_one() {
        for status in TaskStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        for wrong in ["new", "InProgress", "Done", ""] {
            assert_eq!(wrong.parse::<TaskStatus>(), Err(InvalidStatus));
        }
    }

    #[test]
    fn a_day_is_written_in_one_way_only() {
        assert!(parse_day("startDate", "2026-02-28").is_ok());
        for wrong in ["2026-02-30", "28.02.2026", "20260228", "2026-02-28T10:00"] {
            assert_eq!(parse_day("startDate", wrong), Err(InvalidSchedule::NotADate { name: "startDate" }));
        }
        assert_eq!(parse_day("startDate", ""), Ok(None));
    }

    #[test]
    fn a_schedule_may_end_on_its_first_day_but_not_before() {
        let day = |text| parse_day("startDate", text).unwrap();
        assert!(Schedule::new(day("2026-03-01"), day("2026-03-01")).is_ok());
        assert!(Schedule::new(None, day("2026-03-01")).is_ok());
        let reversed = Schedule::new(day("2026-03-02"), day("2026-03-01"));
        assert_eq!(reversed, Err(InvalidSchedule::EndsBeforeStart));
    }

    proptest! {
        #[test]
        fn any_day_and_status_is_read_or_refused(text in ".{0,12}|[-+0-9]{0,11}|[0-9TWZ:+-]{10}|[ A-Za-z]{0,20}") {
            if let Ok(status) = text.parse::<TaskStatus>() {
                prop_assert_eq!(status.to_string(), text.as_str());
            }
            if let Ok(day) = parse_day("startDate", &text) {
                prop_assert_eq!(day.map(|day| day.to_string()).unwrap_or_default(), text);
            }
        }
    }
}
