//! A page: what is stored, and what readers see of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::{OutboxEvent, PageKey, StoreError};

/// One thing of a collection. Only its owner knows what the value means.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// Unique in its page.
    #[prost(string, tag = "1")]
    pub id: String,
    /// 1 when first put, one more with every further put.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// What the collection's [`Summary`](crate::Summary) counts by, such as a status.
    #[prost(string, tag = "3")]
    pub label: String,
    /// The owner's own.
    #[prost(bytes = "bytes", tag = "4")]
    pub value: Bytes,
    /// Its number in the collection, if an append put it: from 1, without gaps, never given twice. 0: it has
    /// none.
    #[prost(uint64, tag = "5")]
    pub number: u64,
}

/// What makes a repeated request recognisable: a digest of the caller's key (with whatever scopes it), and one
/// of the request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Digest of the caller's key and of whatever scopes it.
    pub key: [u8; 16],
    /// Digest of the request's body.
    pub fingerprint: [u8; 16],
}

/// The remembered use of an idempotency key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyRecord {
    #[prost(fixed64, tag = "1")]
    key_high: u64,
    #[prost(fixed64, tag = "2")]
    key_low: u64,
    #[prost(fixed64, tag = "3")]
    fingerprint_high: u64,
    #[prost(fixed64, tag = "4")]
    fingerprint_low: u64,
    /// Of the first entry put; `None` if there was none, or if there is an answer.
    #[prost(string, optional, tag = "5")]
    pub(crate) entry: Option<String>,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub(crate) used_at: i64,
    /// Made by an edit of the page, not by an append: only so many are kept.
    #[prost(bool, tag = "7")]
    pub(crate) by_edit: bool,
    /// The entry as the request left it, kept only once the page holds a later one.
    #[prost(message, optional, tag = "8")]
    pub(crate) original: Option<Entry>,
    /// What the request's edit wanted to be told again.
    #[prost(bytes = "bytes", tag = "9")]
    pub(crate) answer: Bytes,
}

impl KeyRecord {
    pub(crate) fn new(key: IdempotencyKey, used_at: i64, by_edit: bool) -> Self {
        let (key_high, key_low) = halves(u128::from_be_bytes(key.key));
        let (fingerprint_high, fingerprint_low) = halves(u128::from_be_bytes(key.fingerprint));
        Self { key_high, key_low, fingerprint_high, fingerprint_low, used_at, by_edit, ..Self::default() }
    }

    pub(crate) fn key(&self) -> u128 {
        joined(self.key_high, self.key_low)
    }

    fn fingerprint(&self) -> u128 {
        joined(self.fingerprint_high, self.fingerprint_low)
    }
}

/// The last save of one process: answers "did my save land?" however many others have saved since.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Commit {
    #[prost(fixed64, tag = "1")]
    process: u64,
    /// The number the process gave this save; never reused by it.
    #[prost(uint64, tag = "2")]
    save: u64,
    /// The page's ordinal with this save.
    #[prost(uint64, tag = "3")]
    ordinal: u64,
}

/// Processes whose last save a page remembers.
const COMMITS: usize = 8;

/// The stored form of a page.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Body {
    /// Saves so far.
    #[prost(uint64, tag = "1")]
    pub(crate) ordinal: u64,
    /// Full: appends go to the next page, for good.
    #[prost(bool, tag = "2")]
    pub(crate) sealed: bool,
    /// The tombstone of a deleted collection: no entry may be added.
    #[prost(bool, tag = "3")]
    pub(crate) closed: bool,
    #[prost(message, repeated, tag = "5")]
    pub(crate) entries: Vec<Entry>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) keys: Vec<KeyRecord>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) commits: Vec<Commit>,
    /// Encoded [`Event`]s: encoded once, when they are made.
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub(crate) outbox: Vec<Bytes>,
    #[prost(string, repeated, tag = "9")]
    pub(crate) pending: Vec<String>,
    /// Of the layout: [`FORMAT`] with every save. 0 had no numbers, no answers, and no time of its beginning.
    #[prost(uint32, tag = "10")]
    pub(crate) format: u32,
    /// What the first entry that was appended here got, or would have got. 0: nothing was appended here yet,
    /// or only in format 0.
    #[prost(uint64, tag = "11")]
    pub(crate) first_number: u64,
    #[prost(uint64, tag = "12")]
    pub(crate) numbers_given: u64,
    /// Of the first append, in milliseconds since 1970: all earlier pages were sealed before it. (The first save
    /// says nothing: the sweep of a process that was about to begin the page has made it.) 0: not known.
    #[prost(int64, tag = "13")]
    pub(crate) begun_at: i64,
}

