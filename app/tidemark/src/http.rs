//! What surrounds every HTTP request, whatever it asks for: its id and trace, its body, the form of refusals.

pub mod body;
pub mod problem;
pub mod request;
mod unread;

pub use problem::Problem;
