//! A place on the board, between two tasks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidemark_api::Refusal;
use tidemark_domain::{Rank, Task, TaskId, Workspace, rank::InvalidRank};

use super::TasksRole;
use crate::operations::Check;

/// The ranks between which something shall stand, as they were found.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "GapText", into = "GapText")]
pub struct Gap {
    low: Option<Rank>,
    high: Option<Rank>,
    found_at: Timestamp,
}

/// A gap as a page keeps it.
#[derive(Serialize, Deserialize)]
struct GapText {
    low: Option<String>,
    high: Option<String>,
    found_at: Timestamp,
}

impl From<Gap> for GapText {
    fn from(Gap { low, high, found_at }: Gap) -> Self {
        let text = |rank: Option<Rank>| rank.map(|rank| rank.to_string());
        Self { low: text(low), high: text(high), found_at }
    }
}

impl TryFrom<GapText> for Gap {
    type Error = InvalidRank;

    fn try_from(GapText { low, high, found_at }: GapText) -> Result<Self, InvalidRank> {
        let rank = |text: Option<String>| text.map(|text| text.parse()).transpose();
        Ok(Self { low: rank(low)?, high: rank(high)?, found_at })
    }
}

impl Gap {
    /// A rank in the gap for that task. Others may be put into it at the same moment: none gets the same rank.
    pub fn rank(&self, task: TaskId) -> Result<Rank, InvalidRank> {
        match &self.high {
            Some(high) => Rank::between(self.low.as_ref(), high, task),
            None => Rank::last(self.low.as_ref(), self.found_at, task),
        }
    }

    /// A rank in the gap for each of the tasks, in their order; the same for the same tasks.
    pub fn ranks(mut self, tasks: &[TaskId]) -> Result<BTreeMap<TaskId, Rank>, InvalidRank> {
        let mut ranks = BTreeMap::new();
        for task in tasks {
            let rank = self.rank(*task)?;
            self.low = Some(rank.clone());
            ranks.insert(*task, rank);
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
    let found_at = role.board.now();
    if let (Some(after), Some(before)) = (after, before) {
        let (low, high) =
            tokio::try_join!(role.board.task(workspace, after), role.board.task(workspace, before))?;
        let mut check = Check::default();
        check.that(low.is_some(), "/after", NO_NEIGHBOUR);
        check.that(high.is_some(), "/before", NO_NEIGHBOUR);
        check.passed()?;
        return Ok(Gap { low: low.map(|task| task.rank), high: high.map(|task| task.rank), found_at });
    }
    let Some(group) = moved.first().map(TaskId::group) else {
        return Ok(Gap { low: None, high: None, found_at });
    };
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
            // Of before ranks ended with their tasks, two may share one: the place is beyond all of them.
            let high = others[place..].iter().map(|task| &task.rank).find(|rank| *rank > low);
            Gap { low: Some(low.clone()), high: high.cloned(), found_at }
        }
        (None, Some(before)) => {
            let place = place_of(before, "/before")?;
            let high = &others[place].rank;
            let low = others[..place].iter().rev().map(|task| &task.rank).find(|rank| *rank < high);
            Gap { low: low.cloned(), high: Some(high.clone()), found_at }
        }
        (None, None) => Gap { low: others.last().map(|task| task.rank.clone()), high: None, found_at },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemark_domain::GroupId;

    #[test]
    fn a_gap_that_was_kept_gives_the_same_tasks_the_same_ranks() {
        let found_at = Timestamp::from_millisecond(1_800_000_000_000).unwrap();
        let tasks: Vec<TaskId> = (0..3).map(|number| TaskId::new(GroupId::INBOX, 0, [number; 8])).collect();
        let low = Some(Rank::of_creation(found_at, 1));
        for high in [None, Some(Rank::of_creation(found_at, 2))] {
            let gap = Gap { low: low.clone(), high, found_at };
            let kept: Gap = serde_json::from_slice(&serde_json::to_vec(&gap).unwrap()).unwrap();
            let ranks = gap.ranks(&tasks).unwrap();
            assert_eq!(kept.ranks(&tasks).unwrap(), ranks);
            assert!(ranks.values().is_sorted_by(|a, b| a < b), "{ranks:?}");
        }
    }
}
