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
    summaries::{self, LastSummary},
};
use crate::operations::{self, Answer, Call, paging};

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
    let limit = paging::limit(input.limit, MOST_TASKS, MOST_TASKS)?;
    let after = LastSummary::of(input.cursor.as_deref())?;
    let (workspace, group) = (&call.caller()?.workspace, id.to_string());
    let read = summaries::read(&role.database, workspace, Some(&group), &after, limit + 1).await;
    let (tasks, next) = summaries::page(read.map_err(|fault| refuse(&fault))?, limit);
    Ok(TaskSummaries { tasks, next }.into())
}

/// Tasks of one answer.
const MOST_TASKS: usize = 1000;
