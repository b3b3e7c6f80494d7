//! Mends pages in the store, beside the processes that use them: they meet it as they meet each other's saves.
//!
//! What bears damage is a page as a whole, some of its parts, or an entry whose value its owner cannot read. A
//! mend keeps every part that can be read. It emits no event.

use bytes::Bytes;
use prost::Message;

use crate::{
    CollectionKey, Entry, PageKey, Precondition, SaveError, StateStore, StoreError,
    page::{Body, FORMAT, KeyRecord, is_event},
    summary::Counts,
};

/// What the owner makes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can be read.
    Sound,
    /// It shall have this value.
    Replace(Bytes),
    /// Nothing of it can be saved.
    Remove,
}

/// What was found in a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examined {
    /// Whether the collection goes on in the next page.
    pub is_sealed: bool,
    /// Parts of the page that cannot be read.
    pub damage: Vec<Damage>,
    /// The entries that can be told from each other, as they were found, and what their owner made of them.
    pub entries: Vec<(Entry, Verdict)>,
}

/// A part of a page that cannot be read. A mend leaves it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong, in words.
    pub fault: String,
    /// The part as it is stored; the whole page where it cannot be told where the part begins.
    pub stored: Bytes,
}

impl Examined {
    /// Whether there is nothing to mend.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.entries.iter().all(|(_, verdict)| *verdict == Verdict::Sound)
    }
}

/// How a collection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Something is appended to it: its pages follow each other.
    Appended,
    /// Its pages are addressed: each stands alone.
    Addressed,
}

/// Times that a mend is tried while others save the same page.
const ATTEMPTS: u32 = 16;

/// What numbers go on beyond, if the page no longer tells which ones it gave.
const NUMBERS_LOST: u64 = 1024;

/// Above every ordinal that a page may have had.
const ORDINAL_LOST: u64 = 1 << 40;

/// Looks at pages, and mends them.
pub struct Repair<'store> {
    store: &'store dyn StateStore,
    mends: bool,
}

impl<'store> Repair<'store> {
    /// Changes something only if it `mends`.
    pub fn new(store: &'store dyn StateStore, mends: bool) -> Self {
        Self { store, mends }
    }

    /// Looks at one page. `None` if there is none. `tell` gets each look before anything is changed, since nothing
    /// finds it again afterwards: there is more than one where others save the page, or the answer to a save is lost.
    pub async fn page(
        &self,
        page: &PageKey,
        used: Use,
        judge: impl Fn(&Entry) -> Verdict,
        tell: impl Fn(&Examined),
    ) -> Result<Option<Examined>, StoreError> {
        let name = page.to_string();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Some(stored) = self.store.get(&name).await? else { return Ok(None) };
            let Salvaged { mut body, damage, is_cut } = Salvaged::of(page, stored.value)?;
            if is_cut && used == Use::Appended {
                let next = page.collection().page(page.number().saturating_add(1)).to_string();
                body.sealed |= self.store.get(&next).await?.is_some();
            }
            let entries: Vec<(Entry, Verdict)> =
                body.entries.iter().map(|entry| (entry.clone(), judge(entry))).collect();
            let examined = Examined { is_sealed: body.sealed, damage, entries };
            tell(&examined);
            if examined.is_sound() || !self.mends {
                return Ok(Some(examined));
            }
            mend(&mut body, &examined.entries);
            let saved = self.store.save(&name, body.encode_repaired(), Precondition::Etag(stored.etag), None);
            match saved.await {
                Ok(()) => return Ok(Some(examined)),
                // Another save came first, or this one came through: the next look tells.
                Err(SaveError::Refused(_) | SaveError::Unknown(_)) if attempt < ATTEMPTS => {}
                Err(fault) => return Err(fault.into_store_error()),
            }
        }
    }

    /// Removes what is known of the collection, if it cannot be read: it is found anew from the pages. Returns the
    /// damage.
    pub async fn summary(&self, collection: &CollectionKey) -> Result<Option<String>, StoreError> {
        let name = collection.summary_key();
        let Some(stored) = self.store.get(&name).await? else { return Ok(None) };
        let etag = stored.etag;
        let Err(fault) = Counts::decode(collection, Some(stored.value)) else { return Ok(None) };
        if self.mends {
            let deleted = self.store.delete(&name, Precondition::Etag(etag)).await;
            deleted.map_err(SaveError::into_store_error)?;
        }
        Ok(Some(cause(&fault)))
    }
}

