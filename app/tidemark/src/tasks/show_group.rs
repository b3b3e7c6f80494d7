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
    let shown = role.board.group_with_cards(&call.caller()?.workspace, id).await?;
    let (group, mut cards) = shown.ok_or_else(|| Refusal::not_found("group", id))?;
    let task_count = cards.len() as u64;
    let place = |rank: &str, task: TaskId| (rank.to_owned(), task.to_string());
    let is_after = |rank: &str, task: TaskId| after.as_ref().is_none_or(|after| place(rank, task) > *after);
    cards.retain(|card| is_after(card.task.rank.as_str(), card.task.id));
    let more = cards.len() > limit;
    cards.truncate(limit);
    let last = cards.last().filter(|_| more);
    let next = last.map(|last| paging::cursor(&place(last.task.rank.as_str(), last.task.id)));
    let tasks = cards.iter().map(bodies::card).collect();
    let body = bodies::group(&group, task_count, Some(tasks));
    Ok(Answer::from(ShownGroup { group: body, next }).at_version(group.version))
}
