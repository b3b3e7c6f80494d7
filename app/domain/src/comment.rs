//! Comments: what people say about a task.

use jiff::Timestamp;

use crate::{Actor, CommentId, text::text};

text!(
    /// What a comment says: 1 to 2000 characters.
    CommentText, parse_required, "text", 2000, Many
);

/// A comment. It never changes; it goes with its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: CommentId,
    pub text: CommentText,
    pub author: Actor,
    pub created_at: Timestamp,
}
