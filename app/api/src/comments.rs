//! Comments: what people say about a task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Method, Reason, Repeats, Role, Success,
    declaration::operation,
    values::{Id, Moment},
};

/// The comments of a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id"]))]
pub struct ListComments {
    /// The task.
    pub id: Id,
    /// How many at most; 50 if not given.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u64>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

operation!(ListComments -> CommentList {
    role: Role::Tasks,
    summary: "Lists the comments of a task by pages, oldest first.",
    method: Method::Get,
    paths: &["/api/tasks/{id}/comments", "/tasks/{id}/comments"],
    refusals: &[Reason::NotFound],
});

/// A new comment.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["id", "text"]))]
pub struct AddComment {
    /// The task.
    pub id: Id,
    /// 1 to 2000 characters.
    #[schemars(length(min = 1, max = 2000))]
    pub text: String,
}

operation!(AddComment -> CommentAnswer {
    role: Role::Tasks,
    summary: "Adds a comment to a task.",
    method: Method::Post,
    paths: &["/api/tasks/{id}/comments", "/tasks/{id}/comments"],
    repeats: Repeats::WithKey,
    success: Success::Created { at: None },
    refusals: &[Reason::NotFound],
});

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comment {
    #[serde(rename = "_id")]
    pub id: Id,
    pub task_id: Id,
    pub text: String,
    /// The name of the author when the comment was written.
    pub user: String,
    pub user_id: Id,
    /// The same as `createdAt`.
    pub timestamp: Moment,
    pub created_at: Moment,
    pub updated_at: Moment,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CommentAnswer {
    pub comment: Comment,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CommentList {
    pub comments: Vec<Comment>,
    /// The cursor of the next page; null at the end.
    pub next: Option<String>,
}
