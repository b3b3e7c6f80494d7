//! The register of active pages: since the store cannot list keys, a process writes down which pages it may
//! leave unfinished before it first saves them, so that the sweep of another process finds them.
//!
//! A process notes a page once, when it starts to use it. Notes that are asked for at the same time share one
//! save; a page that is put away leaves the register with a later save. The pages are spread over a fixed
//! number of items ("slots"), filled one after the other, so that a save carries few of them.
//!
//! A process relies on its notes only while it holds its lease. It renews the lease long before it expires; if
//! it could not, or finds it revoked, it goes on as a new incarnation with an empty register, and its pages are
//! noted again before their next save. Everything noted under the old one is swept. A swept slot is left as a
//! tombstone, so that a process which slept through all this cannot note a page where nobody looks any more;
//! and the sweep saves every page that it takes over, so that a save which slept is refused.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    Configuration, PageKey, Precondition, SaveError, StateStore, StoreError,
    bookkeeping::{self, Directory, Incarnation, Lease, Names, Slot},
    engine::Engine,
    random::Random,
};

/// Says that a page is noted, under which incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    incarnation: u64,
}

enum Request {
    Note { page: PageKey, reply: oneshot::Sender<Result<Note, StoreError>> },
    Expect { page: PageKey },
    Release { page: PageKey, note: Note },
    Leave { reply: oneshot::Sender<()> },
}

/// Everybody's end of the register.
pub(crate) struct Register {
    /// Bounded by the number of writers, each of which has at most a few requests here.
    requests: mpsc::UnboundedSender<Request>,
    life: Arc<Life>,
}

/// The incarnation, and until when its lease is certain.
pub(crate) struct Life {
    /// 0: none.
    incarnation: AtomicU64,
    /// Milliseconds since `started`.
    certain_until: AtomicU64,
    started: Instant,
    /// The lease as it was last saved here.
    lease: tokio::sync::Mutex<Option<OwnLease>>,
}

struct OwnLease {
    lease: Lease,
    precondition: Precondition,
}

/// The task that keeps the register.
pub(crate) struct Registrar {
    store: Arc<dyn StateStore>,
    names: Names,
    instance: String,
    lease: Duration,
    random: Arc<Random>,
    requests: mpsc::UnboundedReceiver<Request>,
    life: Arc<Life>,
    /// Of this incarnation; everything below is its.
    incarnation: u64,
    slots: Vec<KeptSlot>,
    /// The slot that is being filled.
    filling: usize,
    listed: HashMap<PageKey, Listing>,
    /// The process has given up its lease for good.
    has_left: bool,
}

#[derive(Default)]
struct KeptSlot {
    pages: Vec<PageKey>,
    /// Pages among them that need not be here any more.
    outdated: usize,
    /// What the next save goes over; `None`: not known.
    etag: Option<String>,
    is_stored: bool,
}

struct Listing {
    slot: usize,
    state: ListingState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListingState {
    /// In use, or about to be.
    Active,
    /// May be wanted soon.
    Expected(Instant),
    /// Put away; goes with the next save of its slot.
    Outdated,
}

/// A slot with this many pages is full.
const FULL_SLOT: usize = 256;
/// How long an expected page stays listed without being used, and how often outdated ones are removed.
const TIDY_EVERY: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn new(
    configuration: &Configuration,
    store: &Arc<dyn StateStore>,
    random: &Arc<Random>,
) -> (Register, Registrar) {
    let (requests, received) = mpsc::unbounded_channel();
    let life = Arc::new(Life {
        incarnation: AtomicU64::new(0),
        certain_until: AtomicU64::new(0),
        started: Instant::now(),
        lease: tokio::sync::Mutex::default(),
    });
    let registrar = Registrar {
        store: store.clone(),
        names: Names::new(configuration),
        instance: configuration.instance.clone(),
        lease: configuration.lease,
        random: random.clone(),
        requests: received,
        life: life.clone(),
        incarnation: 0,
        slots: (0..configuration.register_slots.max(1)).map(|_| KeptSlot::default()).collect(),
        filling: 0,
        listed: HashMap::new(),
        has_left: false,
    };
    (Register { requests, life }, registrar)
}

#[derive(Debug, thiserror::Error)]
#[error("the register is closed")]
struct Closed;

impl Register {
    /// Whether the note can still be relied on.
    pub(crate) fn holds(&self, note: Note) -> bool {
        self.life.is_certain() && self.life.current() == note.incarnation
    }

