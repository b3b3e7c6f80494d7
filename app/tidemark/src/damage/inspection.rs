//! A look through the store, past the roles that are running.

use std::cell::{Cell, RefCell};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use tidemark_pages::{CollectionKey, Entry, Examined, PageKey, Repair, StateStore, StoreError, Use, Verdict};
use tidemark_protocol::stored::Salvage;

use crate::telemetry::WithCauses;

/// Looks at pages, says what is damaged, and mends it if it shall.
pub struct Inspection<'store> {
    repair: Repair<'store>,
    mends: bool,
    now: Timestamp,
    pages: Cell<usize>,
    damaged: Cell<usize>,
}

impl<'store> Inspection<'store> {
    pub fn new(store: &'store dyn StateStore, mends: bool, now: Timestamp) -> Self {
        let repair = Repair::new(store, mends);
        Self { repair, mends, now, pages: Cell::default(), damaged: Cell::default() }
    }

    /// When it began.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How many pages were looked at.
    pub fn pages(&self) -> usize {
        self.pages.get()
    }

    /// How many faults were found.
    pub fn damaged(&self) -> usize {
        self.damaged.get()
    }

    /// Looks at one page. `None` if there is none.
    pub async fn page(
        &self,
        page: &PageKey,
        used: Use,
        salvage: impl Fn(&Entry) -> Salvage,
    ) -> Result<Option<Examined>, StoreError> {
        self.look(page, used, self.mends, salvage).await
    }

    /// Looks at one page of the users. What is lost of it is not shown: the hashes of passwords go nowhere.
    pub async fn page_of_users(
        &self,
        page: &PageKey,
        salvage: impl Fn(&Entry) -> Salvage,
    ) -> Result<Option<Examined>, StoreError> {
        self.look(page, Use::Addressed, false, salvage).await
    }

    async fn look(
        &self,
        page: &PageKey,
        used: Use,
        shows: bool,
        salvage: impl Fn(&Entry) -> Salvage,
    ) -> Result<Option<Examined>, StoreError> {
        let verdict = |entry: &Entry| match salvage(entry) {
            Salvage::Sound => Verdict::Sound,
            Salvage::Mended(_, value) => Verdict::Replace(value),
            Salvage::Lost(_) => Verdict::Remove,
        };
        // A page may be looked at again, with the same faults.
        let known = RefCell::new(Vec::new());
        let tell = |fault: String, end: &str, stored: &Bytes| {
            let line = (fault, stored.clone());
            if known.borrow().contains(&line) {
                return;
            }
            self.tell(&line.0, end);
            // Who looks for what was lost may find it here.
            if shows {
                println!("  it was {}", STANDARD.encode(stored));
            }
            known.borrow_mut().push(line);
        };
        let tell_all = |examined: &Examined| {
            for damage in &examined.damage {
                tell(format!("{page}: {}", damage.fault), "left out", &damage.stored);
            }
            for (entry, _) in &examined.entries {
                let (fault, end) = match salvage(entry) {
                    Salvage::Sound => continue,
                    Salvage::Mended(fault, _) => (fault, "mended"),
                    Salvage::Lost(fault) => (fault, "removed"),
                };
                tell(format!("{page}: {}", WithCauses(&fault)), end, &entry.value);
            }
        };
        let examined = self.repair.page(page, used, verdict, tell_all).await?;
        self.pages.set(self.pages.get() + usize::from(examined.is_some()));
        Ok(examined)
    }

    /// Looks at all pages that something was appended to. Returns the entries of each page.
    pub async fn collection(
        &self,
        collection: &CollectionKey,
        salvage: impl Fn(u32, &Entry) -> Salvage,
    ) -> Result<Vec<(u32, Vec<Entry>)>, StoreError> {
        if let Some(damage) = self.repair.summary(collection).await? {
            self.tell(&format!("the summary of {collection}: {damage}"), "removed; it is found anew");
        }
        let mut pages = Vec::new();
        for number in 0.. {
            let page = collection.page(number);
            let Some(examined) = self.page(&page, Use::Appended, |entry| salvage(number, entry)).await?
            else {
                break;
            };
            let is_sealed = examined.is_sealed;
            pages.push((number, examined.entries.into_iter().map(|(entry, _)| entry).collect()));
            if !is_sealed {
                break;
            }
        }
        Ok(pages)
    }

    fn tell(&self, fault: &str, end: &str) {
        self.damaged.set(self.damaged.get() + 1);
        if self.mends {
            println!("{fault}: {end}");
        } else {
            println!("{fault}");
        }
    }
}
