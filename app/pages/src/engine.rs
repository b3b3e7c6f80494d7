//! What the parts share: the ports, the pages in use, the numbers a process gives out.

use std::{
    collections::hash_map,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc},
    time::{interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    CallContext, CaptureContext, Clock, CollectionKey, Configuration, PageKey, PageWork, Pages, Ports,
    StateStore, StoreError, Versioned,
    collection::{Collection, PageHint},
    command::{Command, Failure, Outcome},
    random::Random,
    reader::Reads,
    register::{self, Register},
    relay::Relay,
    shards::Shards,
    summary::PendingFlush,
    sweeper::Sweeper,
    writer::{Message, Writer},
};

pub(crate) struct Engine {
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) work: Option<Arc<dyn PageWork>>,
    context: Option<CaptureContext>,
    pub(crate) configuration: Configuration,
    pub(crate) random: Arc<Random>,
    /// Names this life of the process in the commits of its pages.
    pub(crate) process: u64,
    saves: AtomicU64,
    writers: Shards<PageKey, mpsc::Sender<Message>>,
    live_writers: AtomicUsize,
    /// Of the pages that writers have in memory.
    bytes_in_use: AtomicUsize,
    pub(crate) reads: Reads,
    pub(crate) collections: Shards<CollectionKey, Arc<Collection>>,
    /// Bounded by the collections known: each is in it once at most.
    pub(crate) pending_flushes: mpsc::UnboundedSender<PendingFlush>,
    pub(crate) relay: Relay,
    pub(crate) register: Register,
    /// Permits of tidy-up saves.
    pub(crate) tidying: Semaphore,
    /// Batches of commands under way.
    pub(crate) turns: Semaphore,
    tasks: TaskTracker,
    /// Everything ends as it is.
    pub(crate) stopped: CancellationToken,
    /// No more commands are taken; what there is gets finished.
    pub(crate) draining: CancellationToken,
}

/// How often what nobody uses any more is forgotten, and gauges are set.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

impl Engine {
    pub(crate) fn start(ports: Ports, configuration: Configuration) -> Arc<Self> {
        let random = Arc::new(Random::new(configuration.seed));
        let (relay, lanes) = Relay::new(&ports.publisher, &random, &configuration);
        let (pending_flushes, flushes) = mpsc::unbounded_channel();
        let (register, registrar) = register::new(&configuration, &ports.store, &random);
        let engine = Arc::new(Self {
            store: ports.store,
            clock: ports.clock,
            work: ports.work,
            context: ports.context,
            process: random.number(),
            random,
            saves: AtomicU64::new(0),
            writers: Shards::new(),
            live_writers: AtomicUsize::new(0),
            bytes_in_use: AtomicUsize::new(0),
            reads: Shards::new(),
            collections: Shards::new(),
            pending_flushes,
            relay,
            register,
            tidying: Semaphore::new(configuration.tidy_parallelism.max(1)),
            turns: Semaphore::new(configuration.batches_at_once.max(1)),
            tasks: TaskTracker::new(),
            stopped: CancellationToken::new(),
            draining: CancellationToken::new(),
            configuration,
        });
        for lane in lanes {
            engine.spawn(lane.run());
        }
        engine.spawn(engine.clone().run_summaries(flushes));
        engine.spawn(registrar.run());
        engine.spawn(register::keep_alive(engine.clone()));
        engine.spawn(Sweeper::new(engine.clone()).run());
        engine.spawn(engine.clone().keep_house());
        engine
    }

