//! What all roles' HTTP interfaces have in common: errors, bodies, paging, conditions, safe retries.

pub mod body;
pub mod conditional;
pub mod idempotency;
pub mod page;
pub mod path;
pub mod problem;
pub mod refusal;
pub mod request;
mod unread;

pub use body::{Check, JsonBody};
pub use page::{ListQuery, Query};
pub use path::PathId;
pub use problem::Problem;
