//! Shared reads: calls that wait for the same page at the same moment share one read of the store that began
//! after all of them.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    CollectionKey, CollectionPages, Found, Item, PageKey, PageView, StoreError, Summary,
    collection::Collection, engine::Engine, shards::Shards, summary::Counts,
};

type Reply = oneshot::Sender<Result<Arc<PageView>, StoreError>>;

/// Pages being read, each with the calls that came after its read began.
pub(crate) type Reads = Shards<PageKey, Vec<Reply>>;

#[derive(Debug, thiserror::Error)]
#[error("the read was abandoned")]
struct Abandoned;

impl Engine {
    /// The page as it is at some moment after the call began.
    pub(crate) async fn read(self: &Arc<Self>, key: &PageKey) -> Result<Arc<PageView>, StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.reads.lock(key).entry(key.clone()) {
            // The read under way may have looked at the store before this call began: wait for the next one.
            hash_map::Entry::Occupied(mut reading) => reading.get_mut().push(reply),
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Vec::new());
                // In a task of its own, so that a caller who goes away does not take the others' read along.
                let (engine, key) = (self.clone(), key.clone());
                self.spawn(async move { engine.read_for_all(key, vec![reply]).await });
            }
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::new(Abandoned)))
    }

    async fn read_for_all(&self, key: PageKey, first: Vec<Reply>) {
        let mut group = first;
        loop {
            metrics::counter!("pages_reads_total", "shared" => "false").increment(1);
            metrics::counter!("pages_reads_total", "shared" => "true").increment(group.len() as u64 - 1);
            let view = self.read_alone(&key).await;
            for reply in group {
                drop(reply.send(view.clone()));
            }
            let mut reads = self.reads.lock(&key);
            group = next_group(&mut reads, &key);
            if group.is_empty() {
                return;
            }
        }
    }

    async fn read_alone(&self, key: &PageKey) -> Result<Arc<PageView>, StoreError> {
        let stored = self.store.get(&key.to_string()).await?;
        self.view(key, stored.map(|stored| stored.value))
    }

    /// The pages in the order of `keys`, with one bulk read.
    pub(crate) async fn read_many(&self, keys: &[PageKey]) -> Result<Vec<Arc<PageView>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        metrics::counter!("pages_reads_total", "shared" => "false").increment(keys.len() as u64);
        let names: Vec<String> = keys.iter().map(PageKey::to_string).collect();
        let stored = self.get_many(&names).await?;
        let values = stored.into_iter().map(|stored| stored.map(|stored| stored.value));
        keys.iter().zip(values).map(|(key, value)| self.view(key, value)).collect()
    }

    /// Pages from number `from`, at most `at_most`, to the first that is not sealed, without dead ones.
    pub(crate) async fn read_collection(
        &self,
        key: &CollectionKey,
        from: u32,
        at_most: u32,
    ) -> Result<CollectionPages, StoreError> {
        let collection = self.collection(key);
        let mut pages: Vec<Arc<PageView>> = Vec::new();
        let at_most = at_most as usize;
        let mut next = from;
        while pages.len() < at_most {
            // What is known of the end may be old: ask for one page more.
            let last = collection.last_known();
            let end = last.unwrap_or(next).max(next).saturating_add(2);
            let living = (next..end).filter(|&number| !collection.is_dead(number));
            let asked: Vec<PageKey> =
                living.take(at_most - pages.len()).map(|number| key.page(number)).collect();
            if asked.is_empty() {
                // There is no number beyond the last one.
                break;
            }
            let views = match last {
                Some(_) => self.read_many(&asked).await?,
                None => self.read_with_summary(&collection, &asked).await?,
            };
            for view in views {
                next = view.key().number().saturating_add(1);
                let is_last = !view.is_sealed();
                pages.push(view);
                if is_last {
                    return Ok(CollectionPages { pages, next: None });
                }
            }
        }
        let next = Some(next).filter(|_| pages.len() == at_most);
        Ok(CollectionPages { pages, next })
    }

    /// Every page of the numbers given, and all from the summary's last one to the end.
    pub(crate) async fn read_named_and_newest(
        &self,
        key: &CollectionKey,
        summary: &Summary,
        named: impl Iterator<Item = u32>,
    ) -> Result<Vec<Arc<PageView>>, StoreError> {
        let last = summary.pages.saturating_sub(1);
        // One page more: the collection may have gone on since the summary was written.
        let numbers = named.filter(|&number| number < last).chain([last, last.saturating_add(1)]);
        let asked: Vec<PageKey> = numbers.map(|number| key.page(number)).collect();
        let mut pages = self.read_many(&asked).await?;
        let mut newest = pages.len() - 2;
        while let Some(page) = pages.get(newest) {
            if !page.is_sealed() {
                pages.truncate(newest + 1);
                break;
            }
            newest += 1;
            if newest == pages.len() {
                let from = page.key().number().saturating_add(1);
                pages.extend(self.read_many(&[key.page(from), key.page(from.saturating_add(1))]).await?);
            }
        }
        Ok(pages)
    }

    /// Pages and summaries of any collections, in the order asked for.
    pub(crate) async fn read_items(&self, items: &[Item]) -> Result<Vec<Found>, StoreError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = items.iter().map(Item::name).collect();
        let values = self.get_many(&names).await?.into_iter().map(|stored| stored.map(|stored| stored.value));
        let found = items.iter().zip(values).map(|(item, value)| match item {
            Item::Page(key) => self.view(key, value).map(Found::Page),
            Item::Summary(key) => self.summarise(key, value).map(Found::Summary),
        });
        found.collect()
    }

    /// What this process has seen may be ahead of what is stored.
    pub(crate) fn summarise(
        &self,
        collection: &CollectionKey,
        stored: Option<Bytes>,
    ) -> Result<Summary, StoreError> {
        let stored = Counts::decode(collection, stored)?;
        let known = self.collections.lock(collection).get(collection).cloned();
        Ok(known.map_or_else(|| stored.clone(), |known| known.counts_over(stored.clone())).summary())
    }

    /// Reads the summary along, which says how many pages to ask for next.
    async fn read_with_summary(
        &self,
        collection: &Collection,
        keys: &[PageKey],
    ) -> Result<Vec<Arc<PageView>>, StoreError> {
        let mut names: Vec<String> = keys.iter().map(PageKey::to_string).collect();
        names.push(collection.key().summary_key());
        let mut stored = self.get_many(&names).await?;
        let summary = stored.pop().flatten();
        collection.with_summary(|state| state.take_stored(collection.key(), summary))?;
        let values = stored.into_iter().map(|stored| stored.map(|stored| stored.value));
        keys.iter().zip(values).map(|(key, value)| self.view(key, value)).collect()
    }

    fn view(&self, key: &PageKey, value: Option<Bytes>) -> Result<Arc<PageView>, StoreError> {
        let view = PageView::decode(key.clone(), value)?;
        self.heal(key, view.body());
        Ok(Arc::new(view))
    }
}

/// The calls that came while the last read was under way. None: the page is no longer being read.
fn next_group(reads: &mut HashMap<PageKey, Vec<Reply>>, key: &PageKey) -> Vec<Reply> {
    let group = reads.get_mut(key).map(std::mem::take).unwrap_or_default();
    if group.is_empty() {
        reads.remove(key);
    }
    group
}
