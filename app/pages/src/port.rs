//! What the pages need from outside: a store with one-key compare-and-set, a publisher, a clock, and the
//! owner's own unfinished work.

use std::{error::Error, fmt, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::{PageKey, Pages};

/// An item of the store with the `ETag` that a later save may demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// What is stored.
    pub value: Bytes,
    /// Names this version of the item.
    pub etag: String,
}

/// What must hold for a save or a delete to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The item does not exist.
    Absent,
    /// The item has this `ETag`. A store may let this pass when the item is missing altogether (Redis through
    /// Dapr does), which is why a page of a living collection is never
    /// removed.
    Etag(String),
}

/// A store with single-key compare-and-set.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// The item as it is now, or `None`. Must give up within a bounded time.
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError>;

    /// The items in the order of `keys`. An item that could not be read fails the whole call.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Versioned>>, StoreError>;

    /// Replaces the item if the precondition holds. With `time_to_live` the item vanishes that long after.
    /// Must give up within a bounded time.
    async fn save(
        &self,
        key: &str,
        value: Bytes,
        precondition: Precondition,
        time_to_live: Option<Duration>,
    ) -> Result<(), SaveError>;

    /// Removes an item that is no page. Removing what is not there succeeds.
    async fn delete(&self, key: &str, precondition: Precondition) -> Result<(), SaveError>;

    /// The `ETag` an item has after a successful save over `saved_over` (`None`: over no item), if the store
    /// counts in a known way. A wrong answer costs a reload, nothing else.
    fn next_etag(&self, saved_over: Option<&str>) -> Option<String>;
}

/// The store did not answer, answered with a failure, or holds what cannot be read.
#[derive(Clone)]
pub struct StoreError {
    is_unreadable: bool,
    cause: Arc<dyn Error + Send + Sync>,
}

impl StoreError {
    /// The store cannot be reached, or failed: later it may answer.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_unreadable: false, cause: Arc::from(cause.into()) }
    }

    /// The item is damaged, or was written by a later version of the program: asking again does not help.
    pub fn unreadable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        metrics::counter!("pages_unreadable_total").increment(1);
        Self { is_unreadable: true, cause: Arc::from(cause.into()) }
    }

    /// Whether the store answered with something that this program cannot read.
    pub fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_unreadable { "Unreadable" } else { "Unreachable" };
        write!(f, "{kind}({:?})", self.cause)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_unreadable {
            "the stored item cannot be read"
        } else {
            "the state store failed"
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

/// Why a save or a delete is not known to have happened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SaveError {
    /// The store reports a mismatch. It may be wrong: the save may have happened (a retried request meets its
    /// own effect), and an outage may be reported this way too.
    #[error("the store refused the save")]
    Refused(#[source] StoreError),
    /// No answer, or one that does not tell: the save may have happened, or may still happen.
    #[error("the outcome of the save is unknown")]
    Unknown(#[source] StoreError),
}

impl SaveError {
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Refused(cause) | Self::Unknown(cause) => cause,
        }
    }
}

/// An event that is committed with the change it tells of, and published afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Made at the commit by [`PageEdit::event_id`](crate::PageEdit::event_id); every repeat carries the same.
    pub id: Uuid,
    /// Events with the same key are published in the order of their commits.
    pub partition_key: String,
    /// The entity that changed. All its events must carry one partition key.
    pub entity: String,
    /// What travels beside the payload, such as the trace of the request.
    pub attributes: Vec<(String, String)>,
    /// The owner's own.
    pub payload: Bytes,
}

/// The way out for committed events.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes the events; those of one partition key in the order given. After an error any beginning of
    /// each key's events may have gone out: the caller sends all of them again. Must give up within a bounded
    /// time.
    async fn publish(&self, events: &[Arc<OutboxEvent>]) -> Result<(), PublishError>;
}

/// The events are not all known to be published.
#[derive(Debug, thiserror::Error)]
#[error("publishing failed")]
pub struct PublishError(#[source] Box<dyn Error + Send + Sync>);

impl PublishError {
    /// What went wrong.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The time of day. Waiting goes by tokio's clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> jiff::Timestamp;
}

/// The owner's work that a commit has left to be done (the pending markers of a page), such as a cascade.
#[async_trait]
pub trait PageWork: Send + Sync {
    /// Does the work, then clears the marker with [`PageEdit::clear_pending`](crate::PageEdit::clear_pending).
    ///
    /// Called once the commit that set the marker is done, and again, with growing pauses, until the marker is
    /// gone; after a crash by the process that sweeps. Two processes may run it at the same time, so it must
    /// be safe to repeat.
    async fn resume(&self, pages: &Pages, page: &PageKey, marker: &str);
}

/// What a call is part of, such as a trace. The store's work for a call is done in a task of the page, not in
/// the caller's: this carries the caller's context over.
pub trait CallContext: Send + Sync {
    /// The work, with this as its context.
    fn enclose<'work>(&self, work: Work<'work>) -> Work<'work>;
}

/// Work on the way to the store.
pub type Work<'work> = Pin<Box<dyn Future<Output = ()> + Send + 'work>>;

/// Takes the context of the call under way; `None` if it has none that is worth carrying. Of all calls that
/// share a save, the first one that has a context gives it.
pub type CaptureContext = fn() -> Option<Arc<dyn CallContext>>;
