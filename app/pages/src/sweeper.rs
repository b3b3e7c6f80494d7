//! The sweep: finds processes that have died, and takes over what their pages had left to be done.
//!
//! One process sweeps at a time: the one that holds the sweep's lease. (What an instance left in its former
//! life it sweeps itself, at once.) That is thrift, not safety: two sweeps of the same register do the same
//! harmless thing twice. Who may strike an incarnation off the directory is decided by the fencing number.
//!
//! What fails for one page, register or process does not stop the sweep of the others, and is not given up: the page
//! stays in its register, its process in the directory, and the next round tries again.
//!
//! A lease is over when its item is gone, or when it has not changed for twice its time: the store sets a time
//! to live in a second step, and a crash in between would leave a lease for ever.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    iter::successors,
    mem,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    PageKey, Precondition, SaveError, StoreError, Versioned,
    bookkeeping::{self, Directory, Incarnation, Lease, Names, Slot},
    engine::Engine,
    writer,
};

pub(crate) struct Sweeper {
    engine: Arc<Engine>,
    names: Names,
    /// When each lease was last seen to change.
    observed: HashMap<String, Observation>,
    /// The fencing number of this process' time as the sweeper.
    fencing: Option<u64>,
    /// No round has succeeded yet.
    is_first_round: bool,
    failures: Failures,
}

/// Why something failed in this round and in the one before.
#[derive(Default)]
struct Failures {
    before: HashSet<String>,
    now: HashMap<String, Failure>,
}

/// One cause.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    /// What it was first seen at.
    subject: String,
    times: usize,
}

struct Observation {
    precondition: Precondition,
    since: Instant,
}

/// Whether the holder of a lease can be taken for dead.
enum LeaseState {
    Alive,
    /// With what a save over the lease must demand.
    Dead(Precondition),
}

/// Pages visited at the same time.
const PARALLEL_VISITS: usize = 16;
/// How long a page is waited for: what is busy all the time is visited again in the next round.
const LONGEST_VISIT: Duration = Duration::from_secs(30);
/// Visits of one process' pages that failed before the store itself is taken for failed.
const MOST_FAILURES: usize = 64;
/// How long the tombstones of swept slots stay, in leases: longer than a process can be paused and live.
const TOMBSTONE_LEASES: u32 = 240;

