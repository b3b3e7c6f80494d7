//! Summaries: the counts of a collection's pages in one item, derived from the pages off the commit path.
//!
//! For every page the summary keeps the page's ordinal and its tally at that ordinal. A newer ordinal wins, so
//! late and repeated updates do no harm. Whoever reads a page and finds that the counts known here are of an
//! older ordinal, and differ, corrects them; the sweep does so for the pages of a crashed process.

use std::{
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

use bytes::Bytes;
use prost::Message;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};

use crate::{
    CollectionKey, PageKey, Precondition, StoreError, Summary, Versioned,
    collection::{Collection, needs_flush},
    engine::Engine,
    page::Body,
};

/// The stored form.
#[derive(Clone, PartialEq, Message)]
struct StoredSummary {
    #[prost(string, repeated, tag = "1")]
    labels: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pages: Vec<StoredCount>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredCount {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(uint64, tag = "2")]
    ordinal: u64,
    /// Pairs: the index of a label, the number of entries.
    #[prost(uint32, repeated, tag = "3")]
    tally: Vec<u32>,
}

/// The counts of one page as of one of its saves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Count {
    ordinal: u64,
    tally: BTreeMap<String, u32>,
}

impl Count {
    fn entries(&self) -> usize {
        self.tally.values().map(|&entries| entries as usize).sum()
    }
}

/// The counts of a collection's pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<u32, Count>);

