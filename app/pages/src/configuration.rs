//! The numbers an operator or a test may choose.

use std::time::Duration;

/// How the pages behave. The defaults are meant for production.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Separates the bookkeeping of several owners of pages in one store (`tasks`, `accounts`).
    pub namespace: String,
    /// The name of this process, unique among those that live. One that starts again under its name looks
    /// after what its former life left at once.
    pub instance: String,

    /// An append page with this many entries is full.
    pub entries_per_page: usize,
    /// An append page with this many bytes of entries and idempotency records is full.
    pub full_page_bytes: usize,
    /// No page may grow beyond this.
    pub page_bytes: usize,
    /// Live entries of one collection, beyond which nothing is appended.
    pub entries_per_collection: usize,
    /// Live pages of one collection: those that have entries or are not sealed.
    pub pages_per_collection: u32,
    /// Unpublished events that one page may hold.
    pub outbox_events_per_page: usize,
    /// Bytes of unpublished events that one page may hold.
    pub outbox_bytes_per_page: usize,
    /// Unpublished events that this process holds over all pages.
    pub outbox_events: usize,
    /// Bytes of payload of these.
    pub outbox_bytes: usize,
    /// Of these, how many may be in one share ([`Self::relay_shares`]): a part of the broker that is down does not
    /// stop the changes whose events go elsewhere.
    pub outbox_events_per_share: usize,

    /// How long an idempotency key is remembered.
    pub key_retention: Duration,
    /// Keys of appends to one collection that are remembered once their page is full; the oldest go first, a page at a
    /// time. Each takes some 60 bytes of every process that appends to the collection.
    pub append_keys_per_collection: usize,
    /// Keys that one page remembers of [`Pages::edit_once`](crate::Pages::edit_once); the oldest go first.
    pub edit_keys_per_page: usize,
    /// Bytes of one answer given by [`PageEdit::answer`](crate::PageEdit::answer).
    pub answer_bytes: usize,
    /// How long the tombstones of a closed collection stay: longer than any request or unfinished work that
    /// may still want to add to it.
    pub closed_retention: Duration,

    /// Pages whose commands are worked on at a time. A page that has to wait is joined by further commands, so
    /// that under load one save carries more of them.
    pub batches_at_once: usize,
    /// After waiting this long a page goes ahead all the same: a store that hangs must not hold up every page.
    pub longest_wait: Duration,
    /// Commands that one save carries at most.
    pub commands_per_save: usize,
    /// Commands that may wait for one page.
    pub mailbox: usize,
    /// Pages that may be in use at a time.
    pub writers: usize,
    /// Bytes that these may have in memory, but for what those in use already grow by.
    pub bytes_in_use: usize,
    /// Times a batch is tried before it is a conflict.
    pub attempts: u32,
    /// The longest pause between two attempts; the pause is drawn evenly from zero to it.
    pub attempt_pause: Duration,
    /// How long a batch is tried again, and an unreachable store asked what became of a save.
    pub resolve_within: Duration,

    /// A page without commands for this long has published events removed from its outbox.
    pub tidy_after: Duration,
    /// Tidy-up saves at a time. Under load they wait, and the next commit of the page does it in passing.
    pub tidy_parallelism: usize,
    /// A clean page without commands for this long is put away.
    pub idle_after: Duration,

    /// Publishes in flight while all goes well; a partition key always uses the same one.
    pub relay_lanes: usize,
    /// Shares that partition keys are divided into, by their hash. After a failed publish each share in it is
    /// repeated by itself, and the others go on. A multiple of the number of the broker's partitions makes what fails
    /// with one of them whole shares.
    pub relay_shares: u16,
    /// Events in one publish.
    pub events_per_publish: usize,
    /// Bytes of payload in one publish; a single larger event still goes.
    pub bytes_per_publish: usize,
    /// The longest pause before a failed publish is repeated.
    pub publish_pause: Duration,

    /// How long a change of counts waits for more before the summary is written.
    pub summary_after: Duration,
    /// Summary saves at a time.
    pub summary_parallelism: usize,

    /// How long a process is believed alive without a sign.
    pub lease: Duration,
    /// How often leases are looked at.
    pub sweep_every: Duration,
    /// Seeds jitter and process ids, so that a test can repeat a run. `None`: from the operating system.
    pub seed: Option<u64>,

    /// Items among which a process spreads the names of its active pages.
    pub register_slots: u32,
}

impl Configuration {
    /// The defaults.
    pub fn new(namespace: impl Into<String>, instance: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            instance: instance.into(),
            entries_per_page: 64,
            full_page_bytes: 24 * 1024,
            page_bytes: 2 * 1024 * 1024,
            entries_per_collection: 10_000,
            pages_per_collection: 2_000,
            outbox_events_per_page: 512,
            outbox_bytes_per_page: 1024 * 1024,
            outbox_events: 100_000,
            outbox_bytes: 256 * 1024 * 1024,
            outbox_events_per_share: 25_000,
            key_retention: Duration::from_hours(24),
            append_keys_per_collection: 250_000,
            edit_keys_per_page: 128,
            answer_bytes: 4096,
            closed_retention: Duration::from_hours(7 * 24),
            batches_at_once: 8,
            longest_wait: Duration::from_millis(250),
            commands_per_save: 256,
            mailbox: 1024,
            writers: 16_384,
            bytes_in_use: 512 * 1024 * 1024,
            attempts: 8,
            attempt_pause: Duration::from_millis(50),
            resolve_within: Duration::from_secs(5),
            tidy_after: Duration::from_millis(200),
            tidy_parallelism: 2,
            idle_after: Duration::from_secs(10),
            relay_lanes: 8,
            relay_shares: 12,
            events_per_publish: 500,
            bytes_per_publish: 1024 * 1024,
            publish_pause: Duration::from_secs(2),
            summary_after: Duration::from_millis(250),
            summary_parallelism: 2,
            lease: Duration::from_secs(15),
            sweep_every: Duration::from_secs(3),
            seed: None,
            register_slots: 32,
        }
    }
}
