//! Daily upkeep at 02:00 UTC: months that are past their retention go. TimescaleDB does this by itself.

use std::time::Duration;

use jiff::{Timestamp, ToSpan, Unit, civil::Time, tz::TimeZone};
use tracing::{info, warn};

use super::schema::{Engine, Schema};
use crate::{dapr::DatabaseBinding, foundation::Foundation, telemetry::WithCauses};

const DEADLINE: Duration = Duration::from_mins(1);

/// Starts the daily upkeep where it is ours to do.
pub fn start(database: DatabaseBinding, mut schema: Schema, foundation: &Foundation) {
    let (clock, stopping) = (foundation.clock.clone(), foundation.stopping.clone());
    let upkeep = async move {
        if schema.ready().await != Some(Engine::Native) {
            return;
        }
        let database = database.with_deadline(DEADLINE);
        loop {
            tokio::time::sleep(until_two(clock.now())).await;
            match database.execute("SELECT drop_expired_event_logs(INTERVAL '2 years')", &[]).await {
                Ok(()) => info!("expired event logs dropped"),
                Err(fault) => {
                    warn!(error = %WithCauses(&fault), "expired event logs not dropped");
                }
            }
        }
    };
    foundation.tasks.spawn(async move {
        stopping.run_until_cancelled(upkeep).await;
    });
}

/// How long it is until the next 02:00 UTC.
fn until_two(now: Timestamp) -> Duration {
    let now = now.to_zoned(TimeZone::UTC);
    let today = now.with().time(Time::constant(2, 0, 0, 0)).build();
    let next = today.and_then(|two| if two > now { Ok(two) } else { two.checked_add(1.day()) });
    let seconds =
        next.and_then(|next| now.until((Unit::Second, &next))).map_or(86_400, |span| span.get_seconds());
    Duration::from_secs(seconds.unsigned_abs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_upkeep_is_at_two_o_clock() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(until_two(at("2026-03-01T01:59:00Z")), Duration::from_mins(1));
        assert_eq!(until_two(at("2026-03-01T02:00:00Z")), Duration::from_hours(24));
        assert_eq!(until_two(at("2026-12-31T23:00:00Z")), Duration::from_hours(3));
    }
}
