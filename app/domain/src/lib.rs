//! Tidemark's words: what a group, a task, a comment and a user are, which values they accept, and what an
//! event says about a change.
//!
//! Everything here is a pure value: no async, no I/O, no clock, no randomness. A value that exists is
//! valid; text from outside becomes one by `parse`, which names every rule it breaks.

pub mod comment;
pub mod event;
pub mod group;
pub mod id;
pub mod rank;
pub mod task;
pub mod text;
pub mod trash;
pub mod user;
pub mod workspace;

pub use comment::Comment;
pub use event::{Access, ActionId, Causes, Change, CommandId, EntityKind, Event, EventId, EventKind};
pub use group::Group;
pub use id::{CommentId, GroupId, TaskId, UserId};
pub use rank::Rank;
pub use task::{Task, TaskStatus};
pub use trash::Deletion;
pub use user::{Actor, User};
pub use workspace::Workspace;
