//! `GET /api/logs/group/{id}` and `GET /api/logs/group/{id}/tasks`: what happened in a group. A deleted group
//! keeps its log.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tidemark_domain::GroupId;

use super::{
    HistoryRole,
    logs::{self, LogQuery, Logs, refuse},
};
use crate::{
    http::{PathId, Problem, Query},
    identity::Caller,
};

/// Answers 200 with the group's log, newest first; empty for a group that nobody has heard of.
pub async fn handle(
    State(role): State<HistoryRole>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Logs>, Problem> {
    logs::newest_first(&role.database, &caller.workspace, "group_id", &id.to_string(), &query).await
}

#[derive(Serialize)]
pub struct TaskSummaries {
    tasks: Vec<TaskSummary>,
}

#[derive(Serialize, Deserialize)]
struct TaskSummary {
    task_id: String,
    task_name: Option<String>,
    /// A number as text, as the group summary has it.
    log_count: String,
    last_activity: String,
}

/// Answers 200 with how much happened to each task of the group, the latest first; at most 1000.
pub async fn tasks(
    State(role): State<HistoryRole>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
) -> Result<Json<TaskSummaries>, Problem> {
    let sql = r#"SELECT task_id,
                        (array_agg(task_name ORDER BY "timestamp" DESC, id DESC))[1] AS task_name,
                        count(*)::text AS log_count,
                        to_char(max("timestamp") AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS last_activity
                 FROM todo_event_logs
                 WHERE group_id = $1 AND workspace = $2 AND task_id IS NOT NULL
                 GROUP BY task_id
                 ORDER BY max("timestamp") DESC, task_id
                 LIMIT 1000"#;
    let rows = role.database.rows(sql, &[&id.to_string(), caller.workspace.as_str()]).await;
    Ok(Json(TaskSummaries { tasks: rows.map_err(|fault| refuse(&fault))? }))
}
