//! Child processes: starting them, knowing them again after the supervisor itself has died, and ending
//! them without ever hitting a stranger that got the same process id.

mod identity;
mod lasting_thread;
mod launch;
mod record;

pub(crate) use identity::Identity;
pub(crate) use launch::{Account, Launch};
pub(crate) use record::{Record, end_recorded};
