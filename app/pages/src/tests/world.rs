//! A store that behaves as Redis does through its sidecar, a publisher that behaves as Kafka does, and
//! processes ("replicas") that can be cut off from both or die at any step.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    CallContext, Clock, CollectionKey, Configuration, EditError, IdempotencyKey, Once, OutboxEvent, PageEdit,
    PageKey, PageView, PageWork, Pages, Ports, Precondition, PublishError, Publisher, SaveError, StateStore,
    StoreError, Versioned, Work,
};

/// Stands for the trace of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    pub number: u32,
    pub is_recorded: bool,
}

tokio::task_local! {
    pub static TRACE: Trace;
}

impl CallContext for Trace {
    fn enclose<'work>(&self, work: Work<'work>) -> Work<'work> {
        Box::pin(TRACE.scope(*self, work))
    }
}

fn recorded_trace() -> Option<Arc<dyn CallContext>> {
    let trace = TRACE.try_with(|trace| *trace).ok().filter(|trace| trace.is_recorded)?;
    Some(Arc::new(trace))
}

/// What all replicas share.
#[derive(Default)]
pub struct Memory {
    items: Mutex<BTreeMap<String, Item>>,
    calls: Mutex<HashMap<(Call, String), usize>>,
    traced_saves: Mutex<Vec<(String, Trace)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Get,
    /// A bulk read, counted under its first key.
    GetMany,
    Save,
}

#[derive(Clone)]
struct Item {
    value: Bytes,
    version: u64,
    expires: Option<Instant>,
}

impl Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.count(Call::Get, key);
        self.peek(key)
    }

    fn count(&self, call: Call, key: &str) {
        *self.calls.lock().unwrap().entry((call, key.to_owned())).or_default() += 1;
    }

    pub fn peek(&self, key: &str) -> Option<Versioned> {
        let mut items = self.items.lock().unwrap();
        expire(&mut items, key);
        items.get(key).map(|item| Versioned { value: item.value.clone(), etag: item.version.to_string() })
    }

    /// As the sidecar's script does it: a missing item lets any `ETag` pass; a save without a time to live
    /// keeps the old one.
    fn save(&self, key: &str, value: Bytes, precondition: &Precondition, ttl: Option<Duration>) -> bool {
        self.count(Call::Save, key);
        let mut items = self.items.lock().unwrap();
        expire(&mut items, key);
        let known = items.get(key);
        let passes = match (precondition, known) {
            (_, None) => true,
            (Precondition::Absent, Some(_)) => false,
            (Precondition::Etag(etag), Some(known)) => *etag == known.version.to_string(),
        };
        if passes {
            let version = known.map_or(1, |known| known.version + 1);
            let kept = known.and_then(|known| known.expires);
            let expires = ttl.map(|ttl| Instant::now() + ttl).or(kept);
            items.insert(key.to_owned(), Item { value, version, expires });
        }
        passes
    }

    fn delete(&self, key: &str, precondition: &Precondition) -> bool {
        let mut items = self.items.lock().unwrap();
        let passes = match (precondition, items.get(key)) {
            (_, None) => true,
            (Precondition::Absent, Some(_)) => false,
            (Precondition::Etag(etag), Some(known)) => *etag == known.version.to_string(),
        };
        if passes {
            items.remove(key);
        }
        passes
    }

    pub fn calls(&self, call: Call, key: &str) -> usize {
        self.calls.lock().unwrap().get(&(call, key.to_owned())).copied().unwrap_or_default()
    }

    pub fn calls_below(&self, call: Call, prefix: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|((of, key), _)| *of == call && key.starts_with(prefix)).map(|(_, n)| n).sum()
    }

    /// The traces that saves of this item belonged to.
    pub fn traces(&self, key: &str) -> Vec<Trace> {
        let saves = self.traced_saves.lock().unwrap();
        saves.iter().filter(|(of, _)| of == key).map(|(_, trace)| *trace).collect()
    }

    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let items = self.items.lock().unwrap();
        items.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// The items that have not expired.
    pub fn living(&self, prefix: &str) -> Vec<String> {
        self.keys(prefix).into_iter().filter(|key| self.peek(key).is_some()).collect()
    }

    /// Replaces the item behind everybody's back.
    pub fn put(&self, key: &str, value: Bytes) {
        let mut items = self.items.lock().unwrap();
        let version = items.get(key).map_or(1, |known| known.version + 1);
        items.insert(key.to_owned(), Item { value, version, expires: None });
    }

    pub fn page(&self, key: &PageKey) -> PageView {
        PageView::decode(key.clone(), self.peek(&key.to_string()).map(|stored| stored.value)).unwrap()
    }

    pub fn outbox(&self, key: &PageKey) -> usize {
        let Some(stored) = self.peek(&key.to_string()) else { return 0 };
        crate::page::Page::decode(key, stored.value).unwrap().outbox().len()
    }
}

