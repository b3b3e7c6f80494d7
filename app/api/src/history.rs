//! The activity log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Method, Reason, Role,
    declaration::operation,
    values::{Id, Moment},
};

/// How much happened in each group.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SummariseLogs {
    /// How many groups at most; 10000 if not given.
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(SummariseLogs -> GroupSummaries {
    role: Role::History,
    summary: "Tells by pages how much happened in each group, the latest active first. May be up to 300 seconds old; \
              whoever will not take a kept answer gets a fresh one.",
    method: Method::Get,
    paths: &["/api/logs/groups"],
    kept: true,
});

/// What happened in a group.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct ShowGroupLog {
    /// The group; a deleted one keeps its log.
    pub id: Id,
    /// How many entries at most; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(ShowGroupLog -> Logs {
    role: Role::History,
    summary: "Shows what happened in a group by pages, newest first.",
    method: Method::Get,
    paths: &["/api/logs/group/{id}"],
    refusals: &[Reason::NotFound],
});

/// How much happened to each task of a group.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct SummariseTaskLogs {
    /// The group; a deleted one keeps its log.
    pub id: Id,
    /// How many tasks at most; 1000 if not given.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(SummariseTaskLogs -> TaskSummaries {
    role: Role::History,
    summary: "Tells by pages how much happened to each task of a group, the latest active first.",
    method: Method::Get,
    paths: &["/api/logs/group/{id}/tasks"],
    refusals: &[Reason::NotFound],
});

/// What happened to a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct ShowTaskLog {
    /// The task; a deleted one keeps its log.
    pub id: Id,
    /// How many entries at most; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(ShowTaskLog -> Logs {
    role: Role::History,
    summary: "Shows what happened to a task by pages, newest first.",
    method: Method::Get,
    paths: &["/api/logs/task/{id}"],
    refusals: &[Reason::NotFound],
});

/// One line of the activity log. The names of its members are those of the older API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    pub id: i64,
    pub timestamp: Moment,
    pub event_type: String,
    pub entity: String,
    pub entity_id: Id,
    pub group_id: Option<Id>,
    pub group_name: Option<String>,
    pub task_id: Option<Id>,
    pub task_name: Option<String>,
    /// A readable sentence.
    pub changes: Option<String>,
    pub user_name: Option<String>,
    /// One for all lines that one request led to; lines of older releases do not say it.
    pub action_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Logs {
    pub logs: Vec<LogEntry>,
    /// The cursor of the next page; null at the end.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupSummaries {
    pub groups: Vec<GroupSummary>,
    /// The cursor of the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupSummary {
    pub group_id: Id,
    pub group_name: Option<String>,
    /// A number as text: clients of the older API read it so.
    pub log_count: String,
    pub last_activity: Moment,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskSummaries {
    pub tasks: Vec<TaskSummary>,
    /// The cursor of the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskSummary {
    pub task_id: Id,
    pub task_name: Option<String>,
    /// A number as text, as in the summary of groups.
    pub log_count: String,
    pub last_activity: Moment,
}
