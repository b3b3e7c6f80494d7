//! Summaries: the counts of a collection's pages in one item, derived from the pages off the commit path.
//!
//! For every page the summary keeps the page's ordinal and its tally at that ordinal. A newer ordinal wins, so
//! late and repeated updates do no harm. Whoever reads a page and finds that the counts known here are of an
//! older ordinal, and differ, corrects them; the sweep does so for the pages of a crashed process.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use prost::Message;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    CollectionKey, PageKey, PageSummary, Precondition, StoreError, Summary, Versioned,
    collection::{Collection, needs_flush},
    engine::Engine,
    page::{Body, FutureFormat},
};

/// The stored form.
#[derive(Clone, PartialEq, Message)]
struct StoredSummary {
    #[prost(string, repeated, tag = "1")]
    labels: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pages: Vec<StoredCount>,
    /// Pairs: the first page of a run of dead ones, and the first page after it.
    #[prost(uint32, repeated, tag = "3")]
    dead: Vec<u32>,
    /// The collection is closed, or about to be.
    #[prost(bool, tag = "4")]
    closed: bool,
    /// Of the layout: [`FORMAT`] with every save. 0 had neither dead pages nor numbers.
    #[prost(uint32, tag = "10")]
    format: u32,
}

/// The layout that this program writes. It reads all up to it.
const FORMAT: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct StoredCount {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(uint64, tag = "2")]
    ordinal: u64,
    /// Pairs: the index of a label, the number of entries.
    #[prost(uint32, repeated, tag = "3")]
    tally: Vec<u32>,
    #[prost(uint64, tag = "4")]
    first_number: u64,
}

/// The counts of one page as of one of its saves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Count {
    ordinal: u64,
    first_number: u64,
    tally: BTreeMap<String, u32>,
}

impl Count {
    fn entries(&self) -> usize {
        self.tally.values().map(|&entries| entries as usize).sum()
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        (self.first_number, &self.tally) == (other.first_number, &other.tally)
    }
}

/// The counts of a collection's pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pages: BTreeMap<u32, Count>,
    /// These count for nothing, for good.
    dead: DeadPages,
    is_closed: bool,
}