    /// Notes the page. Once this returns, a crash of this process leads to a sweep of the page.
    pub(crate) async fn note(&self, page: &PageKey) -> Result<Note, StoreError> {
        let (reply, answer) = oneshot::channel();
        drop(self.requests.send(Request::Note { page: page.clone(), reply }));
        answer.await.unwrap_or_else(|_| Err(StoreError::new(Closed)))
    }

    /// The page may be noted soon: does it ahead, so that nobody has to wait.
    pub(crate) fn expect(&self, page: &PageKey) {
        drop(self.requests.send(Request::Expect { page: page.clone() }));
    }

    /// The page has nothing left to be done, and is put away.
    pub(crate) fn release(&self, page: &PageKey, note: Note) {
        drop(self.requests.send(Request::Release { page: page.clone(), note }));
    }

    /// Gives up the lease. If no page is active, nothing is left for a sweep either.
    pub(crate) async fn leave(&self) {
        let (reply, left) = oneshot::channel();
        drop(self.requests.send(Request::Leave { reply }));
        drop(left.await);
    }

    /// The incarnation of now, or 0.
    pub(crate) fn incarnation(&self) -> u64 {
        self.life.current()
    }
}

impl Life {
    fn current(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    fn is_certain(&self) -> bool {
        self.milliseconds(Instant::now()) < self.certain_until.load(Ordering::Acquire)
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// The lease was saved by a request that began at `began`.
    fn renewed(&self, began: Instant, lease: Duration) {
        // The rest of the time to live is for the clocks, and for saves that are checked and then delayed.
        self.certain_until.store(self.milliseconds(began + lease / 3 * 2), Ordering::Release);
    }

    fn end(&self) {
        self.certain_until.store(0, Ordering::Release);
        self.incarnation.store(0, Ordering::Release);
    }
}

impl Registrar {
    pub(crate) async fn run(mut self) {
        let mut requests = Vec::new();
        let mut tidy = interval(TIDY_EVERY);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.requests.recv_many(&mut requests, 1024) => {
                    if received == 0 {
                        return;
                    }
                    self.process(&mut requests).await;
                }
                _ = tidy.tick() => self.tidy().await,
            }
        }
    }

    async fn process(&mut self, requests: &mut Vec<Request>) {
        let mut notes = Vec::new();
        let mut expected = Vec::new();
        let mut leaves = None;
        for request in requests.drain(..) {
            match request {
                Request::Note { page, reply } => notes.push((page, reply)),
                Request::Expect { page } => expected.push(page),
                Request::Release { page, note } => {
                    // The same page may be noted again in this very batch: in the order of the requests.
                    if notes.iter().any(|(noted, _)| *noted == page) {
                        self.note_all(std::mem::take(&mut notes), std::mem::take(&mut expected)).await;
                    }
                    self.release(&page, note);
                }
                Request::Leave { reply } => leaves = Some(reply),
            }
        }
        self.note_all(notes, expected).await;
        if let Some(reply) = leaves {
            self.leave().await;
            // Who does not wait any more need not know.
            let _ = reply.send(());
        }
    }

    async fn note_all(
        &mut self,
        notes: Vec<(PageKey, oneshot::Sender<Result<Note, StoreError>>)>,
        expected: Vec<PageKey>,
    ) {
        if notes.is_empty() && (expected.is_empty() || !self.is_alive()) {
            return;
        }
        let pages: Vec<PageKey> = notes.iter().map(|(page, _)| page.clone()).collect();
        let outcome = self.list(&pages, &expected).await;
        for (_, reply) in notes {
            drop(reply.send(outcome.clone()));
        }
    }

