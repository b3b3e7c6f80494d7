//! What every change of an existing group begins with: find it, check its version.

use tidemark_domain::{Group, GroupId};
use tidemark_pages::PageEdit;
use tidemark_protocol::stored::CorruptEntry;

use super::board;
use crate::operations::Seen;

/// Why a group was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditGroupError {
    #[error("the group does not exist")]
    NotFound,
    #[error("the group is at version {0}")]
    StaleVersion(u64),
    #[error("{0} cannot be changed")]
    Fixed(&'static str),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

/// Reads the group under edit, if it is there in a version that the caller has seen.
pub fn current(edit: &PageEdit<'_>, id: GroupId, seen: &Seen) -> Result<Group, EditGroupError> {
    let entry = edit.get(&id.entry()).ok_or(EditGroupError::NotFound)?;
    let group = board::read_group(id.page(), entry)?;
    if seen.allows(group.version) { Ok(group) } else { Err(EditGroupError::StaleVersion(group.version)) }
}
