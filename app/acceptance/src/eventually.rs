//! Awaiting what can only be asked for.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::failure::{Failure, Outcome};

/// Between two questions: short beside what is awaited, long beside an answer.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks until the answer is `Ok`, which it returns.
///
/// `ask` returns `Err` with what it saw instead, as long as that may still change; the last such answer is in
/// the failure when `within` is over.
#[track_caller]
pub fn eventually<T, E, Q>(awaited: &str, within: Duration, ask: Q) -> impl Future<Output = Outcome<T>>
where
    E: fmt::Display,
    Q: AsyncFnMut() -> Result<T, E>,
{
    ask_until(awaited, within, ask, Location::caller())
}

async fn ask_until<T, E: fmt::Display>(
    awaited: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
    place: &'static Location<'static>,
) -> Outcome<T> {
    let deadline = Instant::now() + within;
    let mut seen = "no answer".to_owned();
    loop {
        match timeout_at(deadline, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(other)) => seen = other.to_string(),
            Err(_) => break,
        }
        if Instant::now() + PAUSE >= deadline {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(Failure::at(place, format!("{awaited}: not within {within:?}; last seen: {seen}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_right_answer_is_returned() {
        let mut asked = 0;
        let answer = eventually("three questions", Duration::from_secs(1), async || {
            asked += 1;
            if asked == 3 { Ok(asked) } else { Err(asked) }
        });
        assert_eq!(answer.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_wrong_answer_is_told_when_time_is_up() {
        let answer = eventually("the end", Duration::from_millis(80), async || Err::<(), _>("the middle"));
        let failure = answer.await.unwrap_err().to_string();
        assert!(failure.contains("the end: not within 80ms; last seen: the middle"), "{failure}");
    }
}
