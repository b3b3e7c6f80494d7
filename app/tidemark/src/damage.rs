//! A stored entry that cannot be read costs itself alone: what it lies among is shown without it, and whoever runs
//! the program is told. `tidemark repair` mends it.

mod inspection;

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

pub use inspection::Inspection;
use metrics::counter;
use tidemark_protocol::stored::CorruptEntry;
use tokio::time::Instant;
use tracing::error;

use crate::telemetry::WithCauses;

/// The entry, if it can be read.
pub fn readable<T>(read: Result<T, CorruptEntry>) -> Option<T> {
    read.inspect_err(report).ok()
}

/// How long an entry is not logged again.
const PAUSE: Duration = Duration::from_mins(1);
/// How many entries are logged in that time.
const MOST_LOGGED: usize = 256;

static LOGGED: LazyLock<Mutex<Logged>> = LazyLock::new(Mutex::default);

/// Counts an entry that cannot be read, and logs it now and then: whoever polls a board reads it again and again.
pub fn report(fault: &CorruptEntry) {
    counter!("damaged_entries_total", "kind" => fault.kind()).increment(1);
    let is_due = LOGGED.lock().unwrap_or_else(PoisonError::into_inner).is_due(fault.to_string());
    if is_due {
        error!(error = %WithCauses(fault), "a stored entry cannot be read; `tidemark repair` mends it");
    }
}

/// The entries that were logged since some time.
#[derive(Default)]
struct Logged {
    since: Option<Instant>,
    entries: HashSet<String>,
}

impl Logged {
    fn is_due(&mut self, entry: String) -> bool {
        if self.since.is_none_or(|since| since.elapsed() >= PAUSE) {
            *self = Self { since: Some(Instant::now()), entries: HashSet::new() };
        }
        self.entries.len() < MOST_LOGGED && self.entries.insert(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_logged_once_a_minute_and_of_many_some() {
        let mut logged = Logged::default();
        let mut due = |count: usize| (0..count).filter(|entry| logged.is_due(entry.to_string())).count();
        assert_eq!((due(2), due(2), due(3)), (2, 0, 1));
        tokio::time::advance(PAUSE).await;
        assert_eq!((due(3), due(10_000), due(10_000)), (3, MOST_LOGGED - 3, 0));
        tokio::time::advance(PAUSE).await;
        assert_eq!(due(1), 1);
    }
}
