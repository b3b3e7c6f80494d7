//! The one place that reads the time of day.

use jiff::Timestamp;

pub use tidemark_pages::Clock;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else takes as an argument"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
