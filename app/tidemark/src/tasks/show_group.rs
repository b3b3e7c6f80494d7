//! `GET /api/groups/{id}`: a group with its tasks in the order of the board, each with its comments.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde_json::json;
use tidemark_domain::{GroupId, TaskId};

use super::{
    TasksRole,
    bodies::{GroupBody, TaskBody},
};
use crate::{
    http::{ListQuery, PathId, Problem, conditional, page},
    identity::Caller,
};

/// Answers 200 with the group, a page of its tasks (`limit`, `cursor`, `next`), and the first comments of each.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    query: ListQuery,
) -> Result<Response, Problem> {
    let workspace = &caller.workspace;
    let group = role.board.group(workspace, id).await?;
    let group = group.ok_or_else(|| Problem::not_found("group", id))?;
    let after: Option<(String, String)> = query.position()?;
    let all = role.board.tasks_by_rank(workspace, id).await?;
    let task_count = all.len() as u64;
    let place = |rank: &str, task: TaskId| (rank.to_owned(), task.to_string());
    let is_after = |rank: &str, task: TaskId| after.as_ref().is_none_or(|after| place(rank, task) > *after);
    let mut tasks = all;
    tasks.retain(|task| is_after(task.rank.as_str(), task.id));
    let more = tasks.len() > query.limit;
    tasks.truncate(query.limit);
    let next = tasks.last().filter(|_| more).map(|last| page::cursor(&place(last.rank.as_str(), last.id)));

    let comments = role.board.comments_of(workspace, &tasks).await?;
    let task_bodies =
        tasks.iter().zip(&comments).map(|(task, first)| TaskBody::with_comments(task, first)).collect();
    let body = GroupBody::new(&group, task_count, Some(task_bodies));
    let etag = [(header::ETAG, conditional::etag(group.version))];
    Ok((etag, Json(json!({ "group": body, "next": next }))).into_response())
}