impl Sweeper {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let names = Names::new(&engine.configuration);
        Self {
            engine,
            names,
            observed: HashMap::new(),
            fencing: None,
            is_first_round: true,
            failures: Failures::default(),
        }
    }

    pub(crate) async fn run(mut self) {
        let engine = self.engine.clone();
        loop {
            let swept = tokio::select! {
                swept = self.round() => swept,
                () = engine.draining.cancelled() => break,
            };
            let ended = swept.unwrap_or_else(|error| {
                self.failures.add("the directory and the lease of the sweep", &error);
                "failed"
            });
            let outcome = if self.failures.now.is_empty() { ended } else { "failed" };
            self.is_first_round &= outcome == "failed";
            for (cause, Failure { subject, times }) in self.failures.end_round() {
                tracing::warn!(
                    subject,
                    times,
                    error = cause,
                    "the pages of an ended process cannot be taken over"
                );
            }
            metrics::counter!("sweeper_runs_total", "outcome" => outcome).increment(1);
            let pause = engine.configuration.sweep_every;
            tokio::select! {
                // Not all replicas at the same moment.
                () = sleep(pause / 2 + engine.random.up_to(pause)) => {}
                () = engine.draining.cancelled() => break,
            }
        }
        self.resign().await;
    }

    /// Returns how it ended, if it did not fail.
    async fn round(&mut self) -> Result<&'static str, StoreError> {
        let store = self.engine.store.clone();
        let directory = bookkeeping::read::<Directory>(&*store, &self.names.directory()).await?;
        let directory = directory.value.unwrap_or_default();
        let leases: HashSet<String> =
            directory.incarnations.iter().map(|incarnation| self.names.lease(incarnation.id)).collect();
        let sweeper = self.names.sweeper();
        self.observed.retain(|name, _| leases.contains(name) || *name == sweeper);
        let mut others = directory.incarnations;
        others.retain(|incarnation| incarnation.id != self.engine.register.incarnation());
        if self.is_first_round {
            let (former, foreign) =
                others.into_iter().partition(|other| other.instance == self.engine.configuration.instance);
            others = foreign;
            self.sweep_former(former).await;
        }
        if others.is_empty() {
            return Ok("done");
        }
        if !self.holds_lease().await? {
            return Ok("idle");
        }
        for other in others {
            if let Err(error) = self.sweep_if_dead(&other).await {
                self.failures.add(&other.to_string(), &error);
            }
        }
        Ok("done")
    }

    /// What this instance left when it last died. Its name is its own: whoever had it is dead.
    async fn sweep_former(&mut self, former: Vec<Incarnation>) {
        for incarnation in former {
            // A new incarnation of this very life may have begun since the directory was read.
            if incarnation.id == self.engine.register.incarnation() {
                continue;
            }
            let name = self.names.lease(incarnation.id);
            let swept = match bookkeeping::read::<Lease>(&*self.engine.store, &name).await {
                Ok(lease) => self.sweep(&incarnation, lease.precondition).await,
                Err(error) => Err(error),
            };
            if let Err(error) = swept {
                self.failures.add(&incarnation.to_string(), &error);
            }
        }
    }

    async fn sweep_if_dead(&mut self, other: &Incarnation) -> Result<(), StoreError> {
        if let LeaseState::Dead(precondition) = self.lease_state(&self.names.lease(other.id)).await? {
            self.sweep(other, precondition).await?;
        }
        Ok(())
    }

    /// Takes over everything that the incarnation has noted.
    async fn sweep(&mut self, dead: &Incarnation, lease: Precondition) -> Result<(), StoreError> {
        let engine = self.engine.clone();
        let time_to_live = engine.configuration.lease * TOMBSTONE_LEASES;
        // If it lives after all, it must know from now on that its notes count no more.
        let revoked = Lease { holder: dead.id, beat: 0, revoked: true };
        let revoked = Bytes::from(revoked.encode_to_vec());
        engine
            .store
            .save(&self.names.lease(dead.id), revoked, lease, Some(time_to_live))
            .await
            .map_err(SaveError::into_store_error)?;
        let slots: Vec<String> = (0..engine.configuration.register_slots.max(1))
            .map(|slot| self.names.slot(dead.id, slot))
            .collect();
        let mut visits = Visits::default();
        for (name, found) in slots.iter().zip(engine.get_many(&slots).await?) {
            if let Err(error) = self.sweep_slot(name, found, &mut visits).await {
                if visits.left.len() > MOST_FAILURES {
                    return Err(error);
                }
                visits.left.insert(name.clone());
                self.failures.add(name, &error);
            }
        }
        if !visits.left.is_empty() {
            return Ok(());
        }
        self.strike_off(dead).await?;
        metrics::counter!("sweeper_incarnations_total").increment(1);
        tracing::info!(
            instance = dead.instance,
            incarnation = format_args!("{:016x}", dead.id),
            pages = visits.done.len(),
            "a dead process' pages were taken over"
        );
        Ok(())
    }

    /// Takes over the pages noted in one item of a register. Those that cannot be visited now stay noted there.
    async fn sweep_slot(
        &mut self,
        name: &str,
        found: Option<Versioned>,
        visits: &mut Visits,
    ) -> Result<(), StoreError> {
        let engine = self.engine.clone();
        let time_to_live = engine.configuration.lease * TOMBSTONE_LEASES;
        let mut precondition =
            found.as_ref().map_or(Precondition::Absent, |found| Precondition::Etag(found.etag.clone()));
        let mut slot = found.map(|found| bookkeeping::decode::<Slot>(name, found.value)).transpose()?;
        // Until nothing can be noted here any more, by a process that only seemed dead.
        loop {
            let known = slot.unwrap_or_default();
            if known.swept && known.pages.is_empty() {
                return Ok(());
            }
            let left = self.visit(&known.pages, visits).await?;
            if known.swept && left == known.pages {
                return Ok(());
            }
            let time_to_live = left.is_empty().then_some(time_to_live);
            let tombstone = Bytes::from(Slot { pages: left, swept: true }.encode_to_vec());
            match engine.store.save(name, tombstone, precondition, time_to_live).await {
                Ok(()) => return Ok(()),
                Err(SaveError::Unknown(cause)) => return Err(cause),
                Err(SaveError::Refused(_)) => {
                    let item = bookkeeping::read::<Slot>(&*engine.store, name).await?;
                    (slot, precondition) = (item.value, item.precondition);
                }
            }
        }
    }

    /// Has this process' own writers take the pages over. Returns those that could not be.
    async fn visit(&mut self, pages: &[String], visits: &mut Visits) -> Result<Vec<String>, StoreError> {
        let parallel = Arc::new(Semaphore::new(PARALLEL_VISITS));
        let mut running = JoinSet::new();
        for name in pages {
            if visits.done.contains(name) || visits.left.contains(name) {
                continue;
            }
            let Some(page) = PageKey::parse(name) else {
                tracing::error!(name, "the register names what is no page");
                continue;
            };
            let (engine, parallel, name) = (self.engine.clone(), parallel.clone(), name.clone());
            running.spawn(async move {
                let _permit = parallel.acquire_owned().await;
                let taken = timeout(LONGEST_VISIT, take_over(&engine, &page)).await;
                (name, taken.unwrap_or_else(|_| Err(StoreError::new(Busy))))
            });
        }
        while let Some(visit) = running.join_next().await {
            let (name, taken) = visit.map_err(StoreError::new)?;
            match taken {
                Ok(()) => {
                    visits.done.insert(name);
                    metrics::counter!("sweeper_pages_total").increment(1);
                }
                Err(error) => {
                    self.failures.add(&name, &error);
                    visits.left.insert(name);
                    // Not a page, but the store: no need to ask it for all of them.
                    if !error.is_unreadable() && visits.left.len() > MOST_FAILURES {
                        return Err(error);
                    }
                }
            }
        }
        Ok(pages.iter().filter(|name| visits.left.contains(*name)).cloned().collect())
    }

    async fn strike_off(&self, dead: &Incarnation) -> Result<(), StoreError> {
        let fencing = self.fencing;
        let is_own = dead.instance == self.engine.configuration.instance;
        bookkeeping::update::<Directory>(&*self.engine.store, &self.names.directory(), None, |directory| {
            if !is_own && Some(directory.fencing) != fencing {
                // Another process has become the sweeper: it does this itself.
                return false;
            }
            let before = directory.incarnations.len();
            directory.incarnations.retain(|incarnation| incarnation.id != dead.id);
            directory.incarnations.len() < before
        })
        .await?;
        Ok(())
    }

    /// Whether this process is the sweeper: renews the sweep's lease, or takes it if it is free.
    async fn holds_lease(&mut self) -> Result<bool, StoreError> {
        let store = self.engine.store.clone();
        let name = self.names.sweeper();
        let item = bookkeeping::read::<Lease>(&*store, &name).await?;
        let is_ours = item.value.is_some_and(|lease| lease.holder == self.engine.process);
        let precondition = if is_ours && self.fencing.is_some() {
            item.precondition
        } else {
            self.fencing = None;
            match self.judge(&name, item.value.is_some(), item.precondition) {
                LeaseState::Alive => return Ok(false),
                LeaseState::Dead(precondition) => precondition,
            }
        };
        let beat = item.value.map_or(0, |lease| lease.beat) + 1;
        let lease = Lease { holder: self.engine.process, beat, revoked: false };
        let value = Bytes::from(lease.encode_to_vec());
        // If another process is faster, or this one's save is in doubt: next time.
        if store.save(&name, value, precondition, Some(self.time_to_live())).await.is_err() {
            return Ok(false);
        }
        if self.fencing.is_none() {
            let mut raised = 0;
            bookkeeping::update::<Directory>(&*store, &self.names.directory(), None, |directory| {
                directory.fencing += 1;
                raised = directory.fencing;
                true
            })
            .await?;
            self.fencing = Some(raised);
        }
        Ok(true)
    }

    async fn resign(&self) {
        if self.fencing.is_none() {
            return;
        }
        let name = self.names.sweeper();
        let Ok(item) = bookkeeping::read::<Lease>(&*self.engine.store, &name).await else { return };
        if item.value.is_some_and(|lease| lease.holder == self.engine.process) {
            drop(self.engine.store.delete(&name, item.precondition).await);
        }
    }

    fn time_to_live(&self) -> Duration {
        self.engine.configuration.lease.max(self.engine.configuration.sweep_every * 4)
    }

    async fn lease_state(&mut self, name: &str) -> Result<LeaseState, StoreError> {
        let item = bookkeeping::read::<Lease>(&*self.engine.store, name).await?;
        if item.value.is_some_and(|lease| lease.revoked) {
            // A sweep was cut short.
            return Ok(LeaseState::Dead(item.precondition));
        }
        Ok(self.judge(name, item.value.is_some(), item.precondition))
    }

    fn judge(&mut self, name: &str, exists: bool, precondition: Precondition) -> LeaseState {
        if !exists {
            self.observed.remove(name);
            return LeaseState::Dead(precondition);
        }
        let now = Instant::now();
        let patience = self.time_to_live() * 2;
        match self.observed.get(name) {
            Some(observed) if observed.precondition == precondition => {
                if now - observed.since >= patience {
                    return LeaseState::Dead(precondition);
                }
            }
            _ => drop(self.observed.insert(name.to_owned(), Observation { precondition, since: now })),
        }
        LeaseState::Alive
    }
}

