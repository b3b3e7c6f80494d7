//! `PUT /api/tasks/{id}/position`: another place on the board, and with it perhaps another status.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use tidemark_domain::{Rank, Task, TaskId, TaskStatus};

use super::{TasksRole, edit_task::edit_task};
use crate::{
    http::{Check, JsonBody, PathId, Problem, conditional::IfMatch},
    identity::Caller,
};

/// The new neighbours: one is enough, the other follows from the board. With neither, the last place.
#[derive(Deserialize)]
pub struct NewPosition {
    /// The task that shall stand right before this one.
    after: Option<String>,
    /// The task that shall stand right after this one.
    before: Option<String>,
    /// The column that the task is dropped in.
    status: Option<String>,
}

/// Answers 200 with the task; 400 if a neighbour is not in the same group or they are not in order.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<TaskId>,
    if_match: IfMatch,
    JsonBody { value: body, .. }: JsonBody<NewPosition>,
) -> Result<Response, Problem> {
    let others: Vec<Task> = role.board.tasks_by_rank(&caller.workspace, id.group()).await?;
    let others: Vec<Task> = others.into_iter().filter(|task| task.id != id).collect();

    let mut check = Check::default();
    let after = check.field("/after", place_of(&others, body.after.as_deref()));
    let before = check.field("/before", place_of(&others, body.before.as_deref()));
    let status = check.field("/status", body.status.as_deref().map(str::parse::<TaskStatus>).transpose());
    let ((after, before), status) = check.finish(after.zip(before).zip(status))?;

    let rank_at = |place: usize| others.get(place).map(|task| task.rank.clone());
    let (low, high) = match (after, before) {
        (Some(after), Some(before)) => (rank_at(after), rank_at(before)),
        (Some(after), None) => (rank_at(after), rank_at(after + 1)),
        (None, Some(before)) => (before.checked_sub(1).and_then(rank_at), rank_at(before)),
        (None, None) => (others.last().map(|task| task.rank.clone()), None),
    };
    if let Some(high) = &high {
        Rank::between(low.as_ref(), high).map_err(|fault| Problem::invalid_field("/before", fault))?;
    }
    edit_task(&role, &caller, id, if_match, move |task, now| {
        let rank = match &high {
            Some(high) => Rank::between(low.as_ref(), high).unwrap_or_else(|_| task.rank.clone()),
            None => Rank::last(low.as_ref(), now).unwrap_or_else(|_| task.rank.clone()),
        };
        Ok(Task { rank, status: status.unwrap_or(task.status), ..task.clone() })
    })
    .await
}

fn place_of(tasks: &[Task], id: Option<&str>) -> Result<Option<usize>, &'static str> {
    let Some(id) = id else { return Ok(None) };
    let place = tasks.iter().position(|task| task.id.to_string() == id);
    place.map(Some).ok_or("there is no such other task in the group")
}
