//! What a process knows of a collection: where its end is, the idempotency keys of its sealed pages, and its
//! counts. All of it is derived from the pages and can be forgotten at any time.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    CollectionKey, IdempotencyKey, Limit, LimitExceeded, StoreError, Versioned,
    engine::Engine,
    page::Body,
    shards::lock,
    summary::{Counts, SummaryState},
};

pub(crate) struct Collection {
    key: CollectionKey,
    /// Held while the end or the keys are being looked for, so that one call does it for all.
    loading: tokio::sync::Mutex<Option<FailedLoad>>,
    state: Mutex<State>,
}

/// The last time that the end or the keys were looked for in vain.
struct FailedLoad {
    ended: Instant,
    cause: StoreError,
}

#[derive(Default)]
struct State {
    /// The first page not known to be sealed.
    end: Option<u32>,
    /// The keys of all pages before `end`.
    keys: Option<KeyIndex>,
    summary: SummaryState,
}

/// What was read of a page on the way to its writer, so that it need not read it again.
pub(crate) struct PageHint {
    pub(crate) number: u32,
    pub(crate) stored: Option<Versioned>,
    /// Where it goes on with the numbers of the collection, if the page before it was read too.
    pub(crate) first_number: Option<u64>,
}

/// Where an append goes.
pub(crate) enum AppendTarget {
    End(u32),
    /// The key was used in this sealed page.
    Used(u32),
}

/// Which sealed page used which idempotency key.
///
/// Only the writer of an open page can add a key of an append, so what a sealed page used is final, and an
/// index over all pages before the end misses nothing that the end's own writer does not see.
///
/// It holds the keys that are still remembered, and of these the newest
/// [`Configuration::append_keys_per_collection`](crate::Configuration::append_keys_per_collection) and their page's.
#[derive(Default)]
struct KeyIndex {
    page_of: HashMap<u128, u32>,
    /// In the order of the pages, to forget keys whose time is over.
    pages: VecDeque<PageKeys>,
}

struct PageKeys {
    newest: i64,
    keys: Vec<u128>,
}

/// Pages read at once on the way to the end, or back from it.
const LONGEST_STRIDE: u32 = 16;

