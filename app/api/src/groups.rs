//! Groups: named lists of tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Method, Patch, Reason, Repeats, Role, Success,
    declaration::operation,
    tasks::Task,
    values::{Id, Moment, Nothing, not_kept, to_compare},
};

/// The groups of the workspace.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListGroups {
    /// How many at most; 50 if not given.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// `tasks` embeds the tasks of each group, in the order of the board.
    #[schemars(with = "Option<Embedded>")]
    pub include: Option<String>,
}

/// What a list of groups may embed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Embedded {
    Tasks,
}

operation!(ListGroups -> GroupList {
    role: Role::Tasks,
    summary: "Lists the groups of the workspace by pages, newest first.",
    method: Method::Get,
    paths: &["/api/groups"],
});

/// A new group.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name"]))]
pub struct CreateGroup {
    /// 1 to 100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// What the group is about, at most 1000 characters.
    #[schemars(length(max = 1000))]
    pub discussion: Option<String>,
}

operation!(CreateGroup -> GroupAnswer {
    role: Role::Tasks,
    summary: "Creates a group.",
    method: Method::Post,
    paths: &["/api/groups"],
    repeats: Repeats::WithKey,
    success: Success::Created { at: Some("/api/groups/{id}") },
});

/// One group with its tasks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct ShowGroup {
    /// The group.
    pub id: Id,
    /// How many tasks at most; 50 if not given.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(ShowGroup -> ShownGroup {
    role: Role::Tasks,
    summary: "Shows a group with a page of its tasks in the order of the board, each with its first comments.",
    method: Method::Get,
    paths: &["/api/groups/{id}"],
    refusals: &[Reason::NotFound],
});

/// Another name or discussion.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct UpdateGroup {
    /// The group.
    pub id: Id,
    /// 1 to 100 characters.
    #[serde(skip_serializing_if = "Patch::is_absent")]
    #[schemars(with = "String", length(min = 1, max = 100))]
    pub name: Patch<String>,
    /// What the group is about, at most 1000 characters; null clears it.
    #[serde(skip_serializing_if = "Patch::is_absent")]
    #[schemars(length(max = 1000))]
    pub discussion: Patch<String>,
    #[serde(flatten)]
    pub unchanged: UnchangedGroup,
}

operation!(UpdateGroup -> GroupAnswer {
    role: Role::Tasks,
    summary: "Changes a group: members that are absent stay as they are.",
    method: Method::Put,
    paths: &["/api/groups/{id}"],
    repeats: Repeats::WithKeyAndVersion,
    refusals: &[Reason::NotFound],
});

/// What a group shows and nobody sets: it may be sent back as it was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct UnchangedGroup {
    /// Accepted if unchanged.
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none", deserialize_with = "to_compare")]
    #[schemars(with = "Id", extend("readOnly" = true))]
    pub own_id: Option<Id>,
    /// Accepted, and not read: it follows from the tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", extend("readOnly" = true))]
    pub task_count: Option<u64>,
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
    /// Accepted, and not read: tasks are changed one by one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "not_kept")]
    #[schemars(with = "Vec<serde_json::Value>", extend("readOnly" = true))]
    pub tasks: Option<Vec<serde_json::Value>>,
}

/// A group to be deleted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct DeleteGroup {
    /// The group.
    pub id: Id,
}

operation!(DeleteGroup -> Nothing {
    role: Role::Tasks,
    summary: "Deletes a group: it goes into the trash with its tasks and their comments, and can be restored for 30 \
              days.",
    method: Method::Delete,
    paths: &["/api/groups/{id}"],
    repeats: Repeats::WithKeyAndVersion,
    success: Success::Gone,
    refusals: &[Reason::NotFound, Reason::InboxStays],
});

/// A group to be had back.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct RestoreGroup {
    /// The group.
    pub id: Id,
}

operation!(RestoreGroup -> GroupAnswer {
    role: Role::Tasks,
    summary: "Takes a group back from the trash with all that was in it. One that is not there stays as it is.",
    method: Method::Post,
    paths: &["/api/groups/{id}/restore"],
    repeats: Repeats::WithKey,
    refusals: &[Reason::NotFound],
});

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    #[serde(rename = "_id")]
    pub id: Id,
    pub name: String,
    pub discussion: String,
    /// Exact where the tasks are shown too; elsewhere it follows within a moment.
    pub task_count: u64,
    /// The id of a user.
    pub created_by: Id,
    pub created_at: Moment,
    pub updated_at: Moment,
    /// Counts the changes: 1 when created.
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<Task>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupAnswer {
    pub group: Group,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ShownGroup {
    pub group: Group,
    /// The cursor of the next page of tasks; null at the end.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupList {
    pub groups: Vec<Group>,
    /// The cursor of the next page; null at the end.
    pub next: Option<String>,
}
