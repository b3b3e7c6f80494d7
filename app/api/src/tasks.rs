//! Tasks: what is to be done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Method, Patch, Reason, Repeats, Role, Success,
    comments::Comment,
    declaration::operation,
    values::{Day, Id, Moment, Nothing, Status, not_kept, to_compare},
};

/// Tasks of one group or of all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ListTasks {
    /// Only tasks of this group.
    #[schemars(length(min = 1))]
    pub group_id: Option<Id>,
    /// Only tasks with this status.
    #[schemars(with = "Option<Status>")]
    pub status: Option<String>,
    /// How many at most; 50 if not given.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(ListTasks -> TaskList {
    role: Role::Tasks,
    summary: "Lists tasks by pages, in the order of their creation within each group. A filter that matches \
              little may give short pages with a `next`.",
    method: Method::Get,
    paths: &["/api/tasks", "/tasks", "/api/groups/{groupId}/tasks"],
    refusals: &[Reason::NotFound],
});

/// A new task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["name"]))]
pub struct CreateTask {
    /// The group; without one, the Inbox.
    #[schemars(length(min = 1))]
    pub group_id: Option<Id>,
    /// 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// At most 5000 characters.
    #[schemars(length(max = 5000))]
    pub description: Option<String>,
    /// `New` if not given.
    #[schemars(with = "Option<Status>")]
    pub status: Option<String>,
    /// The first day, such as `2026-01-31`; empty is none.
    pub start_date: Option<String>,
    /// The last day, not before the first; empty is none.
    pub end_date: Option<String>,
}

operation!(CreateTask -> TaskAnswer {
    role: Role::Tasks,
    summary: "Creates a task at the end of its group's board.",
    method: Method::Post,
    paths: &["/api/tasks", "/tasks", "/api/groups/{groupId}/tasks"],
    repeats: Repeats::WithKey,
    success: Success::Created { at: Some("/api/tasks/{id}") },
    refusals: &[Reason::NotFound],
});

/// One task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct ShowTask {
    /// The task.
    pub id: Id,
}

operation!(ShowTask -> TaskAnswer {
    role: Role::Tasks,
    summary: "Shows a task with its first comments.",
    method: Method::Get,
    paths: &["/api/tasks/{id}", "/tasks/{id}"],
    refusals: &[Reason::NotFound],
});

/// Any member of a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["id"]))]
pub struct UpdateTask {
    /// The task.
    pub id: Id,
    #[serde(flatten)]
    pub values: TaskValues,
    #[serde(flatten)]
    pub unchanged: UnchangedTask,
}

operation!(UpdateTask -> TaskAnswer {
    role: Role::Tasks,
    summary: "Changes a task: members that are absent stay as they are.",
    method: Method::Put,
    paths: &["/api/tasks/{id}", "/tasks/{id}"],
    repeats: Repeats::WithKeyAndVersion,
    refusals: &[Reason::NotFound],
});

/// What of a task is given by people. Members that are absent stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TaskValues {
    /// 1 to 255 characters.
    #[serde(skip_serializing_if = "Patch::is_absent")]
    #[schemars(with = "String", length(min = 1, max = 255))]
    pub name: Patch<String>,
    /// At most 5000 characters; null clears it.
    #[serde(skip_serializing_if = "Patch::is_absent")]
    #[schemars(length(max = 5000))]
    pub description: Patch<String>,
    /// Any status may follow any other.
    #[serde(skip_serializing_if = "Patch::is_absent")]
    #[schemars(with = "Status")]
    pub status: Patch<String>,
    /// The first day; null or empty clears it.
    #[serde(skip_serializing_if = "Patch::is_absent")]
    pub start_date: Patch<String>,
    /// The last day, not before the first; null or empty clears it.
    #[serde(skip_serializing_if = "Patch::is_absent")]
    pub end_date: Patch<String>,
}

/// What a task shows and nobody sets: it may be sent back as it was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct UnchangedTask {
    /// Accepted if unchanged.
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none", deserialize_with = "to_compare")]
    #[schemars(with = "Id", extend("readOnly" = true))]
    pub own_id: Option<Id>,
    /// Accepted if unchanged: a task stays in its group.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "to_compare")]
    #[schemars(with = "Id", extend("readOnly" = true))]
    pub group_id: Option<Id>,
    /// Accepted if unchanged: the board moves tasks by `position`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "to_compare")]
    #[schemars(with = "String", extend("readOnly" = true))]
    pub rank: Option<String>,
    /// Accepted, and not read: it follows from the comments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", extend("readOnly" = true))]
    pub comment_count: Option<u64>,
    /// Accepted if unchanged.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "to_compare")]
    #[schemars(with = "Id", extend("readOnly" = true))]
    pub created_by: Option<Id>,
    /// Accepted if unchanged.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "to_compare")]
    #[schemars(with = "Moment", extend("readOnly" = true))]
    pub created_at: Option<Moment>,
    /// Accepted if unchanged.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "to_compare")]
    #[schemars(with = "Moment", extend("readOnly" = true))]
    pub updated_at: Option<Moment>,
    /// Accepted if unchanged: another version is refused as stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", extend("readOnly" = true))]
    pub version: Option<u64>,
    /// Accepted, and not read: comments are added one by one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "not_kept")]
    #[schemars(with = "Vec<serde_json::Value>", extend("readOnly" = true))]
    pub comments: Option<Vec<serde_json::Value>>,
    /// Accepted, and not read.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "not_kept")]
    #[schemars(with = "String", extend("readOnly" = true))]
    pub comments_next: Option<String>,
}