    /// Runs it in the background until it ends or everything is stopped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        self.tasks.spawn(async move {
            stopped.run_until_cancelled(work).await;
        });
    }

    /// A number for a save, never given twice.
    pub(crate) fn next_save(&self) -> u64 {
        self.saves.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The context of the call under way.
    pub(crate) fn capture(&self) -> Option<Arc<dyn CallContext>> {
        self.context.and_then(|capture| capture())
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// The items in the order of their names, in as many bulk reads as keep an answer's size sane.
    pub(crate) async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let mut all = Vec::with_capacity(names.len());
        for names in names.chunks(ITEMS_PER_READ) {
            let found = self.store.get_many(names).await?;
            if found.len() != names.len() {
                let cause = format!("{} items were asked for, {} came", names.len(), found.len());
                return Err(StoreError::new(cause));
            }
            all.extend(found);
        }
        Ok(all)
    }

    pub(crate) fn collection(&self, key: &CollectionKey) -> Arc<Collection> {
        let mut collections = self.collections.lock(key);
        collections.entry(key.clone()).or_insert_with(|| Arc::new(Collection::new(key.clone()))).clone()
    }

    /// Hands a command to the page's writer; if it cannot be taken, the caller is told.
    pub(crate) fn submit(
        self: &Arc<Self>,
        page: &PageKey,
        command: Box<dyn Command>,
        hint: Option<PageHint>,
    ) {
        if let Err(Message::Command(command)) = self.send(page, Message::Command(command), hint) {
            metrics::counter!("pages_overloads_total").increment(1);
            command.answer(Outcome::Failed(Failure::Overloaded));
        }
    }

    /// Gives the message to the page's writer, which is started if there is none. The message comes back if
    /// the writer has too many, or there are too many writers.
    pub(crate) fn send(
        self: &Arc<Self>,
        page: &PageKey,
        message: Message,
        hint: Option<PageHint>,
    ) -> Result<(), Message> {
        let refused = |error| match error {
            mpsc::error::TrySendError::Full(message) | mpsc::error::TrySendError::Closed(message) => message,
        };
        // Sending under the lock: a writer ends under it too, after a last look into its mailbox.
        let messages = match self.writers.lock(page).entry(page.clone()) {
            hash_map::Entry::Occupied(writer) => return writer.get().try_send(message).map_err(refused),
            hash_map::Entry::Vacant(vacant) => {
                if self.live_writers() >= self.configuration.writers
                    || self.bytes_in_use.load(Ordering::Relaxed) >= self.configuration.bytes_in_use
                {
                    return Err(message);
                }
                let (mailbox, messages) = mpsc::channel(self.configuration.mailbox.max(1));
                mailbox.try_send(message).map_err(refused)?;
                vacant.insert(mailbox);
                self.live_writers.fetch_add(1, Ordering::Relaxed);
                messages
            }
        };
        // Not under the lock: a runtime that shuts down drops the writer at once, and that takes the lock.
        self.spawn(Writer::new(self.clone(), page.clone(), messages, hint).run());
        Ok(())
    }

    /// Ends a writer if `ends`, asked under the lock, so that no message can come in between.
    pub(crate) fn end_writer(&self, page: &PageKey, ends: impl FnOnce() -> bool) -> bool {
        let mut writers = self.writers.lock(page);
        if !ends() {
            return false;
        }
        if writers.remove(page).is_some() {
            self.live_writers.fetch_sub(1, Ordering::Relaxed);
        }
        true
    }

    pub(crate) fn live_writers(&self) -> usize {
        self.live_writers.load(Ordering::Relaxed)
    }

    /// So many writers live, or their pages are so large, that clean ones should make room at once.
    pub(crate) fn is_crowded(&self) -> bool {
        self.live_writers() > self.configuration.writers / 4 * 3
            || self.bytes_in_use.load(Ordering::Relaxed) > self.configuration.bytes_in_use / 4 * 3
    }

    /// A page in use has grown or shrunk.
    pub(crate) fn count_bytes(&self, before: usize, after: usize) {
        // Both, in this order, so that it never falls below nothing.
        self.bytes_in_use.fetch_add(after, Ordering::Relaxed);
        self.bytes_in_use.fetch_sub(before, Ordering::Relaxed);
    }

    /// Collections whose summary is behind.
    pub(crate) fn unsettled_summaries(&self) -> usize {
        let unsettled = |collection: &&Arc<Collection>| !collection.with_summary(|state| state.is_settled());
        self.collections.each().map(|shard| shard.values().filter(unsettled).count()).sum()
    }

    /// Calls the owner's work until the marker is gone from the page.
    pub(crate) fn resume_work(self: Arc<Self>, page: PageKey, marker: String) {
        let Some(work) = self.work.clone() else {
            tracing::error!(%page, marker, "no one resumes the unfinished work of this page");
            return;
        };
        let engine = self.clone();
        self.spawn(async move {
            let pages = Pages::of_work(engine.clone());
            let mut pause = FIRST_WORK_PAUSE;
            loop {
                work.resume(&pages, &page, &marker).await;
                if engine.read(&page).await.is_ok_and(|view| !view.pending().contains(&marker)) {
                    break;
                }
                metrics::counter!("pages_work_retries_total").increment(1);
                sleep(pause / 2 + engine.random.up_to(pause / 2)).await;
                pause = (pause * 2).min(LONGEST_WORK_PAUSE);
            }
            // If it is refused, the writer is busy, and sees the marker gone by itself.
            drop(engine.send(&page, Message::Settled(marker), None));
        });
    }

    async fn keep_house(self: Arc<Self>) {
        let mut ticks = interval(HOUSEKEEPING);
        let mut rounds = 0u64;
        loop {
            ticks.tick().await;
            let health = self.relay.health();
            metrics::gauge!("relay_unpublished_events").set(f64::from(count(health.unpublished)));
            metrics::gauge!("relay_oldest_seconds").set(health.oldest.unwrap_or_default().as_secs_f64());
            metrics::gauge!("pages_writers").set(f64::from(count(self.live_writers())));
            rounds += 1;
            let known: usize = self.collections.each().map(|shard| shard.len()).sum();
            if rounds.is_multiple_of(ROUNDS_TO_FORGET) || known > MOST_COLLECTIONS {
                self.forget_collections();
            }
        }
    }

    /// Forgets what is known of collections that no writer and no call uses, and that owe no summary.
    fn forget_collections(&self) {
        for mut shard in self.collections.each() {
            shard.retain(|_, collection| {
                Arc::strong_count(collection) > 1 || !collection.with_summary(|state| state.is_settled())
            });
        }
    }
}

/// Pages that are full, each with some outbox, stay below the four megabytes that a gRPC answer usually may have:
/// 64 times 24 KB are one and a half.
const ITEMS_PER_READ: usize = 64;

const FIRST_WORK_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_WORK_PAUSE: Duration = Duration::from_secs(30);

/// Housekeeping rounds between two times that unused collections are forgotten.
const ROUNDS_TO_FORGET: u64 = 60;

/// Collections known, beyond which those that are not in use are forgotten in every round: who asks for many, also for
/// such as don't exist, fills no more than this and what comes in a second.
const MOST_COLLECTIONS: usize = 20_000;

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
