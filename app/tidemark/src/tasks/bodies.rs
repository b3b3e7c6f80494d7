//! Groups, tasks and comments as clients see them.

use jiff::Timestamp;
use serde::Serialize;
use tidemark_domain::{Comment, Group, Task};

use super::board::FirstComments;

/// Milliseconds and `Z`, as every time in the API.
fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupBody {
    #[serde(rename = "_id")]
    id: String,
    name: String,
    discussion: String,
    task_count: u64,
    created_by: String,
    created_at: String,
    updated_at: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<TaskBody>>,
}

impl GroupBody {
    pub fn new(group: &Group, task_count: u64, tasks: Option<Vec<TaskBody>>) -> Self {
        Self {
            id: group.id.to_string(),
            name: group.name.as_str().to_owned(),
            discussion: group.discussion.as_str().to_owned(),
            task_count,
            created_by: group.created_by.to_string(),
            created_at: time(group.created_at),
            updated_at: time(group.updated_at),
            version: group.version,
            tasks,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskBody {
    #[serde(rename = "_id")]
    id: String,
    group_id: String,
    name: String,
    description: String,
    status: &'static str,
    start_date: Option<String>,
    end_date: Option<String>,
    rank: String,
    comment_count: u64,
    created_by: String,
    created_at: String,
    updated_at: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    comments: Option<Vec<CommentBody>>,
}

/// An answer that is one task.
#[derive(Serialize)]
pub struct TaskAnswer {
    pub task: TaskBody,
}

impl TaskBody {
    pub fn new(task: &Task, comment_count: u64) -> Self {
        Self {
            id: task.id.to_string(),
            group_id: task.id.group().to_string(),
            name: task.name.as_str().to_owned(),
            description: task.description.as_str().to_owned(),
            status: task.status.as_str(),
            start_date: task.schedule.start().map(|day| day.to_string()),
            end_date: task.schedule.end().map(|day| day.to_string()),
            rank: task.rank.to_string(),
            comment_count,
            created_by: task.created_by.to_string(),
            created_at: time(task.created_at),
            updated_at: time(task.updated_at),
            version: task.version,
            comments: None,
        }
    }

    pub fn with_comments(task: &Task, first: &FirstComments) -> Self {
        let comments = first.comments.iter().map(CommentBody::from).collect();
        Self { comments: Some(comments), ..Self::new(task, first.count) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommentBody {
    #[serde(rename = "_id")]
    id: String,
    task_id: String,
    text: String,
    user: String,
    user_id: String,
    timestamp: String,
    created_at: String,
    updated_at: String,
}

impl From<&Comment> for CommentBody {
    fn from(comment: &Comment) -> Self {
        let created_at = time(comment.created_at);
        Self {
            id: comment.id.to_string(),
            task_id: comment.id.task().to_string(),
            text: comment.text.as_str().to_owned(),
            user: comment.author.name.as_str().to_owned(),
            user_id: comment.author.id.to_string(),
            timestamp: created_at.clone(),
            updated_at: created_at.clone(),
            created_at,
        }
    }
}
