//! What happened in a group. A deleted group keeps its log.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    history::{Logs, ShowGroupLog, SummariseTaskLogs, TaskSummaries},
};
use tidemark_domain::GroupId;

use super::{
    HistoryRole,
    logs::{self, Page, refuse},
};
use crate::operations::{self, Answer, Call};

/// Empty for a group that nobody has heard of.
pub async fn show_group_log(
    role: Arc<HistoryRole>,
    call: Call,
    input: ShowGroupLog,
) -> Result<Answer<Logs>, Refusal> {
    let id: GroupId = operations::id("group", &input.id)?;
    let workspace = &call.caller()?.workspace;
    let page = Page { limit: input.limit, cursor: input.cursor.as_deref() };
    logs::newest_first(&role.database, workspace, "group_id", &id.to_string(), page).await
}

pub async fn summarise_task_logs(
    role: Arc<HistoryRole>,
    call: Call,
    input: SummariseTaskLogs,
) -> Result<Answer<TaskSummaries>, Refusal> {
    let id: GroupId = operations::id("group", &input.id)?;
    let sql = r#"SELECT task_id,
                        (array_agg(task_name ORDER BY "timestamp" DESC, id DESC))[1] AS task_name,
                        count(*)::text AS log_count,
                        to_char(max("timestamp") AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS last_activity
                 FROM todo_event_logs
                 WHERE group_id = $1 AND workspace = $2 AND task_id IS NOT NULL
                 GROUP BY task_id
                 ORDER BY max("timestamp") DESC, task_id
                 LIMIT 1000"#;
    let rows = role.database.rows(sql, &[&id.to_string(), call.caller()?.workspace.as_str()]).await;
    Ok(TaskSummaries { tasks: rows.map_err(|fault| refuse(&fault))? }.into())
}
