//! `GET /api/tasks/{id}/comments`: the comments of a task, oldest first, by pages.

use axum::{Json, extract::State};
use serde::Serialize;
use tidemark_domain::TaskId;

use super::{
    TasksRole,
    board::{self, comments_of},
    bodies::CommentBody,
};
use crate::{
    http::{ListQuery, PathId, Problem, page, refusal, request},
    identity::Caller,
};

#[derive(Serialize)]
pub struct CommentList {
    comments: Vec<CommentBody>,
    next: Option<String>,
}

/// Pages of comments read by one request to the store.
const STEP: u32 = 4;

/// Answers 200 with the comments; 404 for an unknown task.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
    query: ListQuery,
) -> Result<Json<CommentList>, Problem> {
    let task = role.board.task(&caller.workspace, id).await?;
    task.ok_or_else(|| Problem::not_found("task", id))?;
    let (mut from, mut skip) = query.position::<(u32, usize)>()?;
    let collection = comments_of(&caller.workspace, id);
    let mut comments = Vec::new();
    loop {
        let read = role.board.pages.read_collection(&collection, from, STEP).await;
        let read = read.map_err(|fault| refusal::of_read(&fault))?;
        for view in &read.pages {
            let here = board::read_comments(id, view).map_err(|fault| request::internal(&fault))?;
            for (index, comment) in here.iter().enumerate().skip(skip) {
                if comments.len() == query.limit {
                    let next = page::cursor(&(view.key().number(), index));
                    return Ok(Json(CommentList { comments, next: Some(next) }));
                }
                comments.push(CommentBody::from(comment));
            }
            skip = 0;
        }
        match read.next {
            Some(next) => from = next,
            None => return Ok(Json(CommentList { comments, next: None })),
        }
    }
}
