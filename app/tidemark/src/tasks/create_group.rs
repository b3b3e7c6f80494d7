//! `POST /api/groups`: a new group.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tidemark_domain::{
    Change, Group, GroupId,
    group::{Discussion, GroupName},
};
use tidemark_pages::{EditError, Once, PageEdit};
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, Author, Board, groups_of},
    bodies::GroupBody,
};
use crate::{
    http::{
        Check, JsonBody, Problem, conditional,
        idempotency::{self, IdempotencyKey},
        refusal, request,
    },
    identity::Caller,
};

#[derive(Deserialize)]
pub struct NewGroup {
    name: Option<String>,
    discussion: Option<String>,
}

/// Answers 201 with the group; 400 for a name or discussion against the rules.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody { value: body, bytes }: JsonBody<NewGroup>,
) -> Result<Response, Problem> {
    let mut check = Check::default();
    let name = check.field("/name", GroupName::parse(body.name.as_deref().unwrap_or_default()));
    let discussion =
        check.field("/discussion", Discussion::parse(body.discussion.as_deref().unwrap_or_default()));
    let (name, discussion) = check.finish(name.zip(discussion))?;

    let author = role.board.author(&caller);
    let key = key.identify(caller.actor.id, "create group", &bytes).map(Into::into);
    let create = move |edit: &mut PageEdit<'_>| {
        let id = GroupId::new(edit.number(), rand::random());
        Ok::<_, std::convert::Infallible>(put_new_group(edit, &author, id, name.clone(), discussion.clone()))
    };
    let created = role.board.pages.append(&groups_of(&caller.workspace), key, create).await;
    let (group, replayed) = match created.map_err(refusal::of_edit)? {
        Once::First(group) => (group, false),
        Once::Again(first) => {
            let entry = first.entry.ok_or_else(Problem::internal)?;
            let group = board::read_group(first.page.number(), &entry);
            (group.map_err(|fault| request::internal(&fault))?, true)
        }
    };
    let headers = [
        (header::LOCATION, format!("/api/groups/{}", group.id).parse().map_err(|_| Problem::internal())?),
        (header::ETAG, conditional::etag(group.version)),
    ];
    let body = Json(json!({ "group": GroupBody::new(&group, 0, Some(Vec::new())) }));
    let mut response = (StatusCode::CREATED, headers, body).into_response();
    if replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

fn put_new_group(
    edit: &mut PageEdit<'_>,
    author: &Author,
    id: GroupId,
    name: GroupName,
    discussion: Discussion,
) -> Group {
    let now = edit.now();
    let group = Group {
        id,
        name,
        discussion,
        created_by: author.caller.actor.id,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    edit.put(&id.entry(), "", stored::write_group(&group));
    author.tell(edit, &id, Change::GroupCreated { group: group.clone() });
    group
}

/// The group for tasks that name none. It is made when it is first needed.
pub async fn inbox(board: &Board, caller: &Caller) -> Result<Group, Problem> {
    if let Some(group) = board.group(&caller.workspace, GroupId::INBOX).await? {
        return Ok(group);
    }
    let author = board.author(caller);
    let page = groups_of(&caller.workspace).page(GroupId::INBOX.page());
    let create = move |edit: &mut PageEdit<'_>| match edit.get(&GroupId::INBOX.entry()) {
        Some(entry) => board::read_group(GroupId::INBOX.page(), entry),
        None => Ok(put_new_group(
            edit,
            &author,
            GroupId::INBOX,
            GroupName::parse("Inbox").expect("a short word is a valid name"),
            Discussion::parse("").expect("empty is a valid discussion"),
        )),
    };
    board.pages.edit(&page, create).await.map_err(|fault| match fault {
        EditError::Rejected(corrupt) => request::internal(&corrupt),
        other => refusal::of_edit(other),
    })
}
