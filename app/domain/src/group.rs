//! Groups: named lists of tasks.

use jiff::Timestamp;

use crate::{GroupId, UserId, text::text};

text!(
    /// What a group is called: 1 to 100 characters.
    GroupName, parse_required, "name", 100, One
);
text!(
    /// What a group is about: at most 1000 characters, may be empty.
    Discussion, parse_optional, "discussion", 1000, Many
);

/// A group as it stands after its latest change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: GroupId,
    pub name: GroupName,
    pub discussion: Discussion,
    pub created_by: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts the changes: 1 when created.
    pub version: u64,
}
