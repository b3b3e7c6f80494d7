//! What every change of an existing group has in common: find it, check its version, show it.

use tidemark_api::{Refusal, groups::GroupAnswer};
use tidemark_domain::{Group, GroupId, Workspace};
use tidemark_pages::{FirstAnswer, Once, PageEdit};

use super::{
    TasksRole,
    board::{self, TRASH, tasks_of},
    bodies,
    change::ChangeError,
};
use crate::operations::{
    Answer, Seen,
    refusals::{of_damage, of_read},
};

/// Reads the group under edit, if it is there in a version that the caller has seen.
pub fn current(edit: &PageEdit<'_>, id: GroupId, seen: &Seen) -> Result<Group, ChangeError> {
    let entry = edit.get(&id.entry()).filter(|entry| entry.label != TRASH).ok_or(ChangeError::NotFound)?;
    let group = board::read_group(id.page(), entry)?;
    if seen.allows(group.version) { Ok(group) } else { Err(ChangeError::StaleVersion(group.version)) }
}

/// Shows the group as the first request with the same key left it.
pub async fn answer(
    role: &TasksRole,
    workspace: &Workspace,
    id: GroupId,
    edited: Once<Group>,
) -> Result<Answer<GroupAnswer>, Refusal> {
    let (group, replayed) = match edited {
        Once::First(group) => (group, false),
        Once::Again(FirstAnswer { entry: Some(entry), .. }) => {
            (board::read_group(id.page(), &entry).map_err(|fault| of_damage(&fault))?, true)
        }
        // The first request changed nothing: its answer was the group as it stood.
        Once::Again(FirstAnswer { entry: None, .. }) => {
            let group = role.board.group(workspace, id).await?;
            (group.ok_or_else(|| Refusal::not_found("group", id))?, true)
        }
    };
    let tasks = role.board.pages.summary(&tasks_of(workspace, id)).await;
    let task_count = board::live(&tasks.map_err(|fault| of_read(&fault))?);
    Ok(Answer::from(GroupAnswer { group: bodies::group(&group, task_count, None) })
        .at_version(group.version)
        .replayed(replayed))
}