impl Counts {
    pub(crate) fn decode(key: &CollectionKey, stored: Option<Bytes>) -> Result<Self, StoreError> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        let stored = StoredSummary::decode(stored)
            .map_err(|cause| StoreError::unreadable(CorruptSummary { collection: key.clone(), cause }))?;
        if stored.format > FORMAT {
            let item = key.summary_key();
            return Err(StoreError::unreadable(FutureFormat { item, found: stored.format, known: FORMAT }));
        }
        let pages = stored.pages.iter().map(|count| count.number);
        let ends = stored.dead.chunks_exact(2).map(|run| run[1]);
        if let Some(number) = pages.chain(ends).find(|&number| number > LARGEST_PAGE) {
            return Err(StoreError::unreadable(ImpossiblePage { collection: key.clone(), number }));
        }
        let label = |index: u32| stored.labels.get(index as usize).cloned().unwrap_or_default();
        let dead = DeadPages::of_runs(stored.dead.chunks_exact(2).map(|run| (run[0], run[1])));
        let counts = stored.pages.iter().filter(|count| !dead.contains(count.number)).map(|count| {
            let pairs = count.tally.chunks_exact(2).map(|pair| (label(pair[0]), pair[1]));
            let (ordinal, first_number) = (count.ordinal, count.first_number);
            (count.number, Count { ordinal, first_number, tally: pairs.collect() })
        });
        Ok(Self { pages: counts.collect(), dead, is_closed: stored.closed })
    }

    fn encode(&self) -> Bytes {
        let mut labels: Vec<String> = Vec::new();
        let mut indexes: HashMap<&str, u32> = HashMap::new();
        let mut pages = Vec::with_capacity(self.pages.len());
        for (&number, count) in &self.pages {
            let mut tally = Vec::with_capacity(count.tally.len() * 2);
            for (label, &entries) in &count.tally {
                let next = u32::try_from(indexes.len()).unwrap_or(u32::MAX);
                let index = *indexes.entry(label).or_insert_with(|| {
                    labels.push(label.clone());
                    next
                });
                tally.extend([index, entries]);
            }
            let (ordinal, first_number) = (count.ordinal, count.first_number);
            pages.push(StoredCount { number, ordinal, tally, first_number });
        }
        let dead = self.dead.runs().flat_map(|(start, end)| [start, end]).collect();
        let stored = StoredSummary { labels, pages, dead, closed: self.is_closed, format: FORMAT };
        Bytes::from(stored.encode_to_vec())
    }

    /// Takes what is newer in `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (&number, count) in &other.pages {
            if self.pages.get(&number).is_none_or(|known| known.ordinal < count.ordinal) {
                self.pages.insert(number, count.clone());
            }
        }
        self.dead = DeadPages::of_runs(self.dead.runs().chain(other.dead.runs()));
        let dead = &self.dead;
        self.pages.retain(|&number, _| !dead.contains(number));
        self.is_closed |= other.is_closed;
    }

    fn says_more_than(&self, stored: &Self) -> bool {
        let is_news = |(number, count): (&u32, &Count)| {
            stored.pages.get(number).is_none_or(|known| !known.says_the_same_as(count))
        };
        self.dead != stored.dead || self.is_closed != stored.is_closed || self.pages.iter().any(is_news)
    }

    pub(crate) fn last_page(&self) -> Option<u32> {
        let last_live = self.pages.last_key_value().map(|(&number, _)| number);
        last_live.max(self.dead.last())
    }

    /// Pages up to this one that have entries or are not sealed, as far as is known.
    pub(crate) fn live_pages_up_to(&self, number: u32) -> u32 {
        let pages = number.saturating_add(1);
        pages - self.dead.count_below(pages)
    }

    pub(crate) fn is_dead(&self, number: u32) -> bool {
        self.dead.contains(number)
    }

    /// Pages of the range that are neither counted nor dead: another process has begun the ones after them. As many as
    /// there are processes, as a rule; a summary that leaves out more is damaged, and the rest counts for nothing.
    fn uncounted(&self, mut range: Range<u32>) -> impl Iterator<Item = PageSummary> {
        std::iter::from_fn(move || {
            while let Some(end) = self.dead.end_of_run(range.start) {
                range.start = end;
            }
            let number = range.next()?;
            Some(PageSummary { number, first_number: 0, tally: BTreeMap::new() })
        })
        .take(MOST_UNCOUNTED)
    }

    pub(crate) fn labelled_outside(&self, number: u32, label: &str) -> usize {
        let others = self.pages.iter().filter(|(other, _)| **other != number);
        others.filter_map(|(_, count)| count.tally.get(label)).map(|&entries| entries as usize).sum()
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary {
            pages: self.last_page().map_or(0, |last| last.saturating_add(1)),
            dead_before: self.dead.end_of_run(0).unwrap_or(0),
            ..Summary::default()
        };
        let mut next = 0;
        for (&number, count) in &self.pages {
            summary.live_pages.extend(self.uncounted(next..number));
            next = number.saturating_add(1);
            for (label, &entries) in &count.tally {
                *summary.tally.entry(label.clone()).or_default() += u64::from(entries);
                summary.entries += u64::from(entries);
            }
            let (first_number, tally) = (count.first_number, count.tally.clone());
            summary.live_pages.push(PageSummary { number, first_number, tally });
        }
        summary
    }
}

/// Pages that are sealed and empty, in runs. Nothing is ever put into them again: they need no ordinals, and a
/// collection that is filled and emptied for years needs no more room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct DeadPages {
    /// From the first page of a run to the first page after it.
    runs: BTreeMap<u32, u32>,
}

impl DeadPages {
    fn of_runs(runs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut sorted: Vec<(u32, u32)> = runs.into_iter().filter(|(start, end)| start < end).collect();
        sorted.sort_unstable();
        let mut joined: BTreeMap<u32, u32> = BTreeMap::new();
        for (start, end) in sorted {
            match joined.last_entry() {
                Some(mut last) if *last.get() >= start => {
                    let end = end.max(*last.get());
                    last.insert(end);
                }
                _ => drop(joined.insert(start, end)),
            }
        }
        Self { runs: joined }
    }

    fn runs(&self) -> impl Iterator<Item = (u32, u32)> {
        self.runs.iter().map(|(&start, &end)| (start, end))
    }

    fn insert(&mut self, number: u32) {
        let run = (number, number.saturating_add(1));
        *self = Self::of_runs(self.runs().chain([run]));
    }

    fn end_of_run(&self, number: u32) -> Option<u32> {
        let (_, &end) = self.runs.range(..=number).next_back()?;
        (number < end).then_some(end)
    }

    fn contains(&self, number: u32) -> bool {
        self.end_of_run(number).is_some()
    }

    fn count_below(&self, number: u32) -> u32 {
        self.runs.range(..number).map(|(&start, &end)| end.min(number) - start).sum()
    }

