//! `GET /api/logs/groups`: how much happened in each group, served from memory for a while.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use tidemark_domain::Workspace;
use tokio::time::Instant;

use super::{HistoryRole, logs::refuse};
use crate::{
    dapr::{DatabaseBinding, DatabaseError},
    http::Problem,
    identity::Caller,
};

/// Workspaces whose summary is kept.
const WORKSPACES: usize = 1000;

/// Summaries by workspace.
pub struct SummaryCache {
    kept_for: Duration,
    summaries: Cache<Workspace, Kept>,
}

#[derive(Clone)]
struct Kept {
    read_at: Instant,
    groups: Arc<Vec<GroupSummary>>,
}

#[derive(Serialize, Deserialize)]
struct GroupSummary {
    group_id: String,
    group_name: Option<String>,
    /// A number as text: clients of the older API read it so.
    log_count: String,
    last_activity: String,
}

#[derive(Serialize)]
struct Summaries<'a> {
    groups: &'a [GroupSummary],
}

impl SummaryCache {
    pub fn new(kept_for: Duration) -> Self {
        Self { kept_for, summaries: Cache::new(WORKSPACES) }
    }

    async fn get(
        &self,
        database: &DatabaseBinding,
        workspace: &Workspace,
        fresh: bool,
    ) -> Result<Kept, DatabaseError> {
        let kept = self.summaries.get(workspace).filter(|kept| kept.read_at.elapsed() < self.kept_for);
        if let Some(kept) = kept.filter(|_| !fresh) {
            return Ok(kept);
        }
        let sql = r#"SELECT group_id,
                            (array_agg(group_name ORDER BY "timestamp" DESC, id DESC))[1] AS group_name,
                            count(*)::text AS log_count,
                            to_char(max("timestamp") AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                AS last_activity
                     FROM todo_event_logs
                     WHERE workspace = $1 AND group_id IS NOT NULL
                     GROUP BY group_id
                     ORDER BY max("timestamp") DESC, group_id
                     LIMIT 10000"#;
        let read_at = Instant::now();
        let groups = Arc::new(database.rows(sql, &[workspace.as_str()]).await?);
        let kept = Kept { read_at, groups };
        self.summaries.insert(workspace.clone(), kept.clone());
        Ok(kept)
    }
}

/// Answers 200 with the groups, the latest active first. `Cache-Control: no-cache` asks for fresh numbers.
pub async fn handle(
    State(role): State<HistoryRole>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let fresh = asked.is_some_and(|asked| asked.contains("no-cache"));
    let kept = role.summaries.get(&role.database, &caller.workspace, fresh).await;
    let kept = kept.map_err(|fault| refuse(&fault))?;
    let age = [
        (header::AGE, HeaderValue::from(kept.read_at.elapsed().as_secs())),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    Ok((age, Json(Summaries { groups: &kept.groups })).into_response())
}
