//! From declared operations to everything by which they can be called.
//!
//! A role offers its operations ([`Offered`]); the [`Registry`] has all that this process offers. Every way in
//! (HTTP, a call from another role) goes through [`Registry::admit`], the one place that asks whether the
//! caller may, and [`Registry::perform`], which reads the input and runs the action.

mod answer;
mod authorise;
mod call;
mod check;
pub mod client;
pub mod conditional;
pub mod http;
pub mod idempotency;
mod input;
pub mod invoke;
mod offered;
pub mod openapi;
pub mod paging;
pub mod refusals;
mod registry;

pub use answer::Answer;
pub use call::Call;
pub use check::{Check, id};
pub use client::RoleClient;
pub use conditional::Seen;
pub use idempotency::{Fingerprints, made};
pub use offered::Offered;
pub use registry::Registry;
