//! Log rows as clients see them, newest first, by pages.

use axum::Json;
use serde::{Deserialize, Serialize};
use tidemark_domain::Workspace;

use crate::{
    dapr::{DatabaseBinding, DatabaseError},
    http::{Problem, page, request},
};

/// `?limit=&cursor=`.
#[derive(Deserialize)]
pub struct LogQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

pub const DEFAULT_LIMIT: usize = 100;
pub const LARGEST_LIMIT: usize = 1000;

/// One line of the activity log.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogEntry {
    pub id: i64,
    pub timestamp: String,
    pub event_type: String,
    pub entity: String,
    pub entity_id: String,
    pub group_id: Option<String>,
    pub group_name: Option<String>,
    pub task_id: Option<String>,
    pub task_name: Option<String>,
    pub changes: Option<String>,
    pub user_name: Option<String>,
    /// One for all lines that one request led to. Lines of older releases do not say it.
    pub action_id: Option<String>,
}

#[derive(Serialize)]
pub struct Logs {
    logs: Vec<LogEntry>,
    next: Option<String>,
}

/// The time and number of the last entry seen. The end of time comes before all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position(String, i64);

impl Default for Position {
    fn default() -> Self {
        Self("infinity".to_owned(), i64::MAX)
    }
}

/// The rows of a workspace in which `column` has `value`.
pub async fn newest_first(
    database: &DatabaseBinding,
    workspace: &Workspace,
    column: &'static str,
    value: &str,
    query: &LogQuery,
) -> Result<Json<Logs>, Problem> {
    let limit = page::limit(query.limit.as_deref(), DEFAULT_LIMIT, LARGEST_LIMIT)?;
    let Position(time, id) = page::position(query.cursor.as_deref())?;
    let sql = format!(
        r#"SELECT id,
                  to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "timestamp",
                  event_type, entity, entity_id, group_id, group_name, task_id, task_name, changes, user_name,
                  action_id::text AS action_id
           FROM todo_event_logs
           WHERE {column} = $1 AND workspace = $2 AND ("timestamp", id) < ($3::text::timestamptz, $4::text::bigint)
           ORDER BY todo_event_logs."timestamp" DESC, id DESC
           LIMIT $5::text::bigint"#
    );
    // One more than asked for tells whether there are more.
    let (id, most) = (id.to_string(), (limit + 1).to_string());
    let rows = database.rows(&sql, &[value, workspace.as_str(), &time, &id, &most]).await;
    let mut logs: Vec<LogEntry> = rows.map_err(|fault| refuse(&fault))?;
    let more = logs.len() > limit;
    logs.truncate(limit);
    let last = logs.last().filter(|_| more);
    let next = last.map(|last| page::cursor(&Position(last.timestamp.clone(), last.id)));
    Ok(Json(Logs { logs, next }))
}

pub fn refuse(fault: &DatabaseError) -> Problem {
    request::unavailable("the history is unavailable at the moment", fault)
}
