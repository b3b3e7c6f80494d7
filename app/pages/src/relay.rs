//! The relay: publishes committed events, in order, at least once.
//!
//! An event belongs to the share that its partition key hashes to, and a share to a lane. A lane has one publish in
//! flight for all its shares. If that fails, nobody says which events did not go out: each share is then repeated
//! by itself until it succeeds, and the lane goes on without it. So no event of a key overtakes another, and a part
//! of the broker that is out of order holds up only the shares whose keys lie there. What a lane has published it
//! reports to the page's writer, which drops it from the outbox with the next save.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use crate::{Configuration, Health, OutboxEvent, PublishError, Publisher, random::Random, shards::lock};

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
    lanes: Vec<mpsc::UnboundedSender<(usize, Waiting)>>,
    progress: Arc<Progress>,
}

struct Progress {
    unpublished: AtomicUsize,
    bytes: AtomicUsize,
    shares: Vec<ShareProgress>,
    /// Shares that fail.
    failing: AtomicUsize,
}

#[derive(Default)]
struct ShareProgress {
    unpublished: AtomicUsize,
    times: Mutex<Times>,
}

#[derive(Default, Clone, Copy)]
struct Times {
    oldest: Option<Instant>,
    failing_since: Option<Instant>,
}

/// Events whose partition keys lie in the same places of the broker, in order.
#[derive(Default)]
struct Share {
    /// The first of them may be in flight.
    waiting: VecDeque<Waiting>,
    /// Its first events are repeated by themselves.
    is_apart: bool,
}

/// One lane, ready to run.
pub(crate) struct Lane {
    queue: mpsc::UnboundedReceiver<(usize, Waiting)>,
    /// All there are, by number; those of other lanes stay empty.
    shares: Vec<Share>,
    /// The share that the next publish begins with.
    first: usize,
    apart: JoinSet<Part>,
    events_per_publish: usize,
    bytes_per_publish: usize,
    outlet: Outlet,
}

/// Events of one share, from its first on.
#[derive(Clone, Copy)]
struct Part {
    share: usize,
    events: usize,
}

/// The way to the publisher.
#[derive(Clone)]
struct Outlet {
    progress: Arc<Progress>,
    publisher: Arc<dyn Publisher>,
    random: Arc<Random>,
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
        let shares = usize::from(configuration.relay_shares.max(1));
        let progress = Arc::new(Progress {
            unpublished: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            shares: (0..shares).map(|_| ShareProgress::default()).collect(),
            failing: AtomicUsize::new(0),
        });
        let outlet = Outlet {
            progress: progress.clone(),
            publisher: publisher.clone(),
            random: random.clone(),
            longest_pause: configuration.publish_pause,
        };
        let (lanes, runners) = (0..configuration.relay_lanes.max(1))
            .map(|_| {
                let (sender, queue) = mpsc::unbounded_channel();
                let lane = Lane {
                    queue,
                    shares: (0..shares).map(|_| Share::default()).collect(),
                    first: 0,
                    apart: JoinSet::new(),
                    events_per_publish: configuration.events_per_publish.max(1),
                    bytes_per_publish: configuration.bytes_per_publish,
                    outlet: outlet.clone(),
                };
                (sender, lane)
            })
            .unzip();
        (Self { lanes, progress }, runners)
    }

    /// Takes over a committed event. Events of one partition key must come in the order of their commits.
    pub(crate) fn hand_over(&self, event: Arc<OutboxEvent>, page: &Arc<Confirmations>) {
        let share = self.share(&event.partition_key);
        self.progress.unpublished.fetch_add(1, Ordering::Relaxed);
        self.progress.bytes.fetch_add(event.payload.len(), Ordering::Relaxed);
        self.progress.shares[share].unpublished.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { event, since: Instant::now(), page: page.clone() };
        // A lane ends only when all this stops; then the event waits in its page for the sweep.
        drop(self.lanes[share % self.lanes.len()].send((share, waiting)));
    }

    fn share(&self, partition_key: &str) -> usize {
        share_of(partition_key, self.progress.shares.len())
    }

    pub(crate) fn unpublished(&self) -> usize {
        self.progress.unpublished.load(Ordering::Relaxed)
    }

    pub(crate) fn unpublished_bytes(&self) -> usize {
        self.progress.bytes.load(Ordering::Relaxed)
    }

    /// Of the share that this partition key is in.
    pub(crate) fn unpublished_beside(&self, partition_key: &str) -> usize {
        self.progress.shares[self.share(partition_key)].unpublished.load(Ordering::Relaxed)
    }

    pub(crate) fn health(&self) -> Health {
        let times: Vec<Times> = self.progress.shares.iter().map(|share| *lock(&share.times)).collect();
        let earliest = |of: fn(&Times) -> Option<Instant>| times.iter().filter_map(of).min();
        Health {
            unpublished: self.unpublished(),
            oldest: earliest(|times| times.oldest).map(|since| since.elapsed()),
            failing_for: earliest(|times| times.failing_since).map(|since| since.elapsed()),
        }
    }
}

/// As Dapr's Kafka client picks the partition of a key: with a multiple of a topic's partitions, what fails with one
/// of them are whole shares.
fn share_of(partition_key: &str, shares: usize) -> usize {
    let hash = partition_key
        .bytes()
        .fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let remainder = i64::from(hash.cast_signed()) % i64::try_from(shares).unwrap_or(i64::MAX);
    usize::try_from(remainder.unsigned_abs()).unwrap_or_default()
}

