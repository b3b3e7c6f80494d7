//! What an action gives: its output, and what interfaces say beside it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An output with what is known of it. Not `Debug`: it may be JSON with a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<T> {
    pub output: T,
    /// The version of the entity that the output shows.
    pub version: Option<u64>,
    /// The id of what was created.
    pub id: Option<String>,
    /// The first answer to a request that came again.
    pub replayed: bool,
    /// How old the output is, if it was kept.
    pub age: Option<Duration>,
    /// How long anybody may keep it.
    pub good_for: Option<Duration>,
}

impl<T> From<T> for Answer<T> {
    fn from(output: T) -> Self {
        Self { output, version: None, id: None, replayed: false, age: None, good_for: None }
    }
}

impl<T> Answer<T> {
    #[must_use]
    pub fn at_version(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    #[must_use]
    pub fn with_id(self, id: &impl ToString) -> Self {
        Self { id: Some(id.to_string()), ..self }
    }

    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        Self { replayed, ..self }
    }

    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        Self { age: Some(age), ..self }
    }

    #[must_use]
    pub fn good_for(self, duration: Duration) -> Self {
        Self { good_for: Some(duration), ..self }
    }

    /// The same answer with its output in another form.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Answer<U> {
        let Self { output, version, id, replayed, age, good_for } = self;
        Answer { output: form(output), version, id, replayed, age, good_for }
    }
}
