//! What surrounds every HTTP request, whatever it asks for: its id and trace, its body, the form of refusals.

pub mod accept;
pub mod body;
pub mod connections;
pub mod encoding;
pub mod problem;
pub mod request;
pub mod target;
mod unread;

pub use problem::Problem;