impl Lane {
    pub(crate) async fn run(mut self) {
        let mut next = Instant::now();
        loop {
            while let Some(done) = self.apart.try_join_next() {
                self.rejoin(done.ok());
            }
            while let Ok((share, more)) = self.queue.try_recv() {
                self.add(share, more);
            }
            let has_work = self.shares.iter().any(|share| !share.is_apart && !share.waiting.is_empty());
            if has_work && Instant::now() >= next {
                let batch = self.batch();
                let count = batch.iter().map(|part| part.events).sum::<usize>();
                if count < self.events_per_publish {
                    next = Instant::now() + PACE;
                }
                self.publish(&batch).await;
                continue;
            }
            tokio::select! {
                () = sleep_until(next), if has_work => {}
                Some(done) = self.apart.join_next() => self.rejoin(done.ok()),
                received = self.queue.recv() => match received {
                    Some((share, first)) => self.add(share, first),
                    None => return,
                },
            }
        }
    }

    fn add(&mut self, share: usize, waiting: Waiting) {
        self.shares[share].waiting.push_back(waiting);
        self.note_oldest(share);
    }

    /// What goes out next: as much as fits, but at least one event.
    fn batch(&mut self) -> Vec<Part> {
        let (mut batch, mut total, mut bytes) = (Vec::new(), 0, 0);
        let number = self.shares.len();
        for share in (self.first..number).chain(0..self.first) {
            let Share { waiting, is_apart: false } = &self.shares[share] else { continue };
            let fitting = waiting.iter().take_while(|waiting| {
                bytes += waiting.event.payload.len();
                let fits = total < self.events_per_publish && (total == 0 || bytes <= self.bytes_per_publish);
                total += usize::from(fits);
                fits
            });
            let events = fitting.count();
            if events > 0 {
                batch.push(Part { share, events });
            }
            if events < waiting.len() {
                // The next publish begins here, so that no share waits for ever behind others.
                self.first = share;
                break;
            }
        }
        batch
    }

    async fn publish(&mut self, batch: &[Part]) {
        let parts: Vec<Vec<Arc<OutboxEvent>>> = batch.iter().map(|&part| self.events(part)).collect();
        match self.outlet.publish(&parts.concat()).await {
            Ok(()) => batch.iter().for_each(|&part| self.confirm(part)),
            Err(error) => {
                for (&part, events) in batch.iter().zip(parts) {
                    self.shares[part.share].is_apart = true;
                    self.outlet.failed(part.share, &error);
                    let outlet = self.outlet.clone();
                    self.apart.spawn(async move {
                        outlet.repeat(part.share, &events).await;
                        part
                    });
                }
            }
        }
    }

    fn events(&self, part: Part) -> Vec<Arc<OutboxEvent>> {
        self.shares[part.share]
            .waiting
            .iter()
            .take(part.events)
            .map(|waiting| waiting.event.clone())
            .collect()
    }

    /// What failed has been published. After a panic of the publisher the share stays apart, for the sweep.
    fn rejoin(&mut self, published: Option<Part>) {
        let Some(part) = published else { return };
        self.shares[part.share].is_apart = false;
        self.confirm(part);
    }

    fn confirm(&mut self, part: Part) {
        let progress = &self.outlet.progress;
        progress.unpublished.fetch_sub(part.events, Ordering::Relaxed);
        progress.shares[part.share].unpublished.fetch_sub(part.events, Ordering::Relaxed);
        for published in self.shares[part.share].waiting.drain(..part.events) {
            progress.bytes.fetch_sub(published.event.payload.len(), Ordering::Relaxed);
            lock(&published.page.published).push(published.event.id);
            published.page.changed.notify_one();
        }
        self.note_oldest(part.share);
    }

    fn note_oldest(&self, share: usize) {
        let oldest = self.shares[share].waiting.front().map(|oldest| oldest.since);
        lock(&self.outlet.progress.shares[share].times).oldest = oldest;
    }
}

impl Outlet {
    async fn publish(&self, events: &[Arc<OutboxEvent>]) -> Result<(), PublishError> {
        let published = self.publisher.publish(events).await;
        match published {
            Ok(()) => metrics::counter!("relay_published_total").increment(events.len() as u64),
            Err(_) => metrics::counter!("relay_publish_failures_total").increment(1),
        }
        published
    }

    /// Publishes what failed, until it succeeds.
    async fn repeat(&self, share: usize, events: &[Arc<OutboxEvent>]) {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(self.random.up_to(pause)).await;
            if self.publish(events).await.is_ok() {
                return self.succeeded(share);
            }
            pause = (pause * 2).min(self.longest_pause);
        }
    }

    fn failed(&self, share: usize, error: &PublishError) {
        lock(&self.progress.shares[share].times).failing_since = Some(Instant::now());
        if self.progress.failing.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(error = error as &dyn std::error::Error, "publishing fails");
        }
    }

    fn succeeded(&self, share: usize) {
        lock(&self.progress.shares[share].times).failing_since = None;
        if self.progress.failing.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::info!("publishing succeeds again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_of_one_partition_lie_in_shares_that_no_other_partition_has() {
        let keys: Vec<String> = (0..1000).map(|number| format!("group-{number}")).collect();
        for (shares, partitions) in [(12, 6), (12, 4), (12, 3), (6, 6), (1, 1)] {
            let place = |key: &String| (share_of(key, shares), share_of(key, partitions));
            let places: BTreeSet<(usize, usize)> = keys.iter().map(place).collect();
            assert_eq!(places.len(), shares, "{places:?}");
        }
    }
}