impl Counts {
    pub(crate) fn decode(key: &CollectionKey, stored: Option<Bytes>) -> Result<Self, StoreError> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        let stored = StoredSummary::decode(stored)
            .map_err(|cause| StoreError::new(CorruptSummary { collection: key.clone(), cause }))?;
        let label = |index: u32| stored.labels.get(index as usize).cloned().unwrap_or_default();
        let counts = stored.pages.iter().map(|count| {
            let pairs = count.tally.chunks_exact(2).map(|pair| (label(pair[0]), pair[1]));
            (count.number, Count { ordinal: count.ordinal, tally: pairs.collect() })
        });
        Ok(Self(counts.collect()))
    }

    fn encode(&self) -> Bytes {
        let mut labels: Vec<String> = Vec::new();
        let mut index = |label: &str| {
            let known = labels.iter().position(|known| known == label).unwrap_or_else(|| {
                labels.push(label.to_owned());
                labels.len() - 1
            });
            u32::try_from(known).unwrap_or(u32::MAX)
        };
        let pages = self.0.iter().map(|(&number, count)| StoredCount {
            number,
            ordinal: count.ordinal,
            tally: count.tally.iter().flat_map(|(label, &entries)| [index(label), entries]).collect(),
        });
        let pages = pages.collect();
        Bytes::from(StoredSummary { labels, pages }.encode_to_vec())
    }

    /// Takes what is newer in `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (&number, count) in &other.0 {
            match self.0.entry(number) {
                btree_map::Entry::Occupied(mut known) if known.get().ordinal < count.ordinal => {
                    known.insert(count.clone());
                }
                btree_map::Entry::Occupied(_) => {}
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(count.clone());
                }
            }
        }
    }

    fn says_more_than(&self, stored: &Self) -> bool {
        self.0
            .iter()
            .any(|(number, count)| stored.0.get(number).is_none_or(|known| known.tally != count.tally))
    }

    pub(crate) fn last_page(&self) -> Option<u32> {
        self.0.last_key_value().map(|(&number, _)| number)
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut summary =
            Summary { pages: self.last_page().map_or(0, |last| last + 1), ..Summary::default() };
        for count in self.0.values() {
            for (label, &entries) in &count.tally {
                *summary.tally.entry(label.clone()).or_default() += u64::from(entries);
                summary.entries += u64::from(entries);
            }
        }
        summary
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the summary of {collection} cannot be decoded")]
struct CorruptSummary {
    collection: CollectionKey,
    #[source]
    cause: prost::DecodeError,
}

/// The counts of a collection as this process knows them.
#[derive(Default)]
pub(crate) struct SummaryState {
    counts: Counts,
    entries: usize,
    /// What the stored item is known to be, if nobody else has changed it.
    base: Base,
    /// The counts here say more than the stored ones.
    is_ahead: bool,
    /// A flush is on its way.
    is_queued: bool,
}

#[derive(Default, Clone, PartialEq, Eq)]
enum Base {
    #[default]
    Unknown,
    Absent,
    Etag(String),
}

impl SummaryState {
    /// Takes the counts of a page. Returns whether they are news.
    pub(crate) fn observe(&mut self, number: u32, body: &Body) -> bool {
        if body.ordinal == 0 {
            return false;
        }
        let tally = body.tally();
        if let Some(known) = self.counts.0.get_mut(&number) {
            if known.ordinal >= body.ordinal {
                return false;
            }
            if known.tally.iter().map(|(label, &entries)| (label.as_str(), entries)).eq(tally.clone()) {
                // Not worth a save, but an older reading that comes late must not win any more.
                known.ordinal = body.ordinal;
                return false;
            }
        }
        if tally.is_empty() && !self.counts.0.contains_key(&number) {
            // Nothing was ever counted there: the sweep makes such pages.
            return false;
        }
        let tally = tally.into_iter().map(|(label, entries)| (label.to_owned(), entries)).collect();
        let count = Count { ordinal: body.ordinal, tally };
        self.entries += count.entries();
        let replaced = self.counts.0.insert(number, count);
        self.entries -= replaced.map_or(0, |replaced| replaced.entries());
        self.is_ahead = true;
        true
    }

    /// Takes what is stored as the base of the next save.
    pub(crate) fn take_stored(
        &mut self,
        key: &CollectionKey,
        stored: Option<Versioned>,
    ) -> Result<(), StoreError> {
        self.base = stored.as_ref().map_or(Base::Absent, |stored| Base::Etag(stored.etag.clone()));
        let stored = Counts::decode(key, stored.map(|stored| stored.value))?;
        self.counts.merge(&stored);
        self.entries = self.counts.0.values().map(Count::entries).sum();
        self.is_ahead = self.counts.says_more_than(&stored);
        Ok(())
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn last_page(&self) -> Option<u32> {
        self.counts.last_page()
    }

    pub(crate) fn entries_outside(&self, number: u32) -> usize {
        self.entries - self.counts.0.get(&number).map_or(0, Count::entries)
    }

    /// Whether a flush has to be started: there is something to write, and none is on its way.
    pub(crate) fn queue(&mut self) -> bool {
        let starts = self.is_ahead && !self.is_queued;
        self.is_queued |= starts;
        starts
    }

    pub(crate) fn is_settled(&self) -> bool {
        !self.is_ahead && !self.is_queued
    }
}

/// A collection whose summary is to be written.
pub(crate) struct PendingFlush {
    at: Instant,
    collection: Arc<Collection>,
}

/// Tries to write one summary before others get their turn.
const ATTEMPTS: u32 = 4;

impl Engine {
    /// Takes the counts of a page that was saved or loaded here.
    pub(crate) fn observe(&self, collection: &Arc<Collection>, number: u32, body: &Body) {
        if collection.with_summary(|state| state.observe(number, body)) {
            self.flush_soon(collection);
        }
    }

    /// Corrects the counts known here by a page that was read.
    pub(crate) fn heal(&self, key: &PageKey, body: &Body) {
        let known = self.collections.lock(key.collection()).get(key.collection()).cloned();
        if let Some(collection) = known {
            self.observe(&collection, key.number(), body);
        }
    }

    fn flush_soon(&self, collection: &Arc<Collection>) {
        if needs_flush(collection) {
            let at = Instant::now() + self.configuration.summary_after;
            drop(self.pending_flushes.send(PendingFlush { at, collection: collection.clone() }));
        }
    }

    /// Writes summaries in the order in which they became due.
    pub(crate) async fn run_summaries(self: Arc<Self>, mut flushes: mpsc::UnboundedReceiver<PendingFlush>) {
        let permits = Arc::new(Semaphore::new(self.configuration.summary_parallelism.max(1)));
        while let Some(next) = flushes.recv().await {
            tokio::select! {
                () = sleep_until(next.at) => {}
                () = self.draining.cancelled() => {}
            }
            // Never closed.
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            let engine = self.clone();
            self.spawn(async move { engine.flush(next.collection, permit).await });
        }
    }

    async fn flush(&self, collection: Arc<Collection>, _permit: OwnedSemaphorePermit) {
        let written = self.write_summary(&collection).await;
        let outcome = if written.is_ok() { "written" } else { "postponed" };
        metrics::counter!("pages_summary_flushes_total", "outcome" => outcome).increment(1);
        collection.with_summary(|state| state.is_queued = false);
        self.flush_soon(&collection);
    }

    async fn write_summary(&self, collection: &Collection) -> Result<(), StoreError> {
        let name = collection.key().summary_key();
        for _ in 0..ATTEMPTS {
            if collection.with_summary(|state| state.base == Base::Unknown) {
                let stored = self.store.get(&name).await?;
                collection.with_summary(|state| state.take_stored(collection.key(), stored))?;
            }
            let (base, value) = collection.with_summary(|state| {
                let is_ahead = std::mem::take(&mut state.is_ahead);
                (state.base.clone(), is_ahead.then(|| state.counts.encode()))
            });
            let Some(value) = value else { return Ok(()) };
            let (precondition, saved_over) = match &base {
                Base::Etag(etag) => (Precondition::Etag(etag.clone()), Some(etag.as_str())),
                Base::Absent | Base::Unknown => (Precondition::Absent, None),
            };
            let saved = self.store.save(&name, value, precondition, None).await;
            collection.with_summary(|state| {
                state.is_ahead |= saved.is_err();
                let next = saved.is_ok().then(|| self.store.next_etag(saved_over)).flatten();
                state.base = next.map_or(Base::Unknown, Base::Etag);
            });
            if saved.is_ok() {
                return Ok(());
            }
        }
        Err(StoreError::new("the summary kept changing"))
    }
}