fn expire(items: &mut BTreeMap<String, Item>, key: &str) {
    if items.get(key).and_then(|item| item.expires).is_some_and(|expires| expires <= Instant::now()) {
        items.remove(key);
    }
}

/// One delivery of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: Uuid,
    pub entity: String,
    pub payload: String,
}

/// Everything that has reached the broker, in order.
#[derive(Default)]
pub struct Broker {
    deliveries: Mutex<Vec<Delivery>>,
    /// How many events each publish carried that arrived.
    publishes: Mutex<Vec<usize>>,
    pub arrived: Notify,
}

impl Broker {
    fn deliver(&self, events: &[Arc<OutboxEvent>]) {
        let deliveries = events.iter().map(|event| Delivery {
            id: event.id,
            entity: event.entity.clone(),
            payload: String::from_utf8(event.payload.to_vec()).unwrap(),
        });
        self.deliveries.lock().unwrap().extend(deliveries);
        self.publishes.lock().unwrap().push(events.len());
        self.arrived.notify_waiters();
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    pub fn publishes(&self) -> Vec<usize> {
        self.publishes.lock().unwrap().clone()
    }

    /// Payloads in the order of their first deliveries.
    pub fn first_payloads(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let deliveries = self.deliveries();
        deliveries.into_iter().filter(|one| seen.insert(one.id)).map(|one| one.payload).collect()
    }
}

/// How a save goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveFault {
    /// The store reports a mismatch that there is none of.
    FalselyRefused,
    /// It happens, and is reported as a mismatch.
    RefusedByOwnEffect,
    /// It does not happen; no answer.
    Lost,
    /// It happens; no answer.
    AnswerLost,
    /// No answer; it arrives that much later, and happens if its precondition still holds.
    Delayed(Duration),
    /// The process dies just before.
    CrashBefore,
    /// The process dies just after.
    CrashAfter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishFault {
    Lost,
    /// That many of the events go out.
    Partly(usize),
    AnswerLost,
    /// All go out that much later; no answer.
    Delayed(Duration),
}

/// How often things go wrong, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    pub get: u32,
    pub save: u32,
    pub publish: u32,
}

/// What happens to a replica, on purpose or by chance.
pub struct Fate {
    alive: AtomicBool,
    /// Steps until it dies.
    steps_left: AtomicI64,
    store_down: AtomicBool,
    broker_down: AtomicBool,
    /// Partition keys that the broker does not take.
    broken_keys: Mutex<HashSet<String>>,
    rates: Mutex<Rates>,
    chance: Mutex<SmallRng>,
    save_faults: Mutex<VecDeque<(String, SaveFault)>>,
    publish_faults: Mutex<VecDeque<PublishFault>>,
    /// Calls with such keys wait until they are let go.
    held: Mutex<Option<(Call, String)>>,
    let_go: Notify,
    pub waiting: Notify,
    pub died: Notify,
}

impl Fate {
    fn new(seed: u64) -> Self {
        Self {
            alive: AtomicBool::new(true),
            steps_left: AtomicI64::new(i64::MAX),
            store_down: AtomicBool::new(false),
            broker_down: AtomicBool::new(false),
            broken_keys: Mutex::default(),
            rates: Mutex::default(),
            chance: Mutex::new(SmallRng::seed_from_u64(seed)),
            save_faults: Mutex::default(),
            publish_faults: Mutex::default(),
            held: Mutex::default(),
            let_go: Notify::new(),
            waiting: Notify::new(),
            died: Notify::new(),
        }
    }