    fn is_alive(&self) -> bool {
        self.life.is_certain() && self.life.current() == self.incarnation && self.incarnation != 0
    }

    async fn list(&mut self, pages: &[PageKey], expected: &[PageKey]) -> Result<Note, StoreError> {
        if self.has_left {
            return Err(StoreError::new(Closed));
        }
        let mut attempts = 0;
        loop {
            if !self.is_alive()
                && let Err(cause) = self.begin().await
            {
                // Half begun: if the directory has it, it is swept like any other.
                self.life.end();
                return Err(cause);
            }
            self.choose_slot();
            let now = Instant::now();
            let mut placed = self.place(pages, ListingState::Active);
            placed.extend(self.place(expected, ListingState::Expected(now)));
            if placed.iter().all(|(_, before)| before.is_some()) {
                return Ok(Note { incarnation: self.incarnation });
            }
            match self.save_slot(self.filling).await {
                Ok(()) if self.is_alive() => return Ok(Note { incarnation: self.incarnation }),
                // The lease ran out meanwhile, or the slot has been swept: as a new incarnation.
                Ok(()) => {}
                Err(cause) => {
                    self.take_back(placed);
                    return Err(cause);
                }
            }
            attempts += 1;
            if attempts == ATTEMPTS {
                return Err(StoreError::new("the lease keeps running out"));
            }
        }
    }

    /// Goes on to another slot if this one is full.
    fn choose_slot(&mut self) {
        let in_use = |slot: &KeptSlot| slot.pages.len() - slot.outdated;
        if in_use(&self.slots[self.filling]) >= FULL_SLOT {
            let emptiest = self.slots.iter().enumerate().min_by_key(|(_, slot)| in_use(slot));
            self.filling = emptiest.map_or(0, |(index, _)| index);
        }
    }

    /// Lists the pages that are not listed, in the slot that is being filled. Returns those whose listing has
    /// changed, with their state before.
    fn place(&mut self, pages: &[PageKey], state: ListingState) -> Vec<(PageKey, Option<ListingState>)> {
        let mut placed = Vec::new();
        for page in pages {
            if let Some(listing) = self.listed.get_mut(page) {
                if state == ListingState::Active && listing.state != state {
                    if listing.state == ListingState::Outdated {
                        self.slots[listing.slot].outdated -= 1;
                    }
                    placed.push((page.clone(), Some(listing.state)));
                    listing.state = state;
                }
            } else {
                self.listed.insert(page.clone(), Listing { slot: self.filling, state });
                self.slots[self.filling].pages.push(page.clone());
                placed.push((page.clone(), None));
            }
        }
        placed
    }

    /// Nobody has been told that these pages are noted.
    fn take_back(&mut self, placed: Vec<(PageKey, Option<ListingState>)>) {
        for (page, before) in placed {
            match (before, self.listed.get_mut(&page)) {
                (None, Some(listing)) => {
                    self.slots[listing.slot].pages.retain(|listed| *listed != page);
                    self.listed.remove(&page);
                }
                (Some(before), Some(listing)) => {
                    listing.state = before;
                    if before == ListingState::Outdated {
                        self.slots[listing.slot].outdated += 1;
                    }
                }
                // Another incarnation has begun since.
                (_, None) => {}
            }
        }
    }

    fn release(&mut self, page: &PageKey, note: Note) {
        if note.incarnation != self.incarnation {
            return;
        }
        if let Some(listing) = self.listed.get_mut(page)
            && listing.state != ListingState::Outdated
        {
            listing.state = ListingState::Outdated;
            self.slots[listing.slot].outdated += 1;
        }
    }