/// The layout that this program writes. It reads all up to it.
pub(crate) const FORMAT: u32 = 1;

/// What every layout has in common.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint32, tag = "10")]
    format: u32,
}

/// The stored form of an [`OutboxEvent`].
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    id_high: u64,
    #[prost(fixed64, tag = "2")]
    id_low: u64,
    #[prost(string, tag = "3")]
    partition_key: String,
    #[prost(string, tag = "4")]
    entity: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
    #[prost(bytes = "bytes", tag = "6")]
    payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Whether a save is part of a page that was read after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landed {
    Yes,
    No,
    /// So many other processes have saved since that the page no longer tells.
    Forgotten,
}

/// What the page remembers of an idempotency key.
pub(crate) enum Remembered {
    /// The entry as the first request left it, and what its edit answered.
    Answer(Option<Entry>, Bytes),
    /// The key was used with another body.
    OtherRequest,
}

impl Body {
    pub(crate) fn decode_stored(key: &PageKey, value: Bytes) -> Result<Self, StoreError> {
        let header = Header::decode(value.clone()).map_err(|cause| corrupt(key, cause))?;
        if header.format > FORMAT {
            return Err(StoreError::unreadable(FutureFormat {
                item: key.to_string(),
                found: header.format,
                known: FORMAT,
            }));
        }
        Self::decode(value).map_err(|cause| corrupt(key, cause))
    }

    /// The number that the next appended entry gets, on this page or, if it is sealed, on the one after it.
    pub(crate) fn next_number(&self) -> u64 {
        self.first_number.max(1) + self.numbers_given
    }

    /// Whether an append may be the first one here.
    pub(crate) fn can_begin(&self) -> bool {
        self.first_number == 0 && !self.sealed && !self.closed
    }

    /// Nothing can be added any more, and nothing is left.
    pub(crate) fn is_dead(&self) -> bool {
        self.sealed && self.entries.is_empty()
    }

    pub(crate) fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    pub(crate) fn remembered(&self, key: IdempotencyKey) -> Option<Remembered> {
        let record = self.keys.iter().find(|record| record.key() == u128::from_be_bytes(key.key))?;
        if record.fingerprint() != u128::from_be_bytes(key.fingerprint) {
            return Some(Remembered::OtherRequest);
        }
        let current = || record.entry.as_ref().and_then(|id| self.entry(id));
        let entry = record.original.as_ref().or_else(current);
        Some(Remembered::Answer(entry.cloned(), record.answer.clone()))
    }

    /// Live entries by label.
    pub(crate) fn tally(&self) -> BTreeMap<&str, u32> {
        let mut tally = BTreeMap::new();
        for entry in &self.entries {
            *tally.entry(entry.label.as_str()).or_default() += 1;
        }
        tally
    }

    /// Whether `save` of `process`, made over the page as it was at `base_ordinal`, is part of this page.
    pub(crate) fn landed(&self, process: u64, save: u64, base_ordinal: u64) -> Landed {
        if let Some(ours) = self.commits.iter().find(|commit| commit.process == process) {
            return if ours.save == save { Landed::Yes } else { Landed::No };
        }
        // Ours would have been the next ordinal. It can only have been pushed out by eight later ones.
        let oldest = self.commits.iter().map(|commit| commit.ordinal).min().unwrap_or(0);
        if self.commits.len() == COMMITS && oldest > base_ordinal + 1 {
            Landed::Forgotten
        } else {
            Landed::No
        }
    }

