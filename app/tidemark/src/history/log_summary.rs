//! How much happened in each group, by pages, served from memory for a while.

use std::{sync::Arc, time::Duration};

use quick_cache::{Weighter, sync::Cache};
use tidemark_api::{
    Refusal,
    history::{GroupSummaries, GroupSummary, SummariseLogs},
};
use tidemark_domain::Workspace;
use tokio::{sync::Mutex, time::Instant};

use super::{
    HistoryRole,
    logs::refuse,
    summaries::{self, LastSummary},
};
use crate::{
    dapr::{DatabaseBinding, DatabaseError},
    operations::{Answer, Call, paging},
};

/// Workspaces whose summary is expected to be kept.
const WORKSPACES: usize = 1000;
/// Groups in all summaries that are kept.
const GROUPS: u64 = 100_000;
/// Groups of one answer, and of what is kept of a workspace: if it has more, one more tells so.
const MOST_GROUPS: usize = 10_000;

/// Summaries by workspace.
pub struct SummaryCache {
    kept_for: Duration,
    asking: Mutex<()>,
    summaries: Cache<Workspace, Kept, ByGroups>,
}

#[derive(Clone)]
struct Kept {
    read_at: Instant,
    groups: Arc<Vec<GroupSummary>>,
}

/// A summary takes as much room as it has groups.
#[derive(Clone)]
struct ByGroups;

impl Weighter<Workspace, Kept> for ByGroups {
    fn weight(&self, _: &Workspace, kept: &Kept) -> u64 {
        1 + kept.groups.len() as u64
    }
}

impl SummaryCache {
    pub fn new(kept_for: Duration) -> Self {
        let summaries = Cache::with_weighter(WORKSPACES, GROUPS, ByGroups);
        Self { kept_for, asking: Mutex::default(), summaries }
    }

    async fn get(
        &self,
        database: &DatabaseBinding,
        workspace: &Workspace,
        fresh: bool,
    ) -> Result<Kept, DatabaseError> {
        let began = Instant::now();
        let kept = || self.summaries.get(workspace);
        let is_good = |kept: &Kept| !fresh && kept.read_at.elapsed() < self.kept_for;
        if let Some(kept) = kept().filter(is_good) {
            return Ok(kept);
        }
        // One look at the whole log at a time: a header must not decide how often it is counted. Whoever waited
        // takes what was read since the call began.
        let _turn = self.asking.lock().await;
        if let Some(kept) = kept().filter(|kept| is_good(kept) || kept.read_at >= began) {
            return Ok(kept);
        }
        let read_at = Instant::now();
        let groups =
            summaries::read(database, workspace, None, &LastSummary::default(), MOST_GROUPS + 1).await?;
        let groups = Arc::new(groups);
        let kept = Kept { read_at, groups };
        self.summaries.insert(workspace.clone(), kept.clone());
        Ok(kept)
    }

    /// At most so many after the last one shown, and how old they are.
    async fn page(
        &self,
        database: &DatabaseBinding,
        workspace: &Workspace,
        after: &LastSummary,
        most: usize,
        fresh: bool,
    ) -> Result<(Vec<GroupSummary>, Duration), DatabaseError> {
        let kept = self.get(database, workspace, fresh).await?;
        let first = kept.groups.partition_point(|group| !after.is_before(group));
        let rest: Vec<GroupSummary> = kept.groups.iter().skip(first).take(most).cloned().collect();
        if rest.len() == most || kept.groups.len() <= MOST_GROUPS {
            return Ok((rest, kept.read_at.elapsed()));
        }
        let _turn = self.asking.lock().await;
        Ok((summaries::read(database, workspace, None, after, most).await?, Duration::ZERO))
    }
}

pub async fn summarise_logs(
    role: Arc<HistoryRole>,
    call: Call,
    input: SummariseLogs,
) -> Result<Answer<GroupSummaries>, Refusal> {
    let limit = paging::limit(input.limit, MOST_GROUPS, MOST_GROUPS)?;
    let after = LastSummary::of(input.cursor.as_deref())?;
    let (workspace, fresh) = (&call.caller()?.workspace, call.wants_fresh());
    let read = role.summaries.page(&role.database, workspace, &after, limit + 1, fresh).await;
    let (groups, age) = read.map_err(|fault| refuse(&fault))?;
    let (groups, next) = summaries::page(groups, limit);
    Ok(Answer::from(GroupSummaries { groups, next }).aged(age))
}
