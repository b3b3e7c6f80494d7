//! How much happened in each group, served from memory for a while.

use std::{sync::Arc, time::Duration};

use quick_cache::{Weighter, sync::Cache};
use tidemark_api::{
    Refusal,
    history::{GroupSummaries, GroupSummary, SummariseLogs},
};
use tidemark_domain::Workspace;
use tokio::{sync::Mutex, time::Instant};

use super::{HistoryRole, logs::refuse};
use crate::{
    dapr::{DatabaseBinding, DatabaseError},
    operations::{Answer, Call},
};

/// Workspaces whose summary is expected to be kept.
const WORKSPACES: usize = 1000;
/// Groups in all summaries that are kept.
const GROUPS: u64 = 100_000;

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
        let sql = r#"SELECT group_id,
                            (array_agg(group_name ORDER BY "timestamp" DESC, id DESC))[1] AS group_name,
                            count(*)::text AS log_count,
                            to_char(max("timestamp") AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                AS last_activity
                     FROM todo_event_logs
                     WHERE workspace = $1 AND group_id IS NOT NULL
                     GROUP BY group_id
                     ORDER BY max("timestamp") DESC, group_id
                     LIMIT 10000"#;
        let read_at = Instant::now();
        let groups = Arc::new(database.rows(sql, &[workspace.as_str()]).await?);
        let kept = Kept { read_at, groups };
        self.summaries.insert(workspace.clone(), kept.clone());
        Ok(kept)
    }
}

pub async fn summarise_logs(
    role: Arc<HistoryRole>,
    call: Call,
    _: SummariseLogs,
) -> Result<Answer<GroupSummaries>, Refusal> {
    let kept = role.summaries.get(&role.database, &call.caller()?.workspace, call.wants_fresh()).await;
    let kept = kept.map_err(|fault| refuse(&fault))?;
    let groups = kept.groups.to_vec();
    Ok(Answer::from(GroupSummaries { groups }).aged(kept.read_at.elapsed()))
}