    fn remember_commit(&mut self, process: u64, save: u64) {
        self.commits.retain(|commit| commit.process != process);
        if self.commits.len() == COMMITS {
            let oldest = self.commits.iter().map(|commit| commit.ordinal).min();
            self.commits.retain(|commit| Some(commit.ordinal) != oldest);
        }
        self.commits.push(Commit { process, save, ordinal: self.ordinal });
    }
}

/// A page in the hands of its writer: the stored form, with the sizes that limits ask for kept up to date.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) body: Body,
    /// The events of `body.outbox`, one for one.
    events: Vec<Arc<OutboxEvent>>,
    /// Bytes of entries and idempotency records.
    pub(crate) content_bytes: usize,
    pub(crate) outbox_bytes: usize,
}

impl Page {
    /// A page that does not exist yet: empty and open.
    pub(crate) fn absent() -> Self {
        Self { body: Body::default(), events: Vec::new(), content_bytes: 0, outbox_bytes: 0 }
    }

    pub(crate) fn decode(key: &PageKey, value: Bytes) -> Result<Self, StoreError> {
        let body = Body::decode_stored(key, value)?;
        let events = body.outbox.iter().map(|event| decode_event(key, event)).collect::<Result<_, _>>()?;
        let content_bytes = body.entries.iter().map(Message::encoded_len).sum::<usize>()
            + body.keys.iter().map(Message::encoded_len).sum::<usize>();
        let outbox_bytes = body.outbox.iter().map(Bytes::len).sum();
        Ok(Self { body, events, content_bytes, outbox_bytes })
    }

    /// Everything that counts towards the limit of a page, in bytes. The rest is a few hundred.
    pub(crate) fn bytes(&self) -> usize {
        self.content_bytes + self.outbox_bytes
    }

    pub(crate) fn outbox(&self) -> &[Arc<OutboxEvent>] {
        &self.events
    }

    pub(crate) fn push_event(&mut self, event: OutboxEvent) {
        let (id_high, id_low) = halves(event.id.as_u128());
        let attributes = event.attributes.iter();
        let encoded = Bytes::from(
            Event {
                id_high,
                id_low,
                partition_key: event.partition_key.clone(),
                entity: event.entity.clone(),
                attributes: attributes
                    .map(|(name, value)| Attribute { name: name.clone(), value: value.clone() })
                    .collect(),
                payload: event.payload.clone(),
            }
            .encode_to_vec(),
        );
        self.outbox_bytes += encoded.len();
        self.body.outbox.push(encoded);
        self.events.push(Arc::new(event));
    }

    /// Takes back the events pushed since the outbox had `length` of them.
    pub(crate) fn truncate_outbox(&mut self, length: usize) {
        self.outbox_bytes -= self.body.outbox.drain(length..).map(|event| event.len()).sum::<usize>();
        self.events.truncate(length);
    }

    /// Drops the events that `published` names.
    pub(crate) fn drop_published(&mut self, published: impl Fn(Uuid) -> bool) {
        let mut events = self.events.iter();
        self.body.outbox.retain(|_| events.next().is_some_and(|event| !published(event.id)));
        self.events.retain(|event| !published(event.id));
        self.outbox_bytes = self.body.outbox.iter().map(Bytes::len).sum();
    }

    pub(crate) fn push_key(&mut self, record: KeyRecord, edit_keys: usize) {
        if record.by_edit && self.body.keys.iter().filter(|kept| kept.by_edit).count() >= edit_keys {
            let oldest = self.body.keys.iter().position(|kept| kept.by_edit);
            if let Some(oldest) = oldest {
                self.content_bytes -= self.body.keys.remove(oldest).encoded_len();
            }
        }
        self.content_bytes += record.encoded_len();
        self.body.keys.push(record);
    }

    fn forget_keys_before(&mut self, earliest: i64) {
        // Records are in the order of their times, but for the clocks of replicas: one that is early stays
        // until those before it go.
        let expired = self.body.keys.iter().take_while(|record| record.used_at < earliest).count();
        self.content_bytes -=
            self.body.keys.drain(..expired).map(|record| record.encoded_len()).sum::<usize>();
    }

