//! Groups, tasks and comments as callers see them.

use jiff::{Timestamp, civil::Date};
use tidemark_api::{
    comments, groups, tasks,
    values::{Day, Moment},
};
use tidemark_domain::{Comment, Group, Task};

use super::board::Card;
use crate::operations::paging;

/// Milliseconds and `Z`, as every time in the API.
pub fn moment(time: Timestamp) -> Moment {
    Moment(format!("{time:.3}"))
}

fn day(day: Date) -> Day {
    Day(day.to_string())
}

pub fn group(group: &Group, task_count: u64, tasks: Option<Vec<tasks::Task>>) -> groups::Group {
    groups::Group {
        id: group.id.to_string(),
        name: group.name.as_str().to_owned(),
        discussion: group.discussion.as_str().to_owned(),
        task_count,
        created_by: group.created_by.to_string(),
        created_at: moment(group.created_at),
        updated_at: moment(group.updated_at),
        version: group.version,
        tasks,
    }
}

pub fn task(task: &Task, comment_count: u64) -> tasks::Task {
    tasks::Task {
        id: task.id.to_string(),
        group_id: task.id.group().to_string(),
        name: task.name.as_str().to_owned(),
        description: task.description.as_str().to_owned(),
        status: task.status.to_string(),
        start_date: task.schedule.start().map(day),
        end_date: task.schedule.end().map(day),
        rank: task.rank.to_string(),
        comment_count,
        created_by: task.created_by.to_string(),
        created_at: moment(task.created_at),
        updated_at: moment(task.updated_at),
        version: task.version,
        comments: None,
        comments_next: None,
    }
}

/// A task with its first comments.
pub fn card(card: &Card) -> tasks::Task {
    let Card { task, comments } = card;
    let next = comments.next.as_ref().map(paging::cursor);
    let first = comments.comments.iter().map(comment).collect();
    tasks::Task { comments: Some(first), comments_next: next, ..self::task(task, comments.count) }
}

pub fn comment(comment: &Comment) -> comments::Comment {
    let created_at = moment(comment.created_at);
    comments::Comment {
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
