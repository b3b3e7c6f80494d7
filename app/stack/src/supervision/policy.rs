//! When a dead unit is started again, and when no more.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How often and how fast a unit is restarted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RestartPolicy {
    /// The unit has failed when it ends more often than this within `window`.
    pub(crate) limit: usize,
    pub(crate) window: Duration,
    /// Wait before the first restart; doubled for each further one within the window.
    pub(crate) first_wait: Duration,
    pub(crate) longest_wait: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            limit: 5,
            window: Duration::from_mins(1),
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(5),
        }
    }
}

/// The recent unexpected ends of one unit.
#[derive(Debug, Default)]
pub(crate) struct RecentEnds(VecDeque<Instant>);

impl RecentEnds {
    /// Notes an end at `now`. Returns the wait before the restart, or `None` when the limit is passed.
    pub(crate) fn note(&mut self, policy: &RestartPolicy, now: Instant) -> Option<Duration> {
        while self.0.front().is_some_and(|end| now.duration_since(*end) > policy.window) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        if self.0.len() > policy.limit {
            return None;
        }
        let doublings = u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX);
        let factor = 2_u32.saturating_pow(doublings);
        Some(policy.first_wait.saturating_mul(factor).min(policy.longest_wait))
    }

    /// Somebody asked for a fresh start.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_the_limit_ends_them() {
        let policy = RestartPolicy { limit: 3, ..RestartPolicy::default() };
        let mut ends = RecentEnds::default();
        let now = Instant::now();
        assert_eq!(ends.note(&policy, now), Some(Duration::from_millis(100)));
        assert_eq!(ends.note(&policy, now), Some(Duration::from_millis(200)));
        assert_eq!(ends.note(&policy, now), Some(Duration::from_millis(400)));
        assert_eq!(ends.note(&policy, now), None);
    }

    #[test]
    fn ends_outside_the_window_do_not_count() {
        let policy = RestartPolicy { limit: 1, ..RestartPolicy::default() };
        let mut ends = RecentEnds::default();
        let now = Instant::now();
        assert!(ends.note(&policy, now).is_some());
        assert!(ends.note(&policy, now + Duration::from_secs(61)).is_some());
        assert!(ends.note(&policy, now + Duration::from_secs(62)).is_none());
    }
}
