//! What happened to a task. A deleted task keeps its log.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    history::{Logs, ShowTaskLog},
};
use tidemark_domain::TaskId;

use super::{
    HistoryRole,
    logs::{self, Page},
};
use crate::operations::{self, Answer, Call};

/// Empty for a task that nobody has heard of.
pub async fn show_task_log(
    role: Arc<HistoryRole>,
    call: Call,
    input: ShowTaskLog,
) -> Result<Answer<Logs>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let workspace = &call.caller()?.workspace;
    let page = Page { limit: input.limit, cursor: input.cursor.as_deref() };
    logs::newest_first(&role.database, workspace, "task_id", &id.to_string(), page).await
}
