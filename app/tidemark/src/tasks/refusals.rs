//! What failures of the board mean to a caller.

use std::fmt::Display;

use tidemark_api::{Reason, Refusal};
use tidemark_pages::EditError;

use super::{board::ReadError, change::ChangeError};
use crate::operations::refusals::{internal, of_damage, of_edit, of_read};

impl From<ReadError> for Refusal {
    fn from(fault: ReadError) -> Self {
        match fault {
            ReadError::Store(cause) => of_read(&cause),
            ReadError::Corrupt(cause) => of_damage(&cause),
            ReadError::Endless(cause) => internal(&cause),
        }
    }
}

/// Refuses a change of the `entity` for the reason that stands in the error.
pub fn of_change(entity: &'static str, id: impl Display, fault: EditError<ChangeError>) -> Refusal {
    match fault {
        EditError::Rejected(fault) => of_rejection(entity, id, fault),
        EditError::Closed => Refusal::not_found(entity, id),
        other => of_edit(other),
    }
}

/// The same, found in the edit itself.
pub fn of_rejection(entity: &'static str, id: impl Display, fault: ChangeError) -> Refusal {
    match fault {
        ChangeError::NotFound => Refusal::not_found(entity, id),
        ChangeError::StaleVersion(version) => Refusal::stale(entity, version),
        ChangeError::Fixed(member) => fixed(member),
        ChangeError::Schedule(fault) => Refusal::invalid_field("/endDate", fault),
        ChangeError::Place(fault) => Refusal::invalid_field("/before", fault),
        ChangeError::Full(full) => Refusal::new(Reason::LimitReached, full.to_string()),
        ChangeError::Corrupt(cause) => of_damage(&cause),
    }
}

fn fixed(member: &str) -> Refusal {
    Refusal::invalid_field(format!("/{member}"), format!("{member} cannot be changed"))
}
