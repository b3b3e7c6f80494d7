//! What is deleted lies in the trash for a while, and can be had back.

use jiff::Timestamp;

use crate::{Actor, event::ActionId};

/// Who put something into the trash, when, and with what else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    pub at: Timestamp,
    pub by: Actor,
    /// What was deleted by one action can be told from what was deleted before.
    pub action_id: ActionId,
}
