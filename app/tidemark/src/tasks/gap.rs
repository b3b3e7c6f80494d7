//! A place on the board, between two tasks.

use jiff::Timestamp;
use tidemark_api::Refusal;
use tidemark_domain::{Rank, Task, TaskId, Workspace, rank::InvalidRank};

use super::TasksRole;
use crate::operations::Check;

/// The ranks between which something shall stand.
#[derive(Debug, Clone)]
pub struct Gap {
    low: Option<Rank>,
    high: Option<Rank>,
}

impl Gap {
    /// A rank in the gap.
    pub fn rank(&self, now: Timestamp) -> Result<Rank, InvalidRank> {
        match &self.high {
            Some(high) => Rank::between(self.low.as_ref(), high),
            None => Rank::last(self.low.as_ref(), now),
        }
    }

    /// As many ranks in the gap, in order.
    pub fn ranks(mut self, count: usize, now: Timestamp) -> Result<Vec<Rank>, InvalidRank> {
        let mut ranks = Vec::with_capacity(count);
        for _ in 0..count {
            let rank = self.rank(now)?;
            self.low = Some(rank.clone());
            ranks.push(rank);
        }
        Ok(ranks)
    }
}

const NO_NEIGHBOUR: &str = "there is no such other task in the group";

/// The id of a neighbour: of another task in the same group as those that are moved.
pub fn neighbour(moved: &[TaskId], text: Option<&str>) -> Result<Option<TaskId>, &'static str> {
    let Some(text) = text else { return Ok(None) };
    let neighbour: TaskId = text.parse().map_err(|_| NO_NEIGHBOUR)?;
    let fits = moved.iter().all(|moved| neighbour != *moved && neighbour.group() == moved.group());
    if fits { Ok(Some(neighbour)) } else { Err(NO_NEIGHBOUR) }
}

/// With both neighbours only they are read; otherwise the board tells who else stands there. With neither, it is
/// the last place in the group of those that are moved, of which there must be one.
pub async fn gap(
    role: &TasksRole,
    workspace: &Workspace,
    moved: &[TaskId],
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
    let Some(group) = moved.first().map(TaskId::group) else { return Ok(Gap { low: None, high: None }) };
    let mut others: Vec<Task> = role.board.tasks_by_rank(workspace, group).await?;
    others.retain(|task| !moved.contains(&task.id));
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
