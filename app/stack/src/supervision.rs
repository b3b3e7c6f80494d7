//! Keeping processes up: one task for each unit, which alone starts, watches and ends its processes.
//!
//! A unit is one process, or an application with its sidecar. The members of a unit live and die together:
//! a sidecar neither lists subscriptions again nor reconnects quickly when its application restarts, and
//! an application without its sidecar can do nothing.

mod policy;
mod unit;

#[cfg(test)]
mod tests;

pub(crate) use policy::RestartPolicy;
pub(crate) use unit::{Command, Hook, MemberSpecification, Unit, UnitSpecification};