/// The pages of a dead process, in its sweep.
#[derive(Default)]
struct Visits {
    done: HashSet<String>,
    left: HashSet<String>,
}

/// The page's writer had too much to do, or there were too many writers.
#[derive(Debug, thiserror::Error)]
#[error("the page could not be visited in time")]
struct Busy;

impl Failures {
    fn add(&mut self, subject: &str, error: &StoreError) {
        let causes = successors(Some(error as &dyn Error), |&error| error.source());
        let cause = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let first = || Failure { subject: subject.to_owned(), times: 0 };
        self.now.entry(cause).or_insert_with(first).times += 1;
    }

    /// What has to be told: causes that the round before did not have. Rounds follow every few seconds.
    fn end_round(&mut self) -> HashMap<String, Failure> {
        let mut news = mem::take(&mut self.now);
        let now = news.keys().cloned().collect();
        let before = mem::replace(&mut self.before, now);
        news.retain(|cause, _| !before.contains(cause));
        news
    }
}

/// Pause before a page is asked again whose writer has too much to do.
const BUSY: Duration = Duration::from_millis(50);

async fn take_over(engine: &Arc<Engine>, page: &PageKey) -> Result<(), StoreError> {
    loop {
        let (reply, answer) = oneshot::channel();
        if engine.send(page, writer::Message::Visit(reply), None).is_ok() {
            return answer.await.unwrap_or_else(|cause| Err(StoreError::new(cause)));
        }
        sleep(BUSY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_told_once_a_cause_and_again_after_it_went_well() {
        let mut failures = Failures::default();
        let told = |failures: &mut Failures| failures.end_round().into_iter().collect::<Vec<_>>();
        let down = StoreError::new("refused");
        for page in ["a/0", "b/0"] {
            failures.add(page, &down);
        }
        let first = Failure { subject: "a/0".to_owned(), times: 2 };
        assert_eq!(told(&mut failures), [("the state store failed: refused".to_owned(), first)]);
        failures.add("a/0", &down);
        assert_eq!(told(&mut failures), []);
        assert_eq!(told(&mut failures), []);
        failures.add("b/0", &down);
        assert_eq!(told(&mut failures).len(), 1);
    }
}
