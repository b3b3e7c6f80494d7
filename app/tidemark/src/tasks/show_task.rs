//! `GET /api/tasks/{id}`: one task.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use tidemark_domain::TaskId;

use super::{
    TasksRole,
    bodies::{TaskAnswer, TaskBody},
};
use crate::{
    http::{PathId, Problem, conditional},
    identity::Caller,
};

/// Answers 200 with the task and its first comments.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
) -> Result<Response, Problem> {
    let task = role.board.task(&caller.workspace, id).await?;
    let task = task.ok_or_else(|| Problem::not_found("task", id))?;
    let comments = role.board.comments_of(&caller.workspace, std::slice::from_ref(&task)).await?;
    let body = match comments.first() {
        Some(first) => TaskBody::with_comments(&task, first),
        None => TaskBody::new(&task, 0),
    };
    let etag = [(header::ETAG, conditional::etag(task.version))];
    Ok((etag, Json(TaskAnswer { task: body })).into_response())
}