    pub fn set_rates(&self, rates: Rates) {
        *self.rates.lock().unwrap() = rates;
    }

    /// The next save of an item whose key starts so goes wrong.
    pub fn next_save(&self, prefix: &str, fault: SaveFault) {
        self.save_faults.lock().unwrap().push_back((prefix.to_owned(), fault));
    }

    pub fn next_publish(&self, fault: PublishFault) {
        self.publish_faults.lock().unwrap().push_back(fault);
    }

    pub fn store_is_down(&self, down: bool) {
        self.store_down.store(down, Ordering::Relaxed);
    }

    pub fn broker_is_down(&self, down: bool) {
        self.broker_down.store(down, Ordering::Relaxed);
    }

    pub fn break_keys(&self, keys: impl IntoIterator<Item = String>) {
        *self.broken_keys.lock().unwrap() = keys.into_iter().collect();
    }

    pub fn die_after(&self, steps: i64) {
        self.steps_left.store(steps, Ordering::Relaxed);
    }

    pub fn die(&self) {
        self.alive.store(false, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// Such calls wait before they reach the store.
    pub fn hold(&self, call: Call, prefix: &str) {
        *self.held.lock().unwrap() = Some((call, prefix.to_owned()));
    }

    pub fn let_go(&self) {
        *self.held.lock().unwrap() = None;
        self.let_go.notify_waiters();
    }

    /// One step of a call: the replica may be dead, or die here.
    async fn step(&self) {
        if self.steps_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.die();
        }
        if !self.is_alive() {
            pending::<()>().await;
        }
        let delay = self.chance.lock().unwrap().random_range(200..3000);
        sleep(Duration::from_micros(delay)).await;
        if !self.is_alive() {
            pending::<()>().await;
        }
    }

    async fn wait_while_held(&self, call: Call, key: &str) {
        loop {
            let let_go = self.let_go.notified();
            let is_held = self
                .held
                .lock()
                .unwrap()
                .as_ref()
                .is_some_and(|(of, prefix)| *of == call && key.starts_with(prefix));
            if !is_held {
                return;
            }
            self.waiting.notify_one();
            let_go.await;
        }
    }

    fn strikes(&self, percent: u32) -> bool {
        percent > 0 && self.chance.lock().unwrap().random_range(0..100) < percent
    }

    fn save_fault(&self, key: &str) -> Option<SaveFault> {
        let mut planned = self.save_faults.lock().unwrap();
        if let Some(index) = planned.iter().position(|(prefix, _)| key.starts_with(prefix)) {
            return planned.remove(index).map(|(_, fault)| fault);
        }
        if !self.strikes(self.rates.lock().unwrap().save) {
            return None;
        }
        let mut chance = self.chance.lock().unwrap();
        Some(match chance.random_range(0..5) {
            0 => SaveFault::FalselyRefused,
            1 => SaveFault::RefusedByOwnEffect,
            2 => SaveFault::Lost,
            3 => SaveFault::AnswerLost,
            _ => SaveFault::Delayed(Duration::from_millis(chance.random_range(1..400))),
        })
    }

    fn publish_fault(&self, events: usize) -> Option<PublishFault> {
        if let Some(fault) = self.publish_faults.lock().unwrap().pop_front() {
            return Some(fault);
        }
        if self.broker_down.load(Ordering::Relaxed) {
            return Some(PublishFault::Lost);
        }
        if !self.strikes(self.rates.lock().unwrap().publish) {
            return None;
        }
        let mut chance = self.chance.lock().unwrap();
        Some(match chance.random_range(0..4) {
            0 => PublishFault::Lost,
            1 => PublishFault::Partly(chance.random_range(0..=events)),
            2 => PublishFault::AnswerLost,
            _ => PublishFault::Delayed(Duration::from_millis(chance.random_range(1..400))),
        })
    }
}

struct ReplicaStore {
    memory: Arc<Memory>,
    fate: Arc<Fate>,
    counts_etags: bool,
}

fn down() -> StoreError {
    StoreError::new("the store is down")
}

#[async_trait]
impl StateStore for ReplicaStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        self.fate.step().await;
        self.fate.wait_while_held(Call::Get, key).await;
        if self.fate.store_down.load(Ordering::Relaxed)
            || self.fate.strikes(self.fate.rates.lock().unwrap().get)
        {
            return Err(down());
        }
        let found = self.memory.get(key);
        self.fate.step().await;
        Ok(found)
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Versioned>>, StoreError> {
        self.fate.step().await;
        if self.fate.store_down.load(Ordering::Relaxed)
            || self.fate.strikes(self.fate.rates.lock().unwrap().get)
        {
            return Err(down());
        }
        assert!((1..=64).contains(&keys.len()), "{} items in one read", keys.len());
        self.memory.count(Call::GetMany, &keys[0]);
        let found = keys.iter().map(|key| self.memory.get(key)).collect();
        self.fate.step().await;
        Ok(found)
    }

