//! `GET /api/logs/task/{id}`: what happened to a task. A deleted task keeps its log.

use axum::{Json, extract::State};
use tidemark_domain::TaskId;

use super::{
    HistoryRole,
    logs::{self, LogQuery, Logs},
};
use crate::{
    http::{PathId, Problem, Query},
    identity::Caller,
};

/// Answers 200 with the task's log, newest first; empty for a task that nobody has heard of.
pub async fn handle(
    State(role): State<HistoryRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Logs>, Problem> {
    logs::newest_first(&role.database, &caller.workspace, "task_id", &id.to_string(), &query).await
}
