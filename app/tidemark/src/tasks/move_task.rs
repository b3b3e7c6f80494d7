//! Another place on the board, and with it perhaps another status.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    tasks::{MoveTask, TaskAnswer},
};
use tidemark_domain::{Rank, Task, TaskId, TaskStatus, Workspace};

use super::{TasksRole, edit_task::edit_task};
use crate::operations::{self, Answer, Call, Check};

/// The ranks between which the task shall stand.
struct Gap {
    low: Option<Rank>,
    high: Option<Rank>,
}

/// One neighbour is enough, the other follows from the board; with neither, the last place. A neighbour that
/// is not in the same group, or two that are not in order, are refused.
pub async fn move_task(
    role: Arc<TasksRole>,
    call: Call,
    input: MoveTask,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let id: TaskId = operations::id("task", &input.id)?;
    let workspace = &call.caller()?.workspace;
    let mut check = Check::default();
    let after = check.field("/after", neighbour(id, input.after.as_deref()));
    let before = check.field("/before", neighbour(id, input.before.as_deref()));
    let status = input.status.as_deref().map(str::parse::<TaskStatus>).transpose();
    let status = check.field("/status", status);
    let (Some(after), Some(before), Some(status)) = (after, before, status) else {
        return Err(check.refusal());
    };
    let Gap { low, high } = gap(&role, workspace, id, after, before).await?;
    edit_task(&role, &call, id, &input, move |task, now| {
        let rank = match &high {
            Some(high) => Rank::between(low.as_ref(), high)?,
            None => Rank::last(low.as_ref(), now)?,
        };
        Ok(Task { rank, status: status.unwrap_or(task.status), ..task.clone() })
    })
    .await
}

const NO_NEIGHBOUR: &str = "there is no such other task in the group";

/// The id of a neighbour: of another task in the same group.
fn neighbour(id: TaskId, text: Option<&str>) -> Result<Option<TaskId>, &'static str> {
    let Some(text) = text else { return Ok(None) };
    let neighbour: TaskId = text.parse().map_err(|_| NO_NEIGHBOUR)?;
    if neighbour != id && neighbour.group() == id.group() { Ok(Some(neighbour)) } else { Err(NO_NEIGHBOUR) }
}

/// With both neighbours only they are read; otherwise the board tells who else stands there.
async fn gap(
    role: &TasksRole,
    workspace: &Workspace,
    id: TaskId,
    after: Option<TaskId>,
    before: Option<TaskId>,
) -> Result<Gap, Refusal> {
    if let (Some(after), Some(before)) = (after, before) {
        let (low, high) =
            tokio::try_join!(role.board.task(workspace, after), role.board.task(workspace, before))?;
        let mut check = Check::default();
        check.that(low.is_some(), "/after", NO_NEIGHBOUR);
        check.that(high.is_some(), "/before", NO_NEIGHBOUR);
        check.passed()?;
        return Ok(Gap { low: low.map(|task| task.rank), high: high.map(|task| task.rank) });
    }
    let mut others: Vec<Task> = role.board.tasks_by_rank(workspace, id.group()).await?;
    others.retain(|task| task.id != id);
    let place_of = |neighbour: TaskId, pointer: &str| {
        let place = others.iter().position(|task| task.id == neighbour);
        place.ok_or_else(|| Refusal::invalid_field(pointer, NO_NEIGHBOUR))
    };
    Ok(match (after, before) {
        (Some(after), _) => {
            let place = place_of(after, "/after")?;
            let low = &others[place].rank;
            // Tasks that were moved in the same moment may share a rank: the place is beyond all of them.
            let high = others[place..].iter().map(|task| &task.rank).find(|rank| *rank > low);
            Gap { low: Some(low.clone()), high: high.cloned() }
        }
        (None, Some(before)) => {
            let place = place_of(before, "/before")?;
            let high = &others[place].rank;
            let low = others[..place].iter().rev().map(|task| &task.rank).find(|rank| *rank < high);
            Gap { low: low.cloned(), high: Some(high.clone()) }
        }
        (None, None) => Gap { low: others.last().map(|task| task.rank.clone()), high: None },
    })
}