impl Collection {
    pub(crate) fn new(key: CollectionKey) -> Self {
        Self { key, loading: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    pub(crate) fn key(&self) -> &CollectionKey {
        &self.key
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The last page that is known here to exist, or to be next; `None` if nobody has looked.
    pub(crate) fn last_known(&self) -> Option<u32> {
        let state = self.state();
        state.end.max(state.summary.last_page())
    }

    /// The first page not known to be sealed, if it was looked for.
    fn end(&self) -> Option<u32> {
        self.state().end
    }

    /// Gives access to the counts.
    pub(crate) fn with_summary<T>(&self, access: impl FnOnce(&mut SummaryState) -> T) -> T {
        access(&mut self.state().summary)
    }

    /// Makes sure that [`Self::target`] can answer. What was read of the end on the way comes back.
    pub(crate) async fn prepare(&self, engine: &Engine, keyed: bool) -> Result<Option<PageHint>, StoreError> {
        let is_ready = |state: &State| state.end.is_some() && (!keyed || state.keys.is_some());
        if is_ready(&self.state()) {
            return Ok(None);
        }
        let called = Instant::now();
        let mut last_failure = self.loading.lock().await;
        if is_ready(&self.state()) {
            return Ok(None);
        }
        // Whoever waited for one that failed has waited long enough: not one after the other.
        if let Some(FailedLoad { ended, cause }) = &*last_failure
            && *ended > called
        {
            return Err(cause.clone());
        }
        let loaded = self.load(engine, keyed).await;
        *last_failure =
            loaded.as_ref().err().map(|cause| FailedLoad { ended: Instant::now(), cause: cause.clone() });
        loaded
    }

    async fn load(&self, engine: &Engine, keyed: bool) -> Result<Option<PageHint>, StoreError> {
        let mut hint = None;
        if self.end().is_none() {
            let found = self.find_end(engine).await?;
            self.state().end = Some(found.number);
            hint = Some(found);
        }
        if keyed {
            self.load_keys(engine).await?;
        }
        Ok(hint)
    }

    /// Where an append with that key goes. Only after [`Self::prepare`].
    pub(crate) fn target(&self, key: Option<IdempotencyKey>) -> AppendTarget {
        let state = self.state();
        let used = key.zip(state.keys.as_ref()).and_then(|(key, keys)| keys.find(key));
        used.map_or_else(|| AppendTarget::End(state.end.unwrap_or_default()), AppendTarget::Used)
    }

    /// The page turned out to remember the key no longer.
    pub(crate) fn forget(&self, key: IdempotencyKey) {
        if let Some(keys) = &mut self.state().keys {
            keys.page_of.remove(&u128::from_be_bytes(key.key));
        }
    }

    /// Learns that a page is sealed, for good.
    pub(crate) fn sealed(&self, engine: &Engine, number: u32, body: &Body) {
        let mut state = self.state();
        if state.end == Some(number) {
            state.end = Some(number + 1);
            if let Some(keys) = &mut state.keys {
                keys.push_back(number, body);
                let configuration = &engine.configuration;
                let earliest = earliest(engine.now(), configuration.key_retention);
                keys.forget(earliest, configuration.append_keys_per_collection);
            }
        }
    }

    /// Looks for the first page that is not sealed. The summary says where to start; whether a page is sealed
    /// only the page itself says.
    ///
    /// A page that exists proves nothing: the sweep of a process that was about to begin it has made it. A page
    /// that is sealed proves that all pages before it are, since it was not appended to before they were.
    async fn find_end(&self, engine: &Engine) -> Result<PageHint, StoreError> {
        // Most collections end in their first page: one bulk read finds that out.
        let names = [self.key.summary_key(), self.key.page(0).to_string()];
        let mut found = engine.get_many(&names).await?.into_iter();
        let (summary, first) = (found.next().flatten(), found.next().flatten());
        let last = self.with_summary(|state| {
            state.take_stored(&self.key, summary)?;
            Ok(state.last_page().unwrap_or_default())
        })?;
        if let Some(hint) = self.end_among(engine, 0, [first])? {
            return Ok(hint);
        }
        let mut from = last.saturating_sub(1);
        let mut stride = 3;
        let mut is_proven = from == 0;
        loop {
            let found = engine.get_many(&self.names(from..from + stride)).await?;
            match self.end_among(engine, from, found)? {
                Some(hint) if is_proven || hint.number > from => return Ok(hint),
                Some(_) => {
                    from /= 2;
                    is_proven = from == 0;
                }
                None => {
                    is_proven = true;
                    from += stride;
                    stride = (stride * 2).min(LONGEST_STRIDE);
                }
            }
        }
    }

    fn end_among(
        &self,
        engine: &Engine,
        from: u32,
        found: impl IntoIterator<Item = Option<Versioned>>,
    ) -> Result<Option<PageHint>, StoreError> {
        let mut first_number = (from == 0).then_some(1);
        for (number, stored) in (from..).zip(found) {
            let Some(versioned) = &stored else { return Ok(Some(PageHint { number, stored, first_number })) };
            let key = self.key.page(number);
            let body = Body::decode_stored(&key, versioned.value.clone())?;
            engine.heal(&key, &body);
            if !body.sealed {
                return Ok(Some(PageHint { number, stored, first_number }));
            }
            first_number = Some(body.next_number());
        }
        Ok(None)
    }

    /// Walks back from the end to a page so old that the keys of all before it are forgotten anyway.
    async fn load_keys(&self, engine: &Engine) -> Result<(), StoreError> {
        let earliest = earliest(engine.now(), engine.configuration.key_retention);
        let most_keys = engine.configuration.append_keys_per_collection;
        let mut index = KeyIndex::default();
        let mut covered = self.end().unwrap_or_default();
        let mut until = covered;
        while until > 0 {
            let from = until.saturating_sub(LONGEST_STRIDE);
            let bodies = self.bodies(engine, from..until).await?;
            let mut reached_old = false;
            for (number, body) in (from..until).zip(&bodies).rev() {
                index.push_front(number, body);
                // All earlier pages were sealed before this one was begun.
                if (body.begun_at > 0 && body.begun_at < earliest) || index.page_of.len() >= most_keys {
                    reached_old = true;
                    break;
                }
            }
            until = if reached_old { 0 } else { from };
        }
        loop {
            // Pages sealed in the meantime.
            let end = {
                let mut state = self.state();
                let end = state.end.unwrap_or_default();
                if state.keys.is_some() {
                    return Ok(());
                }
                if end == covered {
                    state.keys = Some(index);
                    return Ok(());
                }
                end
            };
            let bodies = self.bodies(engine, covered..end).await?;
            for (number, body) in (covered..end).zip(&bodies) {
                index.push_back(number, body);
            }
            covered = end;
        }
    }

    async fn bodies(&self, engine: &Engine, numbers: Range<u32>) -> Result<Vec<Body>, StoreError> {
        let found = engine.get_many(&self.names(numbers.clone())).await?;
        let decode = |(number, stored): (u32, Option<Versioned>)| {
            let value = stored.map_or_else(Bytes::new, |stored| stored.value);
            Body::decode_stored(&self.key.page(number), value)
        };
        numbers.zip(found).map(decode).collect()
    }

    fn names(&self, numbers: Range<u32>) -> Vec<String> {
        numbers.map(|number| self.key.page(number).to_string()).collect()
    }

    /// Live entries outside this page, as far as is known here.
    pub(crate) fn entries_elsewhere(&self, number: u32) -> usize {
        self.state().summary.entries_outside(number)
    }

    /// The same, of one label.
    pub(crate) fn labelled_elsewhere(&self, number: u32, label: &str) -> usize {
        self.state().summary.counts().labelled_outside(number, label)
    }

    /// Whether the page would be one too many, as far as is known here.
    pub(crate) fn exceeded_pages(&self, engine: &Engine, number: u32) -> Option<LimitExceeded> {
        let allowed = engine.configuration.pages_per_collection as usize;
        let found = self.state().summary.counts().live_pages_up_to(number) as usize;
        (found > allowed).then_some(LimitExceeded { limit: Limit::PagesPerCollection, allowed, found })
    }

    /// The same, after a look at what other processes have counted.
    pub(crate) async fn exceeds_pages(
        &self,
        engine: &Engine,
        number: u32,
    ) -> Result<Option<LimitExceeded>, StoreError> {
        if self.exceeded_pages(engine, number).is_none() {
            return Ok(None);
        }
        let stored = engine.store.get(&self.key.summary_key()).await?;
        self.with_summary(|state| state.take_stored(&self.key, stored))?;
        Ok(self.exceeded_pages(engine, number))
    }

    /// Whether the page is known to be sealed and empty, which is final.
    pub(crate) fn is_dead(&self, number: u32) -> bool {
        self.state().summary.counts().is_dead(number)
    }

    /// The counts that are known here, over those that are stored.
    pub(crate) fn counts_over(&self, stored: Counts) -> Counts {
        let mut counts = stored;
        counts.merge(self.state().summary.counts());
        counts
    }
}

impl KeyIndex {
    fn find(&self, key: IdempotencyKey) -> Option<u32> {
        self.page_of.get(&u128::from_be_bytes(key.key)).copied()
    }

    fn push_back(&mut self, number: u32, body: &Body) {
        let keys = self.add(number, body);
        self.pages.push_back(keys);
    }

    fn push_front(&mut self, number: u32, body: &Body) {
        let keys = self.add(number, body);
        self.pages.push_front(keys);
    }

    fn add(&mut self, number: u32, body: &Body) -> PageKeys {
        let records = || body.keys.iter().filter(|record| !record.by_edit);
        let keys: Vec<u128> = records().map(crate::page::KeyRecord::key).collect();
        self.page_of.extend(keys.iter().map(|&key| (key, number)));
        PageKeys { newest: records().map(|record| record.used_at).max().unwrap_or(i64::MIN), keys }
    }

    /// Forgets the pages whose keys are all too old, or too many.
    fn forget(&mut self, earliest: i64, most: usize) {
        while let Some(oldest) = self.pages.front()
            && (oldest.newest < earliest
                || self.page_of.len() - oldest.keys.len().min(self.page_of.len()) >= most)
        {
            for key in &oldest.keys {
                self.page_of.remove(key);
            }
            self.pages.pop_front();
        }
    }
}

fn earliest(now: i64, retention: Duration) -> i64 {
    now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX))
}

/// The collection's summary is written soon.
pub(crate) fn needs_flush(collection: &Arc<Collection>) -> bool {
    collection.with_summary(SummaryState::queue)
}
