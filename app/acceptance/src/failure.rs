//! Why a trial failed, and where.

use std::error::Error;
use std::fmt;
use std::panic::Location;

/// What a trial returns.
pub type Outcome<T = ()> = Result<T, Failure>;

/// An error that stopped a trial. It remembers the place of the `?` that it passed first.
pub struct Failure(String);

impl Failure {
    /// A failure in words.
    #[track_caller]
    pub fn new(reason: impl fmt::Display) -> Self {
        Self::at(Location::caller(), reason)
    }

    /// A failure in words, for a function that notes its caller before it goes on asynchronously.
    pub fn at(place: &Location<'_>, reason: impl fmt::Display) -> Self {
        Self(format!("{place}: {reason}"))
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        Self::new(reason)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails() -> Outcome {
        "seven".parse::<u8>()?;
        Ok(())
    }

    #[test]
    fn a_failure_names_the_line_that_failed_and_its_causes() {
        let failure = fails().unwrap_err().to_string();
        assert!(failure.contains("failure.rs:") && failure.contains("invalid digit"), "{failure}");
    }
}