    async fn save(
        &self,
        key: &str,
        value: Bytes,
        precondition: Precondition,
        time_to_live: Option<Duration>,
    ) -> Result<(), SaveError> {
        self.fate.step().await;
        self.fate.wait_while_held(Call::Save, key).await;
        if self.fate.store_down.load(Ordering::Relaxed) {
            // The sidecar calls an outage a mismatch.
            return Err(SaveError::Refused(down()));
        }
        let fault = self.fate.save_fault(key);
        match fault {
            Some(SaveFault::FalselyRefused) => return Err(SaveError::Refused(StoreError::new("mismatch"))),
            Some(SaveFault::Lost) => return Err(SaveError::Unknown(StoreError::new("no answer"))),
            Some(SaveFault::CrashBefore) => {
                self.fate.die();
                pending::<()>().await;
            }
            Some(SaveFault::Delayed(delay)) => {
                let (memory, key) = (self.memory.clone(), key.to_owned());
                tokio::spawn(async move {
                    sleep(delay).await;
                    memory.save(&key, value, &precondition, time_to_live);
                });
                return Err(SaveError::Unknown(StoreError::new("no answer")));
            }
            _ => {}
        }
        if let Ok(trace) = TRACE.try_with(|trace| *trace) {
            self.memory.traced_saves.lock().unwrap().push((key.to_owned(), trace));
        }
        let happened = self.memory.save(key, value, &precondition, time_to_live);
        match fault {
            Some(SaveFault::CrashAfter) => {
                self.fate.die();
                pending::<()>().await;
            }
            Some(SaveFault::AnswerLost) => return Err(SaveError::Unknown(StoreError::new("no answer"))),
            Some(SaveFault::RefusedByOwnEffect) => {
                return Err(SaveError::Refused(StoreError::new("mismatch")));
            }
            _ => {}
        }
        self.fate.step().await;
        if happened { Ok(()) } else { Err(SaveError::Refused(StoreError::new("mismatch"))) }
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<(), SaveError> {
        self.fate.step().await;
        if self.fate.store_down.load(Ordering::Relaxed) {
            return Err(SaveError::Refused(down()));
        }
        if self.memory.delete(key, &precondition) {
            Ok(())
        } else {
            Err(SaveError::Refused(StoreError::new("mismatch")))
        }
    }

    fn next_etag(&self, saved_over: Option<&str>) -> Option<String> {
        if !self.counts_etags {
            return None;
        }
        let version: u64 = saved_over.map_or(Some(0), |etag| etag.parse().ok())?;
        Some((version + 1).to_string())
    }
}

struct ReplicaPublisher {
    broker: Arc<Broker>,
    fate: Arc<Fate>,
}

#[async_trait]
impl Publisher for ReplicaPublisher {
    async fn publish(&self, events: &[Arc<OutboxEvent>]) -> Result<(), PublishError> {
        self.fate.step().await;
        match self.fate.publish_fault(events.len()) {
            None => {
                // Nobody is told which of them went out.
                let broken = self.fate.broken_keys.lock().unwrap().clone();
                let is_taken = |event: &&Arc<OutboxEvent>| !broken.contains(&event.partition_key);
                let taken: Vec<_> = events.iter().filter(is_taken).cloned().collect();
                self.broker.deliver(&taken);
                if taken.len() < events.len() {
                    return Err(PublishError::new("no leader"));
                }
            }
            Some(PublishFault::Lost) => return Err(PublishError::new("no broker")),
            Some(PublishFault::Partly(count)) => {
                self.broker.deliver(&events[..count.min(events.len())]);
                return Err(PublishError::new("some failed"));
            }
            Some(PublishFault::AnswerLost) => {
                self.broker.deliver(events);
                return Err(PublishError::new("no answer"));
            }
            Some(PublishFault::Delayed(delay)) => {
                let (broker, events) = (self.broker.clone(), events.to_vec());
                tokio::spawn(async move {
                    sleep(delay).await;
                    broker.deliver(&events);
                });
                return Err(PublishError::new("no answer"));
            }
        }
        self.fate.step().await;
        Ok(())
    }
}

pub struct TestClock {
    start: Instant,
    skew: Duration,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let since = self.start.elapsed() + self.skew;
        Timestamp::from_millisecond(1_800_000_000_000 + i64::try_from(since.as_millis()).unwrap()).unwrap()
    }
}

