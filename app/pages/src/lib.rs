//! Pages: a storage engine over a store that can do no more than compare and set one item.
//!
//! A **collection** is a list of **pages**; a page is one item of the store. Its owner either appends to a
//! collection or addresses its pages directly, say by a hash: not both. It holds its entries in full, the
//! idempotency keys it has seen, and its **outbox**: the events that were committed with its changes and are
//! not yet known to be published. One compare-and-set commits a change and its events together.
//!
//! # What it promises
//!
//! - An acknowledged edit is stored; a rejected or failed one is not. Only
//!   [`OutcomeUnknown`](EditError::OutcomeUnknown) leaves open which, and a retry with the same idempotency key
//!   finds out.
//! - Edits of one page happen one after the other, in all processes. Whatever is answered, also a rejection or
//!   a read, was true of the page at some moment between the call and its answer.
//! - Every event of a stored edit is published at least once, each time with the same id. The events of one
//!   entity first go out in the order of its edits; those of one partition key, while one process edits them,
//!   in the order of the commits.
//! - A repeated request gets the first answer, also when the retry meets another process, or a page that has
//!   been filled and left behind since.
//! - Counts ([`Summary`]) are derived: they follow within a moment and heal by themselves.
//! - Appended entries are numbered from 1, without gaps, in all processes; no number is given twice.
//! - What grows is bounded, and refuses with the limit's name and number.
//!
//! # What it relies on
//!
//! - The store's compare-and-set of one item is atomic, and a page of a living collection, once written, is
//!   never removed: deletion leaves a tombstone. Those of a closed collection expire after
//!   [`Configuration::closed_retention`]. A store that loses acknowledged saves loses pages.
//! - Two live processes never have the same instance name.
//! - The publisher keeps the order it is given within a partition key. A Kafka client without idempotence may
//!   break that within one failed publish, while a leader moves; a consumer sees the gap in the entity's
//!   versions, and the repeat fills it.
//!
//! # How
//!
//! - `writer`: each page in use has one writer in the process, which takes all commands that wait, applies
//!   them in memory, saves once and answers all (group commit). Another process on the same page is met by the
//!   `ETag`: reload, apply again. A failed save is looked for by its number before anything is done again.
//! - `collection`: appends go to the first page that is not sealed. A page that fills up is sealed by the very
//!   save that fills it, and is never opened again, so its idempotency keys and its numbers are final: the next
//!   page goes on with the numbers from there. A sealed page that has been emptied is dead, for good.
//! - `relay`: publishes committed events in a fixed number of lanes, one publish in flight in each; what fails is
//!   repeated apart from what does not.
//! - `register`, `sweeper`: before a process first saves a page it notes the page's name in its register; when
//!   its lease runs out, another process takes over all pages noted there.
//! - `summary`: counts per page, newest save wins; dead pages are kept in runs.
//! - `reader`: reads of one page that wait at the same moment share one.
//!
//! # Items
//!
//! | key | value |
//! |---|---|
//! | `<collection>/<number>` | a page (`page::Body`) |
//! | `<collection>/summary` | its counts |
//! | `pages/<namespace>/directory` | incarnations that may have active pages |
//! | `pages/<namespace>/lease/<incarnation>` | a sign of life, expires |
//! | `pages/<namespace>/register/<incarnation>/<slot>` | names of active pages |
//! | `pages/<namespace>/sweeper` | who sweeps, expires |
//!
//! All values are protocol buffers. Pages and summaries say which layout they have. An absent page is an empty,
//! open one.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod bookkeeping;
mod collection;
mod command;
mod configuration;
mod edit;
mod engine;
mod error;
mod key;
mod page;
mod port;
mod random;
mod reader;
mod register;
mod relay;
mod repair;
mod shards;
mod summary;
mod sweeper;
mod writer;

#[cfg(test)]
mod tests;

/// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tokio_util::sync::DropGuard;

use collection::AppendTarget;
use command::Kind;
use engine::Engine;
use page::Remembered;

pub use configuration::Configuration;
pub use edit::PageEdit;
pub use error::{EditError, Limit, LimitExceeded};
pub use key::{CollectionKey, InvalidCollectionKey, PageKey};
pub use page::{Entry, IdempotencyKey, PageView};
pub use port::{
    CallContext, CaptureContext, Clock, OutboxEvent, PageWork, Precondition, PublishError, Publisher,
    SaveError, StateStore, StoreError, Versioned, Work,
};
pub use repair::{Damage, Examined, Repair, Use, Verdict};
pub use summary::LARGEST_PAGE;

