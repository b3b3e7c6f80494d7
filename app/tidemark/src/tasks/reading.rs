//! Reads for one answer: in rounds, each of what the round before showed to be missing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    task::Poll,
};

use tidemark_pages::{CollectionKey, Found, Item, PageKey, PageSummary, PageView, Pages, Summary};

use super::board::ReadError;

/// What is read, or `Pending` if something must be read first.
pub fn ready<T>(read: Option<T>) -> Poll<T> {
    read.map_or(Poll::Pending, Poll::Ready)
}

/// What was read so far, each item once.
#[derive(Default)]
pub struct Reading {
    pages: HashMap<PageKey, Arc<PageView>>,
    summaries: HashMap<CollectionKey, Summary>,
    missing: HashSet<Item>,
}

/// Items that are read for one answer. The largest that anybody can ask for, a board whose tasks lie among as many
/// deleted ones as a group can have, needs a third of them.
const MOST_ITEMS: usize = 1 << 14;

/// An answer that would never come, whatever the deadline: what waits for nothing does not let others run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Endless {
    #[error("an answer waits for nothing")]
    WaitsForNothing,
    #[error("an answer needs more than {MOST_ITEMS} items of the store")]
    TooMuch,
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
            reading.check()?;
            reading.fetch(pages).await?;
        }
    }

    /// Whether there is something to be read, and not too much of it.
    fn check(&self) -> Result<(), Endless> {
        if self.missing.is_empty() {
            return Err(Endless::WaitsForNothing);
        }
        let items = self.pages.len() + self.summaries.len() + self.missing.len();
        if items > MOST_ITEMS { Err(Endless::TooMuch) } else { Ok(()) }
    }

    async fn fetch(&mut self, pages: &Pages) -> Result<(), ReadError> {
        let missing: Vec<Item> = self.missing.drain().collect();
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

    /// The pages of a collection from number `from` on, and what is known of it. Of the pages before the last one
    /// that the summary knows, only the first and those that are `wanted`; all from there to the end, which no summary
    /// knows as surely as the pages do. `along` asks for what belongs to a page.
    pub fn collection(
        &mut self,
        key: &CollectionKey,
        from: u32,
        mut wanted: impl FnMut(&PageSummary) -> bool,
        mut along: impl FnMut(&mut Self, u32),
    ) -> Option<(Summary, Vec<Arc<PageView>>)> {
        let (summary, first) = (self.summary(key), self.page(key.page(from)));
        along(self, from);
        let (summary, first) = (summary?, first?);
        if !first.is_sealed() {
            return Some((summary, vec![first]));
        }
        let last = summary.pages.saturating_sub(1).max(from + 1);
        let mut middle = Vec::new();
        for page in summary.live_pages.iter().filter(|page| (from + 1..last).contains(&page.number)) {
            if wanted(page) {
                along(self, page.number);
                middle.push(self.page(key.page(page.number)));
            }
        }
        along(self, last);
        let newest = self.until_the_end(key, last);
        let middle = middle.into_iter().collect::<Option<Vec<_>>>()?;
        Some((summary, [first].into_iter().chain(middle).chain(newest?).collect()))
    }

    /// The pages from that number to the end of the collection.
    pub fn until_the_end(&mut self, key: &CollectionKey, from: u32) -> Option<Vec<Arc<PageView>>> {
        let mut pages = Vec::new();
        let mut number = from;
        loop {
            let Some(page) = self.page(key.page(number)) else {
                if number > from {
                    // The summary is behind, perhaps by more than this one.
                    self.page(key.page(number + 1));
                }
                return None;
            };
            number += 1;
            let is_last = !page.is_sealed();
            pages.push(page);
            if is_last {
                return Some(pages);
            }
        }
    }

    fn ask(&mut self, item: Item) {
        self.missing.insert(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_waits_for_nothing_or_for_too_much_is_given_up() {
        let mut reading = Reading::default();
        assert_eq!(reading.check(), Err(Endless::WaitsForNothing));
        let collection = CollectionKey::parse("tasks/shared/group").unwrap();
        for number in 0..u32::try_from(MOST_ITEMS).unwrap() {
            // Whatever is asked for twice is read once.
            let asked = [reading.page(collection.page(number)), reading.page(collection.page(number))];
            assert!(asked.iter().all(Option::is_none));
        }
        assert_eq!(reading.check(), Ok(()));
        reading.summary(&collection);
        assert_eq!(reading.check(), Err(Endless::TooMuch));
    }
}
