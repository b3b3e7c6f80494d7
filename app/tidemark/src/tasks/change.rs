//! Why a change of a group or a task is refused.

use tidemark_domain::{rank::InvalidRank, task::InvalidSchedule};
use tidemark_protocol::stored::CorruptEntry;

use super::create_task::GroupFull;

/// What was read may be sent back, as long as it is what is there.
pub fn stays<T: PartialEq>(sent: Option<&T>, shown: &T, member: &'static str) -> Result<(), ChangeError> {
    if sent.is_none_or(|sent| sent == shown) { Ok(()) } else { Err(ChangeError::Fixed(member)) }
}

/// The same of a version: another one is not fixed but stale.
pub fn stays_at(sent: Option<u64>, version: u64) -> Result<(), ChangeError> {
    if sent.is_none_or(|sent| sent == version) { Ok(()) } else { Err(ChangeError::StaleVersion(version)) }
}

/// Found in the edit itself, and so true of the page that the change would have been made to.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("it does not exist")]
    NotFound,
    #[error("it is at version {0}")]
    StaleVersion(u64),
    #[error("{0} cannot be changed")]
    Fixed(&'static str),
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
    /// There is no place between the neighbours.
    #[error(transparent)]
    Place(#[from] InvalidRank),
    #[error(transparent)]
    Full(#[from] GroupFull),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}