/// What the pages need from outside.
pub struct Ports {
    /// Keeps the items.
    pub store: Arc<dyn StateStore>,
    /// Takes committed events.
    pub publisher: Arc<dyn Publisher>,
    /// Tells the time of commits.
    pub clock: Arc<dyn Clock>,
    /// Resumes unfinished work; `None` if no edit ever sets a marker.
    pub work: Option<Arc<dyn PageWork>>,
    /// Carries the callers' contexts to the store; `None` if there is nothing to carry.
    pub context: Option<CaptureContext>,
}

/// The pages of one owner. Clones share everything; when the last one is dropped, all background work stops as
/// it is, which is safe at any moment. [`Pages::drain`] leaves nothing behind instead.
#[derive(Clone)]
pub struct Pages {
    engine: Arc<Engine>,
    /// Not for [`PageWork`]: it may go on while this drains, and must not keep it alive.
    guard: Option<Arc<DropGuard>>,
}

/// The outcome of an edit under an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub enum Once<T> {
    /// The request was carried out now.
    First(T),
    /// It had been carried out before.
    Again(FirstAnswer),
}

/// What the first request with the same idempotency key did.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstAnswer {
    /// Where it put its entry.
    pub page: PageKey,
    /// The first entry it put, as it left it, whatever became of it since. `None` if it put none, or if it gave an
    /// answer.
    pub entry: Option<Entry>,
    /// What it gave to [`PageEdit::answer`]; empty if it gave none.
    pub answer: Bytes,
}

/// Consecutive pages of a collection, without those known to be sealed and empty.
#[derive(Debug, Clone)]
pub struct CollectionPages {
    /// In order; the last of the collection may be absent from the store, and is then empty.
    pub pages: Vec<Arc<PageView>>,
    /// The page to go on from, if the collection has more.
    pub next: Option<u32>,
}

/// Something that [`Pages::read_items`] reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// A page.
    Page(PageKey),
    /// What is known of a collection.
    Summary(CollectionKey),
}

impl Item {
    fn name(&self) -> String {
        match self {
            Self::Page(page) => page.to_string(),
            Self::Summary(collection) => collection.summary_key(),
        }
    }
}

/// What [`Pages::read_items`] found in the place of an [`Item`]: a page or collection that does not exist is
/// empty.
#[derive(Debug, Clone)]
pub enum Found {
    /// In the place of [`Item::Page`].
    Page(Arc<PageView>),
    /// In the place of [`Item::Summary`].
    Summary(Summary),
}

/// What is known of a whole collection without reading its pages. Derived: it follows the pages within a
/// moment, and heals by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pages that exist, dead ones too.
    pub pages: u32,
    /// The pages before this one are sealed and empty, for good: who reads the collection can begin here.
    pub dead_before: u32,
    /// Pages that are not known to be sealed and empty, in their order.
    pub live_pages: Vec<PageSummary>,
    /// Live entries.
    pub entries: u64,
    /// Live entries by label.
    pub tally: BTreeMap<String, u64>,
}

/// What is known of one page without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSummary {
    /// The page's number in its collection.
    pub number: u32,
    /// Of the first entry that was appended to it; 0 if none was.
    pub first_number: u64,
    /// Live entries by label. Empty if there are none, or if nobody has counted the page yet: another process may
    /// have begun the page after it.
    pub tally: BTreeMap<String, u32>,
}

impl PageSummary {
    /// Whether the page may hold entries of a label that is `wanted`.
    pub fn may_hold(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.tally.is_empty() || self.tally.iter().any(|(label, &entries)| entries > 0 && wanted(label))
    }
}

impl Summary {
    /// The page that the entry of this number was appended to, if it is still there. A number of the last page
    /// may also lie in a page that began since.
    pub fn page_of(&self, number: u64) -> Option<u32> {
        let begun = self.live_pages.iter().filter(|page| page.first_number > 0);
        begun.take_while(|page| page.first_number <= number).last().map(|page| page.number)
    }
}

/// How publishing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Committed events that this process knows and has not seen published.
    pub unpublished: usize,
    /// How long the oldest of them has waited here.
    pub oldest: Option<Duration>,
    /// For how long publishing has failed without a success, if any of it fails now: "degraded".
    pub failing_for: Option<Duration>,
}

