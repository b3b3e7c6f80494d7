//! `DELETE /api/groups/{id}`: the group, its tasks and their comments.

use axum::extract::State;
use http::StatusCode;
use tidemark_domain::{Change, GroupId};
use tidemark_protocol::stored::CorruptEntry;

use super::{
    TasksRole,
    board::{self, groups_of},
    cascade::Unfinished,
};
use crate::{
    http::{PathId, Problem, conditional::IfMatch, refusal, request},
    identity::Caller,
    pages::{EditError, PageEdit},
};

/// Why a group was not deleted.
#[derive(Debug, thiserror::Error)]
enum DeleteGroupError {
    #[error("the group does not exist")]
    NotFound,
    #[error("the group is at version {0}")]
    StaleVersion(u64),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

/// Answers 204 once the group is gone, as a rule with everything in it: what a crash leaves is finished by
/// the sweep.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if id == GroupId::INBOX {
        let detail = "the Inbox takes tasks without a group and cannot be deleted";
        return Err(Problem::new(StatusCode::CONFLICT, "inbox-stays", detail));
    }
    let author = role.board.author(&caller);
    let delete = move |edit: &mut PageEdit<'_>| {
        let entry = edit.get(&id.entry()).ok_or(DeleteGroupError::NotFound)?;
        let group = board::read_group(id.page(), entry)?;
        if !if_match.allows(group.version) {
            return Err(DeleteGroupError::StaleVersion(group.version));
        }
        let unfinished = Unfinished::of_group(&author, id, group.name.as_str().to_owned());
        edit.remove(&id.entry());
        let version = group.version + 1;
        author.tell(edit, &id, Change::GroupDeleted { group, version });
        let marker = unfinished.marker();
        edit.set_pending(&marker);
        Ok(marker)
    };
    let page = groups_of(&caller.workspace).page(id.page());
    let marker = role.board.pages.edit(&page, delete).await.map_err(|fault| match fault {
        EditError::Rejected(DeleteGroupError::NotFound) => Problem::not_found("group", id),
        EditError::Rejected(DeleteGroupError::StaleVersion(version)) => Problem::stale("group", version),
        EditError::Rejected(DeleteGroupError::Corrupt(cause)) => request::internal(&cause),
        other => refusal::of_edit(other),
    })?;
    role.cascades.finished(&role.board.pages, &page, &marker).await;
    Ok(StatusCode::NO_CONTENT)
}
