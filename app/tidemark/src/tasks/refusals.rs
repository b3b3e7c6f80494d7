//! What failures of the board mean to a caller.

use tidemark_api::Refusal;
use tidemark_domain::{GroupId, TaskId};
use tidemark_pages::EditError;

use super::{board::ReadError, edit_group::EditGroupError, edit_task::EditTaskError};
use crate::operations::refusals::{internal, of_edit, of_read};

impl From<ReadError> for Refusal {
    fn from(fault: ReadError) -> Self {
        match fault {
            ReadError::Store(cause) => of_read(&cause),
            ReadError::Corrupt(cause) => internal(&cause),
        }
    }
}

/// Refuses a change of a task for the reason that stands in the error.
pub fn of_task(id: TaskId, fault: EditError<EditTaskError>) -> Refusal {
    match fault {
        EditError::Rejected(EditTaskError::NotFound) | EditError::Closed => Refusal::not_found("task", id),
        EditError::Rejected(EditTaskError::StaleVersion(version)) => Refusal::stale("task", version),
        EditError::Rejected(EditTaskError::Fixed(member)) => fixed(member),
        EditError::Rejected(EditTaskError::Schedule(fault)) => Refusal::invalid_field("/endDate", fault),
        EditError::Rejected(EditTaskError::Place(fault)) => Refusal::invalid_field("/before", fault),
        EditError::Rejected(EditTaskError::Corrupt(cause)) => internal(&cause),
        other => of_edit(other),
    }
}

/// Refuses a change of a group for the reason that stands in the error.
pub fn of_group(id: GroupId, fault: EditError<EditGroupError>) -> Refusal {
    match fault {
        EditError::Rejected(EditGroupError::NotFound) | EditError::Closed => Refusal::not_found("group", id),
        EditError::Rejected(EditGroupError::StaleVersion(version)) => Refusal::stale("group", version),
        EditError::Rejected(EditGroupError::Fixed(member)) => fixed(member),
        EditError::Rejected(EditGroupError::Corrupt(cause)) => internal(&cause),
        other => of_edit(other),
    }
}

fn fixed(member: &str) -> Refusal {
    Refusal::invalid_field(format!("/{member}"), format!("{member} cannot be changed"))
}
