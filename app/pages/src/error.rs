//! What can go wrong, as the caller must tell it apart.

use crate::StoreError;

/// Why an edit was not acknowledged. Only `OutcomeUnknown` leaves open whether it happened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EditError<R> {
    /// The edit itself refused, having seen the current page. Nothing of it was committed.
    #[error("the edit was rejected")]
    Rejected(R),
    /// The idempotency key was used before with another body.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The collection was deleted, or the page was sealed and has been emptied: nothing may be added.
    #[error("the collection is closed")]
    Closed,
    /// Something would have grown beyond its limit.
    #[error("{0}")]
    LimitExceeded(LimitExceeded),
    /// Too many committed events wait to be published: the broker is down or slow.
    #[error("{waiting} events wait to be published")]
    Backlog {
        /// Events that wait, over all pages.
        waiting: usize,
    },
    /// More commands wait than are taken.
    #[error("too many commands are waiting")]
    Overloaded,
    /// This process is shutting down.
    #[error("shutting down")]
    Stopping,
    /// Others kept changing the page; nothing was committed.
    #[error("the page kept changing through {attempts} attempts")]
    Conflict {
        /// Times that it was tried.
        attempts: u32,
    },
    /// The store failed, or the page in it cannot be read ([`StoreError::is_unreadable`]); nothing was committed.
    #[error("the state store is unavailable")]
    Unavailable(#[source] StoreError),
    /// The store failed, and the edit may have been committed or may still be. A retry with the same
    /// idempotency key is safe.
    #[error("the state store is unavailable, and the outcome is unknown")]
    OutcomeUnknown(#[source] StoreError),
}

/// A stated limit, and what would have passed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} would be {found}, at most {allowed} are allowed")]
pub struct LimitExceeded {
    /// What is limited.
    pub limit: Limit,
    /// Its bound.
    pub allowed: usize,
    /// What it would have become.
    pub found: usize,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Configuration::entries_per_collection`](crate::Configuration::entries_per_collection)
    EntriesPerCollection,
    /// [`Configuration::pages_per_collection`](crate::Configuration::pages_per_collection)
    PagesPerCollection,
    /// [`Configuration::page_bytes`](crate::Configuration::page_bytes)
    PageBytes,
    /// [`Configuration::answer_bytes`](crate::Configuration::answer_bytes)
    AnswerBytes,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EntriesPerCollection => "the number of entries of the collection",
            Self::PagesPerCollection => "the number of pages of the collection",
            Self::PageBytes => "the bytes of the page",
            Self::AnswerBytes => "the bytes of the remembered answer",
        })
    }
}