/// A store, a broker, and the replicas that were started on them.
pub struct World {
    pub memory: Arc<Memory>,
    pub broker: Arc<Broker>,
    start: Instant,
    seed: Mutex<u64>,
}

#[derive(Clone)]
pub struct Replica {
    pub pages: Pages,
    pub fate: Arc<Fate>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self { memory: Arc::default(), broker: Arc::default(), start: Instant::now(), seed: Mutex::new(seed) }
    }

    pub fn configuration(instance: &str) -> Configuration {
        Configuration { entries_per_page: 8, ..Configuration::new("test", instance) }
    }

    pub fn replica(&self, instance: &str) -> Replica {
        self.replica_with(Self::configuration(instance), None)
    }

    pub fn replica_with(&self, configuration: Configuration, work: Option<Arc<dyn PageWork>>) -> Replica {
        self.start(configuration, work, true, Rates::default())
    }

    pub fn replica_without_guesses(&self, instance: &str) -> Replica {
        self.start(Self::configuration(instance), None, false, Rates::default())
    }

    pub fn start(
        &self,
        configuration: Configuration,
        work: Option<Arc<dyn PageWork>>,
        counts_etags: bool,
        rates: Rates,
    ) -> Replica {
        let seed = {
            let mut seed = self.seed.lock().unwrap();
            *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            *seed
        };
        let fate = Arc::new(Fate::new(seed));
        fate.set_rates(rates);
        let store = ReplicaStore { memory: self.memory.clone(), fate: fate.clone(), counts_etags };
        let publisher = ReplicaPublisher { broker: self.broker.clone(), fate: fate.clone() };
        let clock = TestClock { start: self.start, skew: Duration::from_millis(seed % 50) };
        let ports = Ports {
            store: Arc::new(store),
            publisher: Arc::new(publisher),
            clock: Arc::new(clock),
            work,
            context: Some(recorded_trace),
        };
        let pages = Pages::start(ports, Configuration { seed: Some(seed), ..configuration });
        Replica { pages, fate }
    }

    /// The store as somebody beside the replicas has it.
    pub fn store(&self) -> impl StateStore {
        ReplicaStore { memory: self.memory.clone(), fate: Arc::new(Fate::new(0)), counts_etags: true }
    }

    /// A store whose first save goes wrong.
    pub fn failing_store(&self, fault: SaveFault) -> impl StateStore {
        let fate = Arc::new(Fate::new(0));
        fate.next_save("", fault);
        ReplicaStore { memory: self.memory.clone(), fate, counts_etags: true }
    }

    /// Waits until that many deliveries have been made.
    pub async fn deliveries(&self, count: usize) -> Vec<Delivery> {
        loop {
            let arrived = self.broker.arrived.notified();
            let deliveries = self.broker.deliveries();
            if deliveries.len() >= count {
                return deliveries;
            }
            arrived.await;
        }
    }
}

