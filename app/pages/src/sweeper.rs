//! The sweep: finds processes that have died, and takes over what their pages had left to be done.
//!
//! One process sweeps at a time: the one that holds the sweep's lease. (What an instance left in its former
//! life it sweeps itself, at once.) That is thrift, not safety: two sweeps of the same register do the same
//! harmless thing twice. Who may strike an incarnation off the directory is decided by the fencing number.
//!
//! A lease is over when its item is gone, or when it has not changed for twice its time: the store sets a time
//! to live in a second step, and a crash in between would leave a lease for ever.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    PageKey, Precondition, SaveError, StoreError,
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
/// How long the tombstones of swept slots stay, in leases: longer than a process can be paused and live.
const TOMBSTONE_LEASES: u32 = 240;

impl Sweeper {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let names = Names::new(&engine.configuration);
        Self { engine, names, observed: HashMap::new(), fencing: None, is_first_round: true }
    }

    pub(crate) async fn run(mut self) {
        let engine = self.engine.clone();
        loop {
            let swept = tokio::select! {
                swept = self.round() => swept,
                () = engine.draining.cancelled() => break,
            };
            self.is_first_round &= swept.is_err();
            let outcome = if swept.is_ok() { "done" } else { "failed" };
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

    async fn round(&mut self) -> Result<(), StoreError> {
        let store = self.engine.store.clone();
        let directory = bookkeeping::read::<Directory>(&*store, &self.names.directory()).await?;
        let directory = directory.value.unwrap_or_default();
        let mut others = directory.incarnations;
        others.retain(|incarnation| incarnation.id != self.engine.register.incarnation());
        if self.is_first_round {
            let (former, foreign) =
                others.into_iter().partition(|other| other.instance == self.engine.configuration.instance);
            others = foreign;
            self.sweep_former(former).await?;
        }
        if others.is_empty() {
            return Ok(());
        }
        if !self.holds_lease().await? {
            return Ok(());
        }
        for other in others {
            if let LeaseState::Dead(precondition) = self.lease_state(&self.names.lease(other.id)).await? {
                self.sweep(&other, precondition).await?;
            }
        }
        Ok(())
    }

    /// What this instance left when it last died. Its name is its own: whoever had it is dead.
    async fn sweep_former(&mut self, former: Vec<Incarnation>) -> Result<(), StoreError> {
        for incarnation in former {
            // A new incarnation of this very life may have begun since the directory was read.
            if incarnation.id == self.engine.register.incarnation() {
                continue;
            }
            let lease =
                bookkeeping::read::<Lease>(&*self.engine.store, &self.names.lease(incarnation.id)).await?;
            self.sweep(&incarnation, lease.precondition).await?;
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
        let mut visited = BTreeSet::new();
        let slots: Vec<String> = (0..engine.configuration.register_slots.max(1))
            .map(|slot| self.names.slot(dead.id, slot))
            .collect();
        for (name, found) in slots.iter().zip(engine.get_many(&slots).await?) {
            let mut precondition =
                found.as_ref().map_or(Precondition::Absent, |found| Precondition::Etag(found.etag.clone()));
            let mut slot = found.map(|found| bookkeeping::decode::<Slot>(name, found.value)).transpose()?;
            // Until nothing can be noted here any more, by a process that only seemed dead.
            while slot.as_ref().is_none_or(|slot| !slot.swept) {
                self.visit(slot.unwrap_or_default().pages, &mut visited).await?;
                let tombstone = Bytes::from(Slot { pages: Vec::new(), swept: true }.encode_to_vec());
                match engine.store.save(name, tombstone, precondition, Some(time_to_live)).await {
                    Ok(()) => break,
                    Err(SaveError::Unknown(cause)) => return Err(cause),
                    Err(SaveError::Refused(_)) => {
                        let item = bookkeeping::read::<Slot>(&*engine.store, name).await?;
                        (slot, precondition) = (item.value, item.precondition);
                    }
                }
            }
        }
        self.strike_off(dead).await?;
        metrics::counter!("sweeper_incarnations_total").increment(1);
        tracing::info!(
            instance = dead.instance,
            incarnation = format_args!("{:016x}", dead.id),
            pages = visited.len(),
            "a dead process' pages were taken over"
        );
        Ok(())
    }

    /// Has this process' own writers take the pages over.
    async fn visit(&self, pages: Vec<String>, visited: &mut BTreeSet<String>) -> Result<(), StoreError> {
        let parallel = Arc::new(Semaphore::new(PARALLEL_VISITS));
        let mut visits = JoinSet::new();
        for name in pages {
            if !visited.insert(name.clone()) {
                continue;
            }
            let Some(page) = PageKey::parse(&name) else {
                tracing::error!(name, "the register names what is no page");
                continue;
            };
            let (engine, parallel) = (self.engine.clone(), parallel.clone());
            visits.spawn(async move {
                let _permit = parallel.acquire_owned().await;
                take_over(&engine, &page).await
            });
        }
        while let Some(visit) = visits.join_next().await {
            visit.map_err(StoreError::new)??;
            metrics::counter!("sweeper_pages_total").increment(1);
        }
        Ok(())
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