    /// Makes the page ready for its next save, and encodes it.
    pub(crate) fn seal_commit(
        &mut self,
        process: u64,
        save: u64,
        now: i64,
        key_retention: Duration,
    ) -> Bytes {
        self.body.format = FORMAT;
        self.body.ordinal += 1;
        self.body.remember_commit(process, save);
        let retention = i64::try_from(key_retention.as_millis()).unwrap_or(i64::MAX);
        self.forget_keys_before(now.saturating_sub(retention));
        Bytes::from(self.body.encode_to_vec())
    }
}

/// A page as it was at one moment.
#[derive(Debug, Clone)]
pub struct PageView {
    key: PageKey,
    body: Body,
}

impl PageView {
    pub(crate) fn decode(key: PageKey, value: Option<Bytes>) -> Result<Self, StoreError> {
        let body = value.map(|value| Body::decode_stored(&key, value)).transpose()?.unwrap_or_default();
        Ok(Self { key, body })
    }

    /// Which page it is.
    pub fn key(&self) -> &PageKey {
        &self.key
    }

    /// The number of the layout that the page lies in the store in; `None` if it is not there. Layouts of before
    /// there were numbers are 0.
    pub fn format(&self) -> Option<u32> {
        (self.body.ordinal > 0).then_some(self.body.format)
    }

    /// The entry of this id.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.body.entry(id)
    }

    /// In the order in which they were first put.
    pub fn entries(&self) -> &[Entry] {
        &self.body.entries
    }

    /// Whether the collection goes on in the next page.
    pub fn is_sealed(&self) -> bool {
        self.body.sealed
    }

    /// The number of the first entry that was or will be appended here; 0 if nothing was yet.
    pub fn first_number(&self) -> u64 {
        self.body.first_number
    }

    /// The entry of this number in the collection.
    pub fn numbered(&self, number: u64) -> Option<&Entry> {
        self.body.entries.iter().find(|entry| entry.number == number && number > 0)
    }

    /// Whether the collection was deleted.
    pub fn is_closed(&self) -> bool {
        self.body.closed
    }

    /// The markers of unfinished work.
    pub fn pending(&self) -> &[String] {
        &self.body.pending
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }
}

fn decode_event(key: &PageKey, encoded: &Bytes) -> Result<Arc<OutboxEvent>, StoreError> {
    let event = Event::decode(encoded.clone()).map_err(|cause| corrupt(key, cause))?;
    Ok(Arc::new(OutboxEvent {
        id: Uuid::from_u128(joined(event.id_high, event.id_low)),
        partition_key: event.partition_key,
        entity: event.entity,
        attributes: event.attributes.into_iter().map(|attribute| (attribute.name, attribute.value)).collect(),
        payload: event.payload,
    }))
}

/// Whether this is an event of an outbox.
pub(crate) fn is_event(encoded: &Bytes) -> bool {
    Event::decode(encoded.clone()).is_ok()
}

/// The item was written by a later version of the program.
#[derive(Debug, thiserror::Error)]
#[error("{item} has format {found}, formats up to {known} are known")]
pub(crate) struct FutureFormat {
    pub(crate) item: String,
    pub(crate) found: u32,
    pub(crate) known: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("page {page} cannot be decoded")]
struct CorruptPage {
    page: PageKey,
    #[source]
    cause: prost::DecodeError,
}

fn corrupt(key: &PageKey, cause: prost::DecodeError) -> StoreError {
    StoreError::unreadable(CorruptPage { page: key.clone(), cause })
}

fn halves(number: u128) -> (u64, u64) {
    let bytes = number.to_be_bytes();
    let (high, low) = bytes.split_at(8);
    let half = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    (half(high), half(low))
}

