//! `PUT /api/groups/{id}`: another name or discussion.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde::Deserialize;
use serde_json::json;
use tidemark_domain::{
    Change, Group, GroupId,
    group::{Discussion, GroupName},
};
use tidemark_protocol::stored::{self, CorruptEntry};

use super::{
    TasksRole,
    board::{self, groups_of, tasks_of},
    bodies::GroupBody,
};
use crate::{
    http::{Check, JsonBody, PathId, Problem, conditional, conditional::IfMatch, refusal, request},
    identity::Caller,
    pages::{EditError, PageEdit},
};

#[derive(Deserialize)]
pub struct GroupChanges {
    name: Option<String>,
    discussion: Option<String>,
}

/// Why a group was not changed.
#[derive(Debug, thiserror::Error)]
enum UpdateGroupError {
    #[error("the group does not exist")]
    NotFound,
    #[error("the group is at version {0}")]
    StaleVersion(u64),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

/// Answers 200 with the group. Members that are absent stay as they are; 412 if `If-Match` names another
/// version.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    if_match: IfMatch,
    JsonBody { value: body, .. }: JsonBody<GroupChanges>,
) -> Result<Response, Problem> {
    let mut check = Check::default();
    let name = check.field("/name", body.name.as_deref().map(GroupName::parse).transpose());
    let discussion =
        check.field("/discussion", body.discussion.as_deref().map(Discussion::parse).transpose());
    let (name, discussion) = check.finish(name.zip(discussion))?;

    let author = role.board.author(&caller);
    let update = move |edit: &mut PageEdit<'_>| {
        let entry = edit.get(&id.entry()).ok_or(UpdateGroupError::NotFound)?;
        let current = board::read_group(id.page(), entry)?;
        if !if_match.allows(current.version) {
            return Err(UpdateGroupError::StaleVersion(current.version));
        }
        let mut group = Group {
            name: name.clone().unwrap_or_else(|| current.name.clone()),
            discussion: discussion.clone().unwrap_or_else(|| current.discussion.clone()),
            ..current.clone()
        };
        if group == current {
            return Ok(group);
        }
        group.updated_at = edit.now();
        group.version = edit.put(&id.entry(), "", stored::write_group(&group));
        author.tell(edit, &id, Change::GroupUpdated { before: current, after: group.clone() });
        Ok(group)
    };
    let page = groups_of(&caller.workspace).page(id.page());
    let group = role.board.pages.edit(&page, update).await.map_err(|fault| match fault {
        EditError::Rejected(UpdateGroupError::NotFound) => Problem::not_found("group", id),
        EditError::Rejected(UpdateGroupError::StaleVersion(version)) => Problem::stale("group", version),
        EditError::Rejected(UpdateGroupError::Corrupt(cause)) => request::internal(&cause),
        other => refusal::of_edit(other),
    })?;
    let tasks = role.board.pages.summary(&tasks_of(&caller.workspace, id)).await;
    let task_count = tasks.map_err(|fault| refusal::of_read(&fault))?.entries;
    let etag = [(header::ETAG, conditional::etag(group.version))];
    Ok((etag, Json(json!({ "group": GroupBody::new(&group, task_count, None) }))).into_response())
}
