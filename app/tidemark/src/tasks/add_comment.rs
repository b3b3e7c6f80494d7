//! `POST /api/tasks/{id}/comments`: a new comment.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tidemark_domain::{Change, Comment, CommentId, TaskId, comment::CommentText};
use tidemark_pages::{EditError, Once, PageEdit};
use tidemark_protocol::stored;

use super::{TasksRole, board::comments_of, bodies::CommentBody};
use crate::{
    http::{
        Check, JsonBody, PathId, Problem,
        idempotency::{self, IdempotencyKey},
        refusal, request,
    },
    identity::Caller,
};

#[derive(Deserialize)]
pub struct NewComment {
    text: Option<String>,
}

/// Answers 201 with the comment; 404 for an unknown task.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
    key: IdempotencyKey,
    JsonBody { value: body, bytes }: JsonBody<NewComment>,
) -> Result<Response, Problem> {
    let mut check = Check::default();
    let text = check.field("/text", CommentText::parse(body.text.as_deref().unwrap_or_default()));
    let text = check.finish(text)?;
    let workspace = &caller.workspace;
    let (task, group) =
        tokio::try_join!(role.board.task(workspace, id), role.board.group(workspace, id.group()))?;
    let (task, group) = task.zip(group).ok_or_else(|| Problem::not_found("task", id))?;

    let author = role.board.author(&caller);
    let operation = format!("comment on {id}");
    let key = key.identify(caller.actor.id, &operation, &bytes).map(Into::into);
    let put = move |edit: &mut PageEdit<'_>| {
        let comment = Comment {
            id: CommentId::new(id, edit.number(), rand::random()),
            text: text.clone(),
            author: author.caller.actor.clone(),
            created_at: edit.now(),
        };
        edit.put(&comment.id.entry(), "", stored::write_comment(&comment));
        // A comment lies beside its task and does not change it: the event carries the task's version as it
        // was when the comment was written.
        let change = Change::TaskCommented {
            comment: comment.clone(),
            task_name: task.name.as_str().to_owned(),
            group_name: group.name.as_str().to_owned(),
            version: task.version,
        };
        author.tell(edit, &comment.id, change);
        Ok::<_, std::convert::Infallible>(comment)
    };
    let created = role.board.pages.append(&comments_of(workspace, id), key, put).await;
    let created = created.map_err(|fault| match fault {
        EditError::Closed => Problem::not_found("task", id),
        other => refusal::of_edit(other),
    })?;
    let (comment, replayed) = match created {
        Once::First(comment) => (comment, false),
        Once::Again(first) => {
            let page = first.page.number();
            let entry = first.entry.ok_or_else(Problem::internal)?;
            let comment = stored::read_comment(id, page, &entry.id, entry.value);
            (comment.map_err(|fault| request::internal(&fault))?, true)
        }
    };
    let body = Json(json!({ "comment": CommentBody::from(&comment) }));
    let mut response = (StatusCode::CREATED, body).into_response();
    if replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}
