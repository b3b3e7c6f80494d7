//! A look through the store, past the roles that are running.

use std::cell::Cell;

use base64::{Engine, engine::general_purpose::STANDARD};
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
        let verdict = |entry: &Entry| match salvage(entry) {
            Salvage::Sound => Verdict::Sound,
            Salvage::Mended(_, value) => Verdict::Replace(value),
            Salvage::Lost(_) => Verdict::Remove,
        };
        let Some(examined) = self.repair.page(page, used, verdict).await? else { return Ok(None) };
        self.pages.set(self.pages.get() + 1);
        for damage in &examined.damage {
            self.tell(&format!("{page}: {damage}"), "left out");
        }
        for (entry, _) in &examined.entries {
            let (fault, end) = match salvage(entry) {
                Salvage::Sound => continue,
                Salvage::Mended(fault, _) => (fault, "mended"),
                Salvage::Lost(fault) => (fault, "removed"),
            };
            self.tell(&format!("{page}: {}", WithCauses(&fault)), end);
            // Who looks for what was lost may find it here; but for the hashes of passwords, which go nowhere.
            if self.mends && fault.kind() != "user" {
                println!("  it was {}", STANDARD.encode(&entry.value));
            }
        }
        Ok(Some(examined))
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