    fn last(&self) -> Option<u32> {
        self.runs.last_key_value().map(|(_, &end)| end - 1)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the summary of {collection} cannot be decoded")]
struct CorruptSummary {
    collection: CollectionKey,
    #[source]
    cause: prost::DecodeError,
}

#[derive(Debug, thiserror::Error)]
#[error("the summary of {collection} names page {number}, which no collection comes to")]
struct ImpossiblePage {
    collection: CollectionKey,
    number: u32,
}

/// Pages between two counted ones that are taken for not counted yet.
const MOST_UNCOUNTED: usize = 64;

/// No collection has so many pages in its life: a summary or a caller that names a greater one is wrong, and what
/// counts up to a page's number stays within bounds.
pub const LARGEST_PAGE: u32 = 1 << 24;

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
    /// Flushes that failed in a row.
    failures: u32,
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
        let closes = body.closed && !self.counts.is_closed;
        self.counts.is_closed |= closes;
        let is_news = self.count(number, body) || closes;
        self.is_ahead |= is_news;
        is_news
    }

    fn count(&mut self, number: u32, body: &Body) -> bool {
        if self.counts.is_dead(number) {
            return false;
        }
        if body.is_dead() {
            let last = self.counts.pages.remove(&number);
            self.entries -= last.map_or(0, |last| last.entries());
            self.counts.dead.insert(number);
            return true;
        }
        let tally = body.tally();
        if let Some(known) = self.counts.pages.get_mut(&number) {
            if known.ordinal >= body.ordinal {
                return false;
            }
            let is_same = known.first_number == body.first_number
                && known.tally.iter().map(|(label, &entries)| (label.as_str(), entries)).eq(tally.clone());
            if is_same {
                // Not worth a save, but an older reading that comes late must not win any more.
                known.ordinal = body.ordinal;
                return false;
            }
        } else if tally.is_empty() {
            // Nothing was ever counted there: the sweep makes such pages.
            return false;
        }
        let tally = tally.into_iter().map(|(label, entries)| (label.to_owned(), entries)).collect();
        let count = Count { ordinal: body.ordinal, first_number: body.first_number, tally };
        self.entries += count.entries();
        let replaced = self.counts.pages.insert(number, count);
        self.entries -= replaced.map_or(0, |replaced| replaced.entries());
        true
    }

