//! Reads for one answer: in rounds, each of what the round before showed to be missing.

use std::{collections::HashMap, sync::Arc, task::Poll};

use tidemark_pages::{CollectionKey, Found, Item, PageKey, PageView, Pages, Summary};

use super::board::ReadError;

/// What is read, or `Pending` if something must be read first.
pub fn ready<T>(read: Option<T>) -> Poll<T> {
    read.map_or(Poll::Pending, Poll::Ready)
}

/// What was read so far, each item once: an answer shows every page as of one moment.
#[derive(Default)]
pub struct Reading {
    pages: HashMap<PageKey, Arc<PageView>>,
    summaries: HashMap<CollectionKey, Summary>,
    missing: Vec<Item>,
}

impl Reading {
    /// Runs `assemble` until it is ready. What it asks for in one run is read with one call of the store, up to 64
    /// items.
    pub async fn run<T>(
        pages: &Pages,
        mut assemble: impl FnMut(&mut Self) -> Result<Poll<T>, ReadError>,
    ) -> Result<T, ReadError> {
        let mut reading = Self::default();
        loop {
            if let Poll::Ready(assembled) = assemble(&mut reading)? {
                return Ok(assembled);
            }
            reading.fetch(pages).await?;
        }
    }

    async fn fetch(&mut self, pages: &Pages) -> Result<(), ReadError> {
        let missing = std::mem::take(&mut self.missing);
        for (item, found) in missing.iter().zip(pages.read_items(&missing).await?) {
            match (item, found) {
                (Item::Page(key), Found::Page(view)) => drop(self.pages.insert(key.clone(), view)),
                (Item::Summary(key), Found::Summary(summary)) => {
                    self.summaries.insert(key.clone(), summary);
                }
                (Item::Page(_) | Item::Summary(_), _) => {}
            }
        }
        Ok(())
    }

    /// The page, or `None`: then it is read before the next run.
    pub fn page(&mut self, key: PageKey) -> Option<Arc<PageView>> {
        let found = self.pages.get(&key).cloned();
        if found.is_none() {
            self.ask(Item::Page(key));
        }
        found
    }

    /// What is known of the collection; as [`Reading::page`].
    pub fn summary(&mut self, key: &CollectionKey) -> Option<Summary> {
        let found = self.summaries.get(key).cloned();
        if found.is_none() {
            self.ask(Item::Summary(key.clone()));
        }
        found
    }

    /// The pages from that number to the end of the collection, which no summary knows as surely as they do.
    pub fn until_the_end(&mut self, key: &CollectionKey, from: u32) -> Option<Vec<Arc<PageView>>> {
        let mut pages = Vec::new();
        loop {
            let number = pages.last().map_or(from, |last: &Arc<PageView>| last.key().number() + 1);
            let page = self.page(key.page(number))?;
            let is_last = !page.is_sealed();
            pages.push(page);
            if is_last {
                return Some(pages);
            }
        }
    }

    fn ask(&mut self, item: Item) {
        if !self.missing.contains(&item) {
            self.missing.push(item);
        }
    }
}