fn joined(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::CollectionKey;

    fn key() -> PageKey {
        CollectionKey::parse("tasks/shared/group").unwrap().page(0)
    }

    /// The stored form of a page that has one of everything.
    fn good() -> Vec<u8> {
        let mut page = Page::absent();
        page.body.entries.push(Entry {
            id: "entry".to_owned(),
            version: 2,
            label: "New".to_owned(),
            value: Bytes::from_static(b"value"),
            number: 5,
        });
        page.body.first_number = 5;
        page.body.numbers_given = 1;
        page.body.begun_at = 9;
        page.body.pending.push("{}".to_owned());
        let once = IdempotencyKey { key: [1; 16], fingerprint: [2; 16] };
        let record = KeyRecord {
            entry: Some("entry".to_owned()),
            answer: Bytes::from_static(b"answer"),
            ..KeyRecord::new(once, 10, true)
        };
        page.push_key(record, 8);
        page.push_event(OutboxEvent {
            id: Uuid::from_u128(7),
            partition_key: "group".to_owned(),
            entity: "entry".to_owned(),
            attributes: vec![("traceparent".to_owned(), "00".to_owned())],
            payload: Bytes::from_static(b"payload"),
        });
        page.seal_commit(3, 4, 20, Duration::from_mins(1)).to_vec()
    }

    /// Any bytes, and a good page with some of its bytes changed or its end cut off.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let damaged =
            (prop::collection::vec(any::<(Index, u8)>(), 0..4), any::<Index>()).prop_map(|(changes, end)| {
                let mut bytes = good();
                for (at, byte) in changes {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                // As often as not, all of it stays.
                bytes.truncate(end.index(bytes.len() * 2));
                bytes
            });
        prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 3 => damaged]
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let value = prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
        (".{0,9}", any::<u64>(), ".{0,9}", value, any::<u64>())
            .prop_map(|(id, version, label, value, number)| Entry { id, version, label, value, number })
    }

    fn record() -> impl Strategy<Value = KeyRecord> {
        let key = any::<([u8; 16], [u8; 16], i64, bool)>();
        let answer = prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
        (key, prop::option::of(".{0,9}"), prop::option::of(entry()), answer).prop_map(
            |((key, fingerprint, used_at, by_edit), entry, original, answer)| {
                let once = IdempotencyKey { key, fingerprint };
                KeyRecord { entry, original, answer, ..KeyRecord::new(once, used_at, by_edit) }
            },
        )
    }

    fn event() -> impl Strategy<Value = OutboxEvent> {
        let attributes = prop::collection::vec((".{0,5}", ".{0,5}"), 0..3);
        let payload = prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
        (any::<u128>(), ".{0,9}", ".{0,9}", attributes, payload).prop_map(
            |(id, partition_key, entity, attributes, payload)| OutboxEvent {
                id: Uuid::from_u128(id),
                partition_key,
                entity,
                attributes,
                payload,
            },
        )
    }

    fn page() -> impl Strategy<Value = Page> {
        let entries = prop::collection::vec(entry(), 0..4);
        let lists = (entries, prop::collection::vec(record(), 0..4), prop::collection::vec(event(), 0..4));
        let pending = prop::collection::vec(".{0,9}", 0..3);
        (lists, pending, any::<(bool, bool, u64, u64, i64)>()).prop_map(
            |((entries, keys, events), pending, rest)| {
                let mut page = Page::absent();
                let body = &mut page.body;
                (body.sealed, body.closed, body.first_number, body.numbers_given, body.begun_at) = rest;
                (body.entries, body.pending) = (entries, pending);
                for record in keys {
                    page.push_key(record, usize::MAX);
                }
                for event in events {
                    page.push_event(event);
                }
                page
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(mut page in page()) {
            let stored = page.seal_commit(3, 4, 0, Duration::MAX);
            let read = Page::decode(&key(), stored).unwrap();
            prop_assert_eq!(&read.body, &page.body);
            prop_assert_eq!(read.outbox(), page.outbox());
        }

        #[test]
        fn any_stored_page_is_read_or_refused(bytes in bytes()) {
            if let Ok(page) = Page::decode(&key(), bytes.into()) {
                let again = Page::decode(&key(), page.body.encode_to_vec().into()).unwrap();
                prop_assert_eq!(&again.body, &page.body);
                prop_assert_eq!(again.outbox(), page.outbox());
                prop_assert_eq!(again.bytes(), page.bytes());
            }
        }
    }
}
