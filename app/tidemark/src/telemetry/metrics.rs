//! The Prometheus recorder behind `/metrics`, and the table of everything that is measured.
//!
//! `docs/observability.md` explains the metrics; `make observability-check` compares it, the rules and the
//! dashboards with this table.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio::time::{MissedTickBehavior, interval};

/// From half a millisecond to ten seconds: a save through the sidecar takes about one millisecond, the
/// slowest deadline is ten seconds. 0.1, 0.2 and 0.5 are promised times: what is promised must be a bound.
const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// From a hundredth of a second, less than one batch takes, to an hour: how long an outage may hold events back.
/// 0.1 is the promised time.
const AGES: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0];

/// Sizes of batches and group commits.
const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Sizes of pages, up to the largest message that a sidecar takes.
const BYTES: [f64; 8] =
    [1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// What a metric is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// One line a metric, as the program counts it; labels are in the documentation.
const METRICS: [(&str, Kind, Unit, &str); 39] = [
    ("consumer_batch_duration_seconds", Histogram, Unit::Seconds, "Time to handle a batch of events"),
    ("consumer_batch_failures_total", Counter, Unit::Count, "Batches that will be delivered again"),
    (
        "consumer_dead_letters_total",
        Counter,
        Unit::Count,
        "Events that could not be handled and were put aside",
    ),
    ("consumer_events_per_batch", Histogram, Unit::Count, "Events in a batch"),
    ("consumer_events_total", Counter, Unit::Count, "Events handled, repeated deliveries included"),
    ("damaged_entries_total", Counter, Unit::Count, "Readings of stored entries that cannot be read"),
    (
        "history_event_age_seconds",
        Histogram,
        Unit::Seconds,
        "Time from an event's commit until its row can be read",
    ),
    ("history_events_total", Counter, Unit::Count, "Events recorded, by what was changed and how"),
    (
        "http_request_duration_seconds",
        Histogram,
        Unit::Seconds,
        "Time from a request's head to its answer's head",
    ),
    ("http_requests_in_flight", Gauge, Unit::Count, "Requests that are being answered"),
    ("http_requests_total", Counter, Unit::Count, "Requests answered"),
    (
        "pages_backlogs_total",
        Counter,
        Unit::Count,
        "Changes refused because too many events wait to be published",
    ),
    ("pages_commands_per_save", Histogram, Unit::Count, "Changes that shared one save of a page"),
    ("pages_conflicts_total", Counter, Unit::Count, "Saves overtaken by another replica's, and done again"),
    ("pages_etag_guess_total", Counter, Unit::Count, "Saves over a version that was guessed instead of read"),
    (
        "pages_lease_failures_total",
        Counter,
        Unit::Count,
        "Renewals of this process' lease that failed and are tried again",
    ),
    (
        "pages_leases_lost_total",
        Counter,
        Unit::Count,
        "Times this process lost its lease and began a new life",
    ),
    (
        "pages_overloads_total",
        Counter,
        Unit::Count,
        "Changes refused because too many wait for the same page",
    ),
    (
        "pages_reads_total",
        Counter,
        Unit::Count,
        "Readings of pages; shared: answered by another caller's reading",
    ),
    ("state_keys_read_total", Counter, Unit::Count, "Keys asked of the state store"),
    ("trash_purged_total", Counter, Unit::Count, "Entries removed for good, by what they were"),
    ("pages_register_saves_total", Counter, Unit::Count, "Saves of the register of active pages"),
    ("pages_saved_bytes", Histogram, Unit::Bytes, "Size of a page when it is saved"),
    ("pages_saves_total", Counter, Unit::Count, "Attempts to save a page, by what became of them"),
    ("pages_summary_flushes_total", Counter, Unit::Count, "Writings of a collection's summary"),
    ("pages_tidy_saves_total", Counter, Unit::Count, "Saves that only remove what was published"),
    (
        "pages_unreadable_total",
        Counter,
        Unit::Count,
        "Readings of pages and summaries that cannot be decoded",
    ),
    ("pages_work_retries_total", Counter, Unit::Count, "Repetitions of a page's unfinished work"),
    ("pages_writers", Gauge, Unit::Count, "Pages that have a writer in this process"),
    ("relay_oldest_seconds", Gauge, Unit::Seconds, "Age of the oldest event that is not published"),
    (
        "relay_publish_failures_total",
        Counter,
        Unit::Count,
        "Attempts to publish events that failed and are repeated",
    ),
    ("relay_published_total", Counter, Unit::Count, "Events published"),
    ("relay_unpublished_events", Gauge, Unit::Count, "Events that are committed and not published"),
    ("sidecar_call_duration_seconds", Histogram, Unit::Seconds, "Time of a call to the sidecar"),
    ("sidecar_calls_total", Counter, Unit::Count, "Calls to the sidecar, by the gRPC code of their end"),
    ("sweeper_incarnations_total", Counter, Unit::Count, "Ended processes whose pages were visited"),
    ("sweeper_pages_total", Counter, Unit::Count, "Pages visited for an ended process"),
    ("sweeper_runs_total", Counter, Unit::Count, "Rounds in search of ended processes"),
    ("tidemark_build_info", Gauge, Unit::Count, "Always 1; the version is a label"),
];

/// Counters without labels: they begin at zero, since a counter that begins at one hides its first event.
const BEGIN_AT_ZERO: [&str; 13] = [
    "pages_backlogs_total",
    "pages_conflicts_total",
    "pages_lease_failures_total",
    "pages_leases_lost_total",
    "pages_overloads_total",
    "pages_register_saves_total",
    "pages_tidy_saves_total",
    "pages_unreadable_total",
    "pages_work_retries_total",
    "relay_publish_failures_total",
    "relay_published_total",
    "sweeper_incarnations_total",
    "sweeper_pages_total",
];

/// How long recorded values are kept one by one.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// What `/metrics` shows.
#[derive(Clone)]
pub struct Exposition {
    recorded: PrometheusHandle,
    process: Collector,
}

impl Exposition {
    /// All metrics as text, with a fresh look at what the process itself uses.
    pub fn render(&self) -> String {
        self.process.collect();
        self.recorded.render()
    }

    /// Counts what was recorded into the histograms' buckets from time to time, for ever. Without this every single
    /// value would be kept until somebody asks.
    pub async fn keep_small(&self) {
        let mut turns = interval(TIDY_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            self.recorded.run_upkeep();
        }
    }
}

/// Installs the recorder for the whole process.
pub fn install() -> anyhow::Result<Exposition> {
    let recorded = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full("history_event_age_seconds".to_owned()), &AGES)?
        .set_buckets_for_metric(Matcher::Suffix("_per_save".to_owned()), &COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_per_batch".to_owned()), &COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_saved_bytes".to_owned()), &BYTES)?
        .install_recorder()?;
    for (name, kind, unit, description) in METRICS {
        match kind {
            Counter => describe_counter!(name, unit, description),
            Gauge => describe_gauge!(name, unit, description),
            Histogram => describe_histogram!(name, unit, description),
        }
    }
    for name in BEGIN_AT_ZERO {
        counter!(name).increment(0);
    }
    gauge!("tidemark_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let process = Collector::default();
    process.describe();
    Ok(Exposition { recorded, process })
}