/// What a drain left undone. The sweep of another process, or of this one's next life, finishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Pages that still hold unpublished events or unfinished work, or that could not be tidied.
    pub pages_left: usize,
    /// Committed events that this process has not seen published.
    pub unpublished_events: usize,
    /// Collections whose summary is behind.
    pub summaries_left: usize,
}

impl Drained {
    /// Whether nothing was left.
    pub fn is_complete(&self) -> bool {
        self.pages_left == 0 && self.unpublished_events == 0 && self.summaries_left == 0
    }
}

impl Pages {
    /// Starts the background work. Must be called inside a tokio runtime.
    pub fn start(ports: Ports, configuration: Configuration) -> Self {
        let engine = Engine::start(ports, configuration);
        let guard = Arc::new(engine.stopped.clone().drop_guard());
        Self { engine, guard: Some(guard) }
    }

    fn of_work(engine: Arc<Engine>) -> Self {
        Self { engine, guard: None }
    }

    /// Adds to the end of the collection: the edit runs on its last page, whose number is
    /// [`PageEdit::number`]. With a key, a repeated call returns the first answer instead.
    pub async fn append<T, R>(
        &self,
        collection: &CollectionKey,
        key: Option<IdempotencyKey>,
        edit: impl Fn(&mut PageEdit<'_>) -> Result<T, R> + Send + 'static,
    ) -> Result<Once<T>, EditError<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        self.admit()?;
        let engine = &self.engine;
        let known = engine.collection(collection);
        let mut hint = None;
        loop {
            let found = known.prepare(engine, key.is_some()).await.map_err(EditError::Unavailable)?;
            hint = found.or(hint);
            match (known.target(key), key) {
                (AppendTarget::Used(number), Some(key)) => {
                    let page = collection.page(number);
                    let view = engine.read(&page).await.map_err(EditError::Unavailable)?;
                    match view.body().remembered(key) {
                        Some(Remembered::Answer(entry, answer)) => {
                            return Ok(Once::Again(FirstAnswer { page, entry, answer }));
                        }
                        Some(Remembered::OtherRequest) => return Err(EditError::KeyReused),
                        // Its time was over.
                        None => known.forget(key),
                    }
                }
                (AppendTarget::End(number) | AppendTarget::Used(number), _) => {
                    let exceeded = known.exceeds_pages(engine, number).await;
                    if let Some(exceeded) = exceeded.map_err(EditError::Unavailable)? {
                        return Err(EditError::LimitExceeded(exceeded));
                    }
                    let (command, answer) = command::command(Kind::Append, key, engine.capture(), edit);
                    engine.submit(&collection.page(number), command, hint);
                    return answer.wait().await;
                }
            }
        }
    }

    /// Changes one page. An edit that changes nothing still sees the page as it is at some moment after the
    /// call began.
    pub async fn edit<T, R>(
        &self,
        page: &PageKey,
        edit: impl Fn(&mut PageEdit<'_>) -> Result<T, R> + Send + 'static,
    ) -> Result<T, EditError<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        match self.edit_once(page, None, edit).await? {
            Once::First(value) => Ok(value),
            Once::Again(_) => unreachable!("an edit without a key is not remembered"),
        }
    }

    /// Changes one page once for all calls with the key, whatever the edit does: also one that only removes, or
    /// changes nothing, is remembered. A page remembers the newest [`Configuration::edit_keys_per_page`] keys of
    /// such edits. Without a key it is [`Pages::edit`].
    pub async fn edit_once<T, R>(
        &self,
        page: &PageKey,
        key: impl Into<Option<IdempotencyKey>>,
        edit: impl Fn(&mut PageEdit<'_>) -> Result<T, R> + Send + 'static,
    ) -> Result<Once<T>, EditError<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        self.admit()?;
        let (command, answer) = command::command(Kind::Edit, key.into(), self.engine.capture(), edit);
        self.engine.submit(page, command, None);
        answer.wait().await
    }

