//! Why a change of a group or a task is refused.

use tidemark_domain::{rank::InvalidRank, task::InvalidSchedule};
use tidemark_protocol::stored::CorruptEntry;

use super::create_task::GroupFull;

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
