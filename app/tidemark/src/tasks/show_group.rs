//! A group with its tasks in the order of the board, each with its first comments.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    groups::{ShowGroup, ShownGroup},
};
use tidemark_domain::{GroupId, TaskId};

use super::{TasksRole, bodies};
use crate::operations::{self, Answer, Call, paging};

pub async fn show_group(
    role: Arc<TasksRole>,
    call: Call,
    input: ShowGroup,
) -> Result<Answer<ShownGroup>, Refusal> {
    let id: GroupId = operations::id("group", &input.id)?;
    let limit = paging::limit(input.limit, paging::DEFAULT_LIMIT, paging::LARGEST_LIMIT)?;
    let after: Option<(String, String)> = paging::position(input.cursor.as_deref())?;
    let workspace = &call.caller()?.workspace;
    let group = role.board.group(workspace, id).await?;
    let group = group.ok_or_else(|| Refusal::not_found("group", id))?;
    let mut tasks = role.board.tasks_by_rank(workspace, id).await?;
    let task_count = tasks.len() as u64;
    let place = |rank: &str, task: TaskId| (rank.to_owned(), task.to_string());
    let is_after = |rank: &str, task: TaskId| after.as_ref().is_none_or(|after| place(rank, task) > *after);
    tasks.retain(|task| is_after(task.rank.as_str(), task.id));
    let more = tasks.len() > limit;
    tasks.truncate(limit);
    let last = tasks.last().filter(|_| more);
    let next = last.map(|last| paging::cursor(&place(last.rank.as_str(), last.id)));

    let comments = role.board.comments_of(workspace, &tasks).await?;
    let tasks = tasks.iter().zip(&comments).map(|(task, first)| bodies::task_with_comments(task, first));
    let body = bodies::group(&group, task_count, Some(tasks.collect()));
    Ok(Answer::from(ShownGroup { group: body, next }).at_version(group.version))
}