    /// Runs the edit on every page of the collection, from the first to the last, and closes each: nothing can
    /// be added afterwards, by anyone. The edit removes the entries and tells of it. Safe to repeat after a
    /// failure: pages closed before get the edit again.
    pub async fn close_collection<R>(
        &self,
        collection: &CollectionKey,
        edit: impl Fn(&mut PageEdit<'_>) -> Result<(), R> + Clone + Send + 'static,
    ) -> Result<(), EditError<R>>
    where
        R: Send + 'static,
    {
        let mut number = 0;
        loop {
            let page = collection.page(number);
            let edit = edit.clone();
            let is_sealed = self
                .edit(&page, move |page| {
                    edit(page)?;
                    page.close();
                    Ok(page.is_sealed())
                })
                .await?;
            // A page that was not sealed when it was closed never will be: there is no next one.
            if !is_sealed {
                return Ok(());
            }
            number += 1;
        }
    }

    /// The page as it is at some moment after the call began.
    pub async fn read(&self, page: &PageKey) -> Result<Arc<PageView>, StoreError> {
        self.engine.read(page).await
    }

    /// The pages in the order asked for, each as it is at some moment after the call began.
    pub async fn read_many(&self, pages: &[PageKey]) -> Result<Vec<Arc<PageView>>, StoreError> {
        self.engine.read_many(pages).await
    }

    /// Consecutive pages without those known to be sealed and empty, at most `at_most` of them, from number `from` to the end of the collection, each as
    /// it is at some moment after the call began.
    pub async fn read_collection(
        &self,
        collection: &CollectionKey,
        from: u32,
        at_most: u32,
    ) -> Result<CollectionPages, StoreError> {
        self.engine.read_collection(collection, from, at_most).await
    }

    /// What is known of the collection, here or in the store.
    pub async fn summary(&self, collection: &CollectionKey) -> Result<Summary, StoreError> {
        let stored = self.engine.store.get(&collection.summary_key()).await?;
        self.engine.summarise(collection, stored.map(|stored| stored.value))
    }

    /// The summaries in the order asked for.
    pub async fn summaries(&self, collections: &[CollectionKey]) -> Result<Vec<Summary>, StoreError> {
        if collections.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = collections.iter().map(CollectionKey::summary_key).collect();
        let stored = self.engine.get_many(&names).await?.into_iter();
        let values = stored.map(|stored| stored.map(|stored| stored.value));
        let summarise = |(collection, value)| self.engine.summarise(collection, value);
        collections.iter().zip(values).map(summarise).collect()
    }

    /// Any mix of pages and summaries of several collections, in the order asked for, in as few calls of the
    /// store as their number allows: one for up to 64.
    pub async fn read_items(&self, items: &[Item]) -> Result<Vec<Found>, StoreError> {
        self.engine.read_items(items).await
    }

    /// Takes what other processes have counted into what edits see of their collection
    /// ([`PageEdit::entries_of_collection`]).
    pub async fn recount(&self, collection: &CollectionKey) -> Result<(), StoreError> {
        let stored = self.engine.store.get(&collection.summary_key()).await?;
        self.engine.collection(collection).with_summary(|state| state.take_stored(collection, stored))
    }

    /// The page that has the entry of this number, if there is one: [`PageView::numbered`] gives the entry.
    pub async fn read_numbered(
        &self,
        collection: &CollectionKey,
        number: u64,
    ) -> Result<Option<Arc<PageView>>, StoreError> {
        let summary = self.summary(collection).await?;
        let named = summary.page_of(number).into_iter();
        let pages = self.engine.read_named_and_newest(collection, &summary, named).await?;
        Ok(pages.into_iter().find(|page| page.numbered(number).is_some()))
    }

    /// How publishing goes.
    pub fn health(&self) -> Health {
        self.engine.relay.health()
    }

    /// Takes no more commands, finishes saves, publishes, tidies, and gives up this process' lease; all within
    /// `deadline`.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let engine = &self.engine;
        let until = Instant::now() + deadline;
        engine.draining.cancel();
        // No load any more that tidying could be in the way of.
        engine.tidying.add_permits(DRAIN_TIDYING);
        while Instant::now() < until && !self.left().is_complete() {
            sleep(DRAIN_LOOK).await;
        }
        let left = self.left();
        // The lease ends by itself if the store does not answer any more.
        drop(tokio::time::timeout_at(until.max(Instant::now() + DRAIN_LEAVE), engine.register.leave()).await);
        left
    }

    fn left(&self) -> Drained {
        Drained {
            pages_left: self.engine.live_writers(),
            unpublished_events: self.engine.relay.unpublished(),
            summaries_left: self.engine.unsettled_summaries(),
        }
    }

    fn admit<R>(&self) -> Result<(), EditError<R>> {
        if self.guard.is_some() && self.engine.draining.is_cancelled() {
            return Err(EditError::Stopping);
        }
        Ok(())
    }
}

/// Tidy-up saves at a time that a drain adds.
const DRAIN_TIDYING: usize = 14;
/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// What giving up the lease may take beyond the deadline.
const DRAIN_LEAVE: Duration = Duration::from_secs(1);
