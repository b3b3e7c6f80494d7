//! The relay: publishes committed events, in order, at least once.
//!
//! An event belongs to the lane that its partition key hashes to. A lane has one publish in flight, and
//! repeats it until it succeeds, so no event of a key overtakes another. What a lane has published it reports
//! to the page's writer, which drops it from the outbox with the next save.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use crate::{Configuration, Health, OutboxEvent, Publisher, random::Random, shards::lock};

/// What the relay has published of one page, for the page's writer to collect.
#[derive(Default)]
pub(crate) struct Confirmations {
    published: Mutex<Vec<Uuid>>,
    pub(crate) changed: Notify,
}

impl Confirmations {
    pub(crate) fn take(&self) -> Vec<Uuid> {
        mem::take(&mut lock(&self.published))
    }
}

struct Waiting {
    event: Arc<OutboxEvent>,
    since: Instant,
    page: Arc<Confirmations>,
}

pub(crate) struct Relay {
    /// Not bounded here: what may wait is bounded where it is committed, by the outbox limits.
    lanes: Vec<mpsc::UnboundedSender<Waiting>>,
    progress: Arc<Progress>,
}

struct Progress {
    unpublished: AtomicUsize,
    lanes: Vec<Mutex<LaneProgress>>,
}

#[derive(Default, Clone, Copy)]
struct LaneProgress {
    oldest: Option<Instant>,
    failing_since: Option<Instant>,
}

/// One lane, ready to run.
pub(crate) struct Lane {
    number: usize,
    queue: mpsc::UnboundedReceiver<Waiting>,
    progress: Arc<Progress>,
    publisher: Arc<dyn Publisher>,
    random: Arc<Random>,
    events_per_publish: usize,
    bytes_per_publish: usize,
    longest_pause: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The shortest time from one publish of a lane to the next. An event that comes alone goes at once; under load
/// the next publish carries more of them, which costs the sidecar, the broker and the consumers less.
const PACE: Duration = Duration::from_millis(30);

impl Relay {
    pub(crate) fn new(
        publisher: &Arc<dyn Publisher>,
        random: &Arc<Random>,
        configuration: &Configuration,
    ) -> (Self, Vec<Lane>) {
        let count = configuration.relay_lanes.max(1);
        let progress = Arc::new(Progress {
            unpublished: AtomicUsize::new(0),
            lanes: (0..count).map(|_| Mutex::default()).collect(),
        });
        let (lanes, runners) = (0..count)
            .map(|number| {
                let (sender, queue) = mpsc::unbounded_channel();
                let lane = Lane {
                    number,
                    queue,
                    progress: progress.clone(),
                    publisher: publisher.clone(),
                    random: random.clone(),
                    events_per_publish: configuration.events_per_publish.max(1),
                    bytes_per_publish: configuration.bytes_per_publish,
                    longest_pause: configuration.publish_pause,
                };
                (sender, lane)
            })
            .unzip();
        (Self { lanes, progress }, runners)
    }

    /// Takes over a committed event. Events of one partition key must come in the order of their commits.
    pub(crate) fn hand_over(&self, event: Arc<OutboxEvent>, page: &Arc<Confirmations>) {
        let mut hasher = DefaultHasher::new();
        event.partition_key.hash(&mut hasher);
        let lanes = self.lanes.len() as u64;
        let lane = usize::try_from(hasher.finish() % lanes).unwrap_or_default();
        self.progress.unpublished.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { event, since: Instant::now(), page: page.clone() };
        // A lane ends only when all this stops; then the event waits in its page for the sweep.
        drop(self.lanes[lane].send(waiting));
    }

    pub(crate) fn unpublished(&self) -> usize {
        self.progress.unpublished.load(Ordering::Relaxed)
    }

    pub(crate) fn health(&self) -> Health {
        let lanes: Vec<LaneProgress> = self.progress.lanes.iter().map(|lane| *lock(lane)).collect();
        let earliest = |of: fn(&LaneProgress) -> Option<Instant>| lanes.iter().filter_map(of).min();
        Health {
            unpublished: self.unpublished(),
            oldest: earliest(|lane| lane.oldest).map(|since| since.elapsed()),
            failing_for: earliest(|lane| lane.failing_since).map(|since| since.elapsed()),
        }
    }
}

impl Lane {
    pub(crate) async fn run(mut self) {
        let mut waiting = VecDeque::new();
        let mut received = Vec::new();
        let mut next = Instant::now();
        loop {
            sleep_until(next).await;
            if waiting.is_empty() {
                if self.queue.recv_many(&mut received, self.events_per_publish).await == 0 {
                    return;
                }
                waiting.extend(received.drain(..));
            }
            while waiting.len() < self.events_per_publish
                && let Ok(more) = self.queue.try_recv()
            {
                waiting.push_back(more);
            }
            self.note(|lane| lane.oldest = waiting.front().map(|oldest| oldest.since));
            let count = self.batch(&waiting);
            if count < self.events_per_publish {
                next = Instant::now() + PACE;
            }
            self.publish(waiting.iter().take(count).map(|waiting| waiting.event.clone()).collect()).await;
            self.progress.unpublished.fetch_sub(count, Ordering::Relaxed);
            for published in waiting.drain(..count) {
                lock(&published.page.published).push(published.event.id);
                published.page.changed.notify_one();
            }
            self.note(|lane| lane.oldest = waiting.front().map(|oldest| oldest.since));
        }
    }

    fn batch(&self, waiting: &VecDeque<Waiting>) -> usize {
        let mut bytes = 0;
        let fitting = waiting
            .iter()
            .take(self.events_per_publish)
            .take_while(|waiting| {
                bytes += waiting.event.payload.len();
                bytes <= self.bytes_per_publish
            })
            .count();
        fitting.max(1)
    }

    async fn publish(&self, events: Vec<Arc<OutboxEvent>>) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.publisher.publish(&events).await {
            metrics::counter!("relay_publish_failures_total").increment(1);
            let first = self.note(|lane| {
                let first = lane.failing_since.is_none();
                lane.failing_since.get_or_insert_with(Instant::now);
                first
            });
            if first {
                tracing::warn!(
                    lane = self.number,
                    events = events.len(),
                    error = &error as &dyn std::error::Error,
                    "publishing fails"
                );
            }
            sleep(self.random.up_to(pause)).await;
            pause = (pause * 2).min(self.longest_pause);
        }
        if self.note(|lane| lane.failing_since.take()).is_some() {
            tracing::info!(lane = self.number, "publishing succeeds again");
        }
        metrics::counter!("relay_published_total").increment(events.len() as u64);
    }

    fn note<T>(&self, change: impl FnOnce(&mut LaneProgress) -> T) -> T {
        change(&mut lock(&self.progress.lanes[self.number]))
    }
}