/// Another status.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id", "status"]))]
pub struct ChangeStatus {
    /// The task.
    pub id: Id,
    /// Any status may follow any other; the same again changes nothing.
    #[schemars(with = "Status")]
    pub status: String,
}

operation!(ChangeStatus -> TaskAnswer {
    role: Role::Tasks,
    summary: "Changes where a task stands.",
    method: Method::Put,
    paths: &["/api/tasks/{id}/status", "/tasks/{id}/status"],
    repeats: Repeats::WithKeyAndVersion,
    refusals: &[Reason::NotFound],
});

/// Another place on the board.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct MoveTask {
    /// The task.
    pub id: Id,
    /// The task of the same group that shall stand right before this one.
    pub after: Option<Id>,
    /// The task of the same group that shall stand right after this one. With neither, the last place.
    pub before: Option<Id>,
    /// The column that the task is dropped in; absent, the one that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Status")]
    pub status: Option<String>,
}

operation!(MoveTask -> TaskAnswer {
    role: Role::Tasks,
    summary: "Moves a task between two others of its group, and if wanted into another column.",
    method: Method::Put,
    paths: &["/api/tasks/{id}/position", "/tasks/{id}/position"],
    repeats: Repeats::WithKeyAndVersion,
    refusals: &[Reason::NotFound],
});

/// A task to be deleted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct DeleteTask {
    /// The task.
    pub id: Id,
}

operation!(DeleteTask -> Nothing {
    role: Role::Tasks,
    summary: "Deletes a task: it goes into the trash with its comments, and can be restored for 30 days.",
    method: Method::Delete,
    paths: &["/api/tasks/{id}", "/tasks/{id}"],
    repeats: Repeats::WithKeyAndVersion,
    success: Success::Gone,
    refusals: &[Reason::NotFound],
});

/// A task to be had back.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct RestoreTask {
    /// The task.
    pub id: Id,
}

operation!(RestoreTask -> TaskAnswer {
    role: Role::Tasks,
    summary: "Takes a task back from the trash, as it was and with its comments. One that is not there stays as it \
              is.",
    method: Method::Post,
    paths: &["/api/tasks/{id}/restore", "/tasks/{id}/restore"],
    repeats: Repeats::WithKey,
    refusals: &[Reason::NotFound, Reason::LimitReached],
});

/// One change of many tasks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["ids"]))]
pub struct BulkTasks {
    /// The tasks, each once, in the order in which they shall stand if they are moved.
    #[schemars(length(min = 1, max = 500), extend("uniqueItems" = true))]
    pub ids: Vec<Id>,
    #[serde(flatten)]
    pub values: TaskValues,
    /// The task that shall stand right before them; all must be of its group.
    pub after: Option<Id>,
    /// The task that shall stand right after them; all must be of its group.
    pub before: Option<Id>,
    /// Puts them into the trash instead; then nothing else may be changed.
    pub delete: bool,
}

operation!(BulkTasks -> BulkAnswer {
    role: Role::Tasks,
    summary: "Changes, moves or deletes up to 500 tasks, and says of each what became of it. Tasks that lie in one \
              page of the store change in one commit, others on their own.",
    method: Method::Post,
    paths: &["/api/tasks/bulk"],
    repeats: Repeats::WithKey,
});

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BulkAnswer {
    /// All events of the change carry it. A repeat with the same key goes on with the same action.
    pub action_id: String,
    /// One for each id, in the order of the ids.
    pub results: Vec<BulkResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkResult {
    pub id: Id,
    pub outcome: BulkOutcome,
    /// The task's version after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why the task was not changed: a code such as `not-found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of one of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BulkOutcome {
    /// It is as it was asked for.
    Done,
    Refused,
    /// Time was over before it was heard whether it was changed: repeat the request with the same key.
    Unknown,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    #[serde(rename = "_id")]
    pub id: Id,
    pub group_id: Id,
    pub name: String,
    pub description: String,
    #[schemars(with = "Status")]
    pub status: String,
    pub start_date: Option<Day>,
    pub end_date: Option<Day>,
    /// Where the task stands on its board: ranks sort as text.
    pub rank: String,
    pub comment_count: u64,
    /// The id of a user.
    pub created_by: Id,
    pub created_at: Moment,
    pub updated_at: Moment,
    /// Counts the changes: 1 when created.
    pub version: u64,
    /// The first comments, oldest first, where they are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<Vec<Comment>>,
    /// Where there are more comments than are shown: the cursor with which their list goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments_next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskAnswer {
    pub task: Task,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskList {
    pub tasks: Vec<Task>,
    /// The cursor of the next page; null at the end.
    pub next: Option<String>,
}