/// Waits, as the paused clock flies, until it holds.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_mins(10), "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub fn collection(name: &str) -> CollectionKey {
    CollectionKey::parse(name).unwrap()
}

pub fn key(number: u64) -> IdempotencyKey {
    keyed(number, 0)
}

pub fn keyed(number: u64, body: u64) -> IdempotencyKey {
    IdempotencyKey {
        key: (u128::from(number) + 1).to_be_bytes(),
        fingerprint: u128::from(body).to_be_bytes(),
    }
}

pub fn text(value: &Bytes) -> &str {
    std::str::from_utf8(value).unwrap()
}

/// Why the edits of these tests refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NoEntry,
    Stale { current: u64 },
    Exists,
}

pub type Edited<T> = Result<T, EditError<Refusal>>;

pub fn emit(page: &mut PageEdit<'_>, entity: &str, version: u64, what: &str) {
    let id = page.event_id();
    page.emit(OutboxEvent {
        id,
        partition_key: "group".to_owned(),
        entity: entity.to_owned(),
        attributes: vec![("trace".to_owned(), what.to_owned())],
        payload: Bytes::from(format!("{entity} {version} {what}")),
    });
}

/// Adds an entry of that name, and tells of it.
pub fn add(name: &str) -> impl Fn(&mut PageEdit<'_>) -> Result<u32, Refusal> + Clone + Send + 'static {
    let name = name.to_owned();
    move |page: &mut PageEdit<'_>| {
        if page.get(&name).is_some() {
            return Err(Refusal::Exists);
        }
        let version = page.put(&name, "new", Bytes::from(name.clone()));
        emit(page, &name, version, "added");
        Ok(page.number())
    }
}

/// Appends `word` to the entry's value, and tells of it.
pub fn extend(
    name: &str,
    word: &str,
) -> impl Fn(&mut PageEdit<'_>) -> Result<u64, Refusal> + Clone + Send + 'static {
    let (name, word) = (name.to_owned(), word.to_owned());
    move |page: &mut PageEdit<'_>| {
        let value = text(&page.get(&name).ok_or(Refusal::NoEntry)?.value).to_owned();
        let version = page.put(&name, "changed", Bytes::from(format!("{value},{word}")));
        emit(page, &name, version, &word);
        Ok(version)
    }
}

impl Replica {
    pub async fn add(&self, to: &CollectionKey, name: &str) -> Edited<u32> {
        match self.pages.append(to, None, add(name)).await? {
            Once::First(number) => Ok(number),
            Once::Again(_) => panic!("an append without a key was recognised"),
        }
    }

    pub async fn add_once(&self, to: &CollectionKey, name: &str, key: IdempotencyKey) -> Edited<Once<u32>> {
        self.pages.append(to, Some(key), add(name)).await
    }

    pub async fn extend(&self, page: &PageKey, name: &str, word: &str) -> Edited<u64> {
        self.pages.edit(page, extend(name, word)).await
    }

    pub async fn crash(self) {
        self.fate.die();
        drop(self.pages);
        tokio::task::yield_now().await;
    }
}

/// Removes the entry, and tells of it. With `expected`, only if that is its version.
pub fn remove(
    name: &str,
    expected: Option<u64>,
) -> impl Fn(&mut PageEdit<'_>) -> Result<(), Refusal> + Clone + Send + 'static {
    let name = name.to_owned();
    move |page: &mut PageEdit<'_>| {
        let current = page.get(&name).ok_or(Refusal::NoEntry)?.version;
        if expected.is_some_and(|expected| expected != current) {
            return Err(Refusal::Stale { current });
        }
        let version = page.next_version(&name);
        page.remove(&name);
        emit(page, &name, version, "removed");
        Ok(())
    }
}