    /// Removes from the store what has been put away.
    async fn tidy(&mut self) {
        let now = Instant::now();
        for listing in self.listed.values_mut() {
            if matches!(listing.state, ListingState::Expected(since) if now - since >= TIDY_EVERY) {
                listing.state = ListingState::Outdated;
                self.slots[listing.slot].outdated += 1;
            }
        }
        for slot in 0..self.slots.len() {
            if self.is_alive() && self.slots[slot].outdated > 0 {
                // What stays in the store costs a needless visit, if this process crashes. Those who want to note
                // something are waiting: a store that fails is asked once.
                if self.save_slot(slot).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Saves the slot without what is outdated. If it has been swept, this incarnation ends.
    async fn save_slot(&mut self, index: usize) -> Result<(), StoreError> {
        let (slot, listed) = (&mut self.slots[index], &mut self.listed);
        if slot.outdated > 0 {
            slot.pages.retain(|page| {
                let stays = listed.get(page).is_some_and(|listing| listing.state != ListingState::Outdated);
                if !stays {
                    listed.remove(page);
                }
                stays
            });
            slot.outdated = 0;
        }
        let pages = slot.pages.iter().map(PageKey::to_string).collect();
        let wanted = Slot { pages, swept: false };
        let value = Bytes::from(wanted.encode_to_vec());
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let name = self.names.slot(self.incarnation, number);
        let mut attempts = 0;
        loop {
            let slot = &mut self.slots[index];
            let precondition = match (&slot.etag, slot.is_stored) {
                (Some(etag), _) => Some(Precondition::Etag(etag.clone())),
                (None, false) => Some(Precondition::Absent),
                (None, true) => None,
            };
            let error = match precondition {
                None => None,
                Some(precondition) => match self.store.save(&name, value.clone(), precondition, None).await {
                    Ok(()) => {
                        metrics::counter!("pages_register_saves_total").increment(1);
                        slot.etag = self.store.next_etag(slot.etag.as_deref());
                        slot.is_stored = true;
                        return Ok(());
                    }
                    Err(error) => Some(error),
                },
            };
            // Nobody but this process and its sweeper writes here.
            let found = bookkeeping::read::<Slot>(&*self.store, &name).await?;
            slot.is_stored = found.value.is_some();
            slot.etag = match found.precondition {
                Precondition::Etag(etag) => Some(etag),
                Precondition::Absent => None,
            };
            if found.value.as_ref().is_some_and(|found| found.swept) {
                self.life.end();
                return Ok(());
            }
            // It was saved, and the answer got lost, or told of another save in the same call.
            if error.is_some() && found.value == Some(wanted.clone()) {
                return Ok(());
            }
            attempts += 1;
            if attempts == ATTEMPTS {
                let cause = error.map(SaveError::into_store_error);
                return Err(cause.unwrap_or_else(|| StoreError::new("the register cannot be saved")));
            }
            sleep(self.random.up_to(PAUSE)).await;
        }
    }

    /// Begins a new incarnation, with an empty register.
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.life.end();
        self.listed.clear();
        self.slots.iter_mut().for_each(|slot| *slot = KeptSlot::default());
        self.filling = 0;
        let id = self.random.number().max(1);
        self.incarnation = id;
        let mut own = self.life.lease.lock().await;
        // Before others can see it: this process' own sweep must not take it for a former life. Then the lease:
        // an incarnation in the directory without one is taken for dead.
        self.life.incarnation.store(id, Ordering::Release);
        let name = self.names.lease(id);
        let began = Instant::now();
        let lease = Lease { holder: id, beat: 1, revoked: false };
        let value = Bytes::from(lease.encode_to_vec());
        if let Err(error) = self.store.save(&name, value, Precondition::Absent, Some(self.lease)).await
            && bookkeeping::read::<Lease>(&*self.store, &name).await?.value != Some(lease)
        {
            return Err(error.into_store_error());
        }
        let instance = self.instance.clone();
        bookkeeping::update::<Directory>(&*self.store, &self.names.directory(), None, |directory| {
            let is_missing = directory.incarnations.iter().all(|incarnation| incarnation.id != id);
            if is_missing {
                directory.incarnations.push(Incarnation { id, instance: instance.clone() });
            }
            is_missing
        })
        .await?;
        let precondition = match self.store.next_etag(None) {
            Some(etag) => Precondition::Etag(etag),
            None => bookkeeping::read::<Lease>(&*self.store, &name).await?.precondition,
        };
        *own = Some(OwnLease { lease, precondition });
        self.life.renewed(began, self.lease);
        tracing::info!(incarnation = format_args!("{id:016x}"), "active pages are registered");
        Ok(())
    }

    /// Gives up the lease; and the register too, if it is empty.
    async fn leave(&mut self) {
        self.has_left = true;
        let own = self.life.lease.lock().await.take();
        let id = self.life.current();
        self.life.end();
        let Some(own) = own.filter(|_| id != 0) else { return };
        let is_empty = self.listed.values().all(|listing| listing.state != ListingState::Active);
        if is_empty {
            let name = self.names.directory();
            let removed = bookkeeping::update::<Directory>(&*self.store, &name, None, |directory| {
                let before = directory.incarnations.len();
                directory.incarnations.retain(|incarnation| incarnation.id != id);
                directory.incarnations.len() < before
            });
            if removed.await.is_err() {
                return;
            }
            for (slot, number) in self.slots.iter().zip(0..) {
                if let Some(etag) = &slot.etag {
                    let name = self.names.slot(id, number);
                    drop(self.store.delete(&name, Precondition::Etag(etag.clone())).await);
                }
            }
        }
        // Without a lease, what is left is swept at once. If this fails, it is swept when the lease runs out.
        drop(self.store.delete(&self.names.lease(id), own.precondition).await);
    }
}

/// Renews the lease while there is one.
pub(crate) async fn keep_alive(engine: Arc<Engine>) {
    let lease = engine.configuration.lease;
    let names = Names::new(&engine.configuration);
    loop {
        sleep(lease / 5).await;
        let life = &engine.register.life;
        let mut held = life.lease.lock().await;
        let id = life.current();
        let Some(own) = held.as_mut().filter(|own| own.lease.holder == id) else { continue };
        if !life.is_certain() {
            // Too late to renew it: others may have taken this process for dead.
            tracing::warn!("the lease of the active pages ran out");
            metrics::counter!("pages_leases_lost_total").increment(1);
            life.end();
            *held = None;
            continue;
        }
        let began = Instant::now();
        let name = names.lease(id);
        match renew(&*engine.store, &name, own, lease).await {
            Renewal::Done => life.renewed(began, lease),
            // Tried again while the lease lasts.
            Renewal::Failed => metrics::counter!("pages_lease_failures_total").increment(1),
            Renewal::Revoked => {
                tracing::warn!("the lease of the active pages was revoked");
                metrics::counter!("pages_leases_lost_total").increment(1);
                life.end();
                *held = None;
            }
        }
    }
}

enum Renewal {
    Done,
    Failed,
    Revoked,
}

async fn renew(store: &dyn StateStore, name: &str, own: &mut OwnLease, time_to_live: Duration) -> Renewal {
    let lease = Lease { beat: own.lease.beat + 1, ..own.lease };
    let value = Bytes::from(lease.encode_to_vec());
    let saved = store.save(name, value, own.precondition.clone(), Some(time_to_live)).await;
    own.lease = lease;
    if saved.is_ok()
        && let Precondition::Etag(etag) = &own.precondition
        && let Some(next) = store.next_etag(Some(etag))
    {
        own.precondition = Precondition::Etag(next);
        return Renewal::Done;
    }
    match bookkeeping::read::<Lease>(store, name).await {
        Err(_) => Renewal::Failed,
        Ok(found) => match found.value {
            Some(found) if found.revoked => Renewal::Revoked,
            None => Renewal::Revoked,
            Some(stored) => {
                own.precondition = found.precondition;
                if stored == lease { Renewal::Done } else { Renewal::Failed }
            }
        },
    }
}
