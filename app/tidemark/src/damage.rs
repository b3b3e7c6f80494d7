//! A stored entry that cannot be read costs itself alone: what it lies among is shown without it, and whoever runs
//! the program is told. `tidemark repair` mends it.

mod inspection;

pub use inspection::Inspection;
use metrics::counter;
use tidemark_protocol::stored::CorruptEntry;
use tracing::error;

use crate::telemetry::WithCauses;

/// The entry, if it can be read.
pub fn readable<T>(read: Result<T, CorruptEntry>) -> Option<T> {
    read.inspect_err(report).ok()
}

/// Counts and logs an entry that cannot be read.
pub fn report(fault: &CorruptEntry) {
    counter!("damaged_entries_total", "kind" => fault.kind()).increment(1);
    error!(error = %WithCauses(fault), "a stored entry cannot be read; `tidemark repair` mends it");
}