fn mend(body: &mut Body, entries: &[(Entry, Verdict)]) {
    body.entries = entries
        .iter()
        .filter_map(|(entry, verdict)| match verdict {
            Verdict::Sound => Some(entry.clone()),
            Verdict::Replace(value) => Some(Entry {
                value: value.clone(),
                version: entry.version.saturating_add(1),
                ..entry.clone()
            }),
            Verdict::Remove => None,
        })
        .collect();
}

fn cause(fault: &StoreError) -> String {
    let cause = std::error::Error::source(fault);
    cause.map_or_else(|| fault.to_string(), ToString::to_string)
}

/// A page with each part still encoded, so that one that cannot be read does not take the others along.
#[derive(Clone, PartialEq, Message)]
struct Parts {
    #[prost(uint64, tag = "1")]
    ordinal: u64,
    #[prost(bool, tag = "2")]
    sealed: bool,
    #[prost(bool, tag = "3")]
    closed: bool,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    entries: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    keys: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    commits: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    outbox: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pending: Vec<Bytes>,
    #[prost(uint32, tag = "10")]
    format: u32,
    #[prost(uint64, tag = "11")]
    first_number: u64,
    #[prost(uint64, tag = "12")]
    numbers_given: u64,
    #[prost(int64, tag = "13")]
    begun_at: i64,
}

/// What can be read of a page.
struct Salvaged {
    body: Body,
    damage: Vec<Damage>,
    /// What follows some place cannot be read.
    is_cut: bool,
}

impl Salvaged {
    /// Fails only on what a later program wrote.
    fn of(page: &PageKey, value: Bytes) -> Result<Self, StoreError> {
        let mut damage = Vec::new();
        let mut parts = Parts::default();
        // Parts are read one after the other into the page: those before the fault are there.
        let cut = parts.merge(value.clone()).err();
        if cut.is_none() && parts.format > FORMAT {
            // Never mended: it is not damaged, and this refuses it.
            Body::decode_stored(page, value.clone())?;
        }
        if let Some(fault) = &cut {
            let fault = format!("what follows {} entries cannot be read: {fault}", parts.entries.len());
            damage.push(Damage { fault, stored: value });
        }
        let mut body = Body {
            ordinal: parts.ordinal,
            sealed: parts.sealed,
            closed: parts.closed,
            entries: decoded("entry", &parts.entries, &mut damage),
            keys: decoded::<KeyRecord>("idempotency key", &parts.keys, &mut damage),
            commits: decoded("save", &parts.commits, &mut damage),
            outbox: kept("event", &parts.outbox, &mut damage, |event| is_event(event).then(|| event.clone())),
            pending: kept("marker", &parts.pending, &mut damage, |marker| {
                String::from_utf8(marker.to_vec()).ok()
            }),
            format: parts.format,
            first_number: parts.first_number,
            numbers_given: parts.numbers_given,
            begun_at: parts.begun_at,
        };
        if cut.is_some() {
            body.find_numbers();
            if body.ordinal == 0 {
                body.ordinal = ORDINAL_LOST;
            }
        }
        Ok(Self { body, damage, is_cut: cut.is_some() })
    }
}

fn decoded<M: Message + Default>(kind: &str, parts: &[Bytes], damage: &mut Vec<Damage>) -> Vec<M> {
    kept(kind, parts, damage, |part| M::decode(part.clone()).ok())
}

fn kept<T>(
    kind: &str,
    parts: &[Bytes],
    damage: &mut Vec<Damage>,
    read: impl Fn(&Bytes) -> Option<T>,
) -> Vec<T> {
    let read = parts.iter().enumerate().filter_map(|(index, part)| {
        let read = read(part);
        if read.is_none() {
            let fault = format!("{kind} {index} of the page cannot be decoded");
            damage.push(Damage { fault, stored: part.clone() });
        }
        read
    });
    read.collect()
}

impl Body {
    /// What is left of the page no longer tells which numbers it gave: above those of its entries there may have
    /// been others.
    fn find_numbers(&mut self) {
        let numbers = || self.entries.iter().map(|entry| entry.number).filter(|number| *number > 0);
        let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else { return };
        if self.first_number == 0 {
            self.first_number = first;
        }
        if self.numbers_given == 0 {
            self.numbers_given = (last - self.first_number.min(last)).saturating_add(NUMBERS_LOST);
        }
    }

    fn encode_repaired(&mut self) -> Bytes {
        self.format = FORMAT;
        // Counts of the page are taken if they are of a later save.
        self.ordinal = self.ordinal.saturating_add(1);
        Bytes::from(self.encode_to_vec())
    }
}