    /// Takes what is stored as the base of the next save.
    pub(crate) fn take_stored(
        &mut self,
        key: &CollectionKey,
        stored: Option<Versioned>,
    ) -> Result<(), StoreError> {
        // What cannot be read is not saved over.
        self.base = Base::Unknown;
        let base = stored.as_ref().map_or(Base::Absent, |stored| Base::Etag(stored.etag.clone()));
        let stored = Counts::decode(key, stored.map(|stored| stored.value))?;
        self.base = base;
        self.counts.merge(&stored);
        self.entries = self.counts.pages.values().map(Count::entries).sum();
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
        self.entries - self.counts.pages.get(&number).map_or(0, Count::entries)
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

/// Times that the pause after a summary that could not be written is doubled.
const MOST_DOUBLINGS: u32 = 7;

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

    async fn flush(&self, collection: Arc<Collection>, permit: OwnedSemaphorePermit) {
        let written = self.write_summary(&collection).await;
        let outcome = if written.is_ok() { "written" } else { "postponed" };
        metrics::counter!("pages_summary_flushes_total", "outcome" => outcome).increment(1);
        let failures = collection.with_summary(|state| {
            state.failures = if written.is_ok() { 0 } else { state.failures.saturating_add(1) };
            state.failures
        });
        // One that cannot be written, be it for good, does not take the turns of others.
        drop(permit);
        if failures > 0 && !self.draining.is_cancelled() {
            let pause = self.configuration.summary_after * 2_u32.pow(failures.min(MOST_DOUBLINGS));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.draining.cancelled() => {}
            }
        }
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
                let value = is_ahead.then(|| (state.counts.encode(), state.counts.is_closed));
                (state.base.clone(), value)
            });
            let Some((value, is_closed)) = value else { return Ok(()) };
            let (precondition, saved_over) = match &base {
                Base::Etag(etag) => (Precondition::Etag(etag.clone()), Some(etag.as_str())),
                Base::Absent | Base::Unknown => (Precondition::Absent, None),
            };
            let time_to_live = is_closed.then_some(self.configuration.closed_retention);
            let saved = self.store.save(&name, value, precondition, time_to_live).await;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    fn key() -> CollectionKey {
        CollectionKey::parse("tasks/shared/group").unwrap()
    }

    fn counts() -> impl Strategy<Value = Counts> {
        let tally = prop::collection::btree_map("[a-c]{1,2}", 1..9u32, 0..3);
        let count = (any::<u64>(), any::<u64>(), tally).prop_map(|(ordinal, first_number, tally)| Count {
            ordinal,
            first_number,
            tally,
        });
        (prop::collection::btree_map(0..40u32, count, 0..9), vec(0..40u32, 0..30), any::<bool>()).prop_map(
            |(pages, dead, is_closed)| {
                let mut counts = Counts { pages, is_closed, ..Counts::default() };
                for number in dead {
                    counts.pages.remove(&number);
                    counts.dead.insert(number);
                }
                counts
            },
        )
    }

    /// Any bytes, and a good summary with some of its bytes changed or its end cut off.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let changes = vec(any::<(Index, u8)>(), 0..4);
        let damaged = (counts(), changes, any::<Index>()).prop_map(|(counts, changes, end)| {
            let mut bytes = counts.encode().to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len() * 2));
            bytes
        });
        prop_oneof![1 => vec(any::<u8>(), 0..200), 3 => damaged]
    }

    #[test]
    fn a_page_that_nobody_has_counted_yet_is_not_taken_for_a_dead_one() {
        let count = Count { ordinal: 1, first_number: 1, tally: BTreeMap::from([("new".to_owned(), 1)]) };
        let mut counts =
            Counts { pages: BTreeMap::from([(1, count.clone()), (5, count)]), ..Counts::default() };
        for dead in [0, 3] {
            counts.dead.insert(dead);
        }
        let live = counts.summary().live_pages;
        let live: Vec<(u32, bool)> = live.iter().map(|page| (page.number, page.tally.is_empty())).collect();
        assert_eq!(live, [(1, false), (2, true), (4, true), (5, false)]);
    }

    #[test]
    fn a_summary_that_names_an_impossible_page_is_unreadable() {
        let stored = |pages, dead| StoredSummary { pages, dead, format: FORMAT, ..StoredSummary::default() };
        let page = StoredCount { number: u32::MAX, ..StoredCount::default() };
        for damaged in [stored(vec![page], vec![]), stored(vec![], vec![0, u32::MAX])] {
            let decoded = Counts::decode(&key(), Some(damaged.encode_to_vec().into()));
            assert!(decoded.unwrap_err().is_unreadable());
        }
    }

    proptest! {
        #[test]
        fn any_stored_summary_is_read_or_refused(bytes in bytes()) {
            if let Ok(counts) = Counts::decode(&key(), Some(bytes.into())) {
                prop_assert_eq!(&Counts::decode(&key(), Some(counts.encode())).unwrap(), &counts);
                counts.summary();
                counts.live_pages_up_to(u32::MAX);
            }
        }

        #[test]
        fn what_is_written_is_read(counts in counts()) {
            prop_assert_eq!(Counts::decode(&key(), Some(counts.encode())).unwrap(), counts);
        }

        #[test]
        fn dead_pages_are_a_set(inserted in vec(0..60u32, 0..40), merged in vec((0..60u32, 0..60u32), 0..5)) {
            let mut dead = DeadPages::default();
            for &number in &inserted {
                dead.insert(number);
            }
            dead = DeadPages::of_runs(dead.runs().chain(merged.iter().copied()));
            let mut expected: BTreeSet<u32> = inserted.into_iter().collect();
            expected.extend(merged.into_iter().flat_map(|(start, end)| start..end));
            for number in 0..70 {
                prop_assert_eq!(dead.contains(number), expected.contains(&number));
                prop_assert_eq!(dead.count_below(number) as usize, expected.range(..number).count());
            }
            prop_assert_eq!(dead.last(), expected.last().copied());
        }

        #[test]
        fn merging_knows_the_newest_and_every_dead_page(one in counts(), other in counts()) {
            let mut merged = one.clone();
            merged.merge(&other);
            for number in 0..40 {
                let is_dead = one.is_dead(number) || other.is_dead(number);
                prop_assert_eq!(merged.is_dead(number), is_dead);
                let ordinals = [&one, &other].map(|of| of.pages.get(&number).map(|count| count.ordinal));
                let newest = if is_dead { None } else { ordinals[0].max(ordinals[1]) };
                prop_assert_eq!(merged.pages.get(&number).map(|count| count.ordinal), newest);
            }
        }
    }
}
