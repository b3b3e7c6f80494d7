//! What the suites in `tests/` share.
//!
//! A suite is a test binary without the usual harness: [`suite::run`] starts one stack for all its trials,
//! runs them side by side, and stops the stack whatever happens. A trial is an async function that returns
//! [`Outcome`]; `?` notes where it failed. Nothing sleeps and hopes: a trial awaits an event, or asks
//! with [`eventually()`] until the answer is right.

mod eventually;
mod failure;
pub mod http;
pub mod program;
pub mod suite;

pub use eventually::eventually;
pub use failure::{Failure, Outcome};
