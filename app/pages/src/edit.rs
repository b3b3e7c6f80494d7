//! What an edit sees of its page and may do to it.

use std::mem;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use uuid::Uuid;

use crate::{
    Entry, OutboxEvent, PageKey,
    collection::Collection,
    command::Kind,
    page::{KeyRecord, Page},
};

/// A page, open for one edit. Everything done here is committed in one save, or not at all.
///
/// An edit may run more than once (another replica was faster), always on the page as it then is: it must
/// depend on nothing but the page, and take times and ids from here.
pub struct PageEdit<'page> {
    key: &'page PageKey,
    collection: &'page Collection,
    kind: Kind,
    page: &'page mut Page,
    now: Timestamp,
    event_id: &'page mut dyn FnMut() -> Uuid,
    journal: &'page mut Journal,
}

/// How to undo the edit under way, and what the writer must know of it.
#[derive(Default)]
pub(crate) struct Journal {
    steps: Vec<Step>,
    outbox: usize,
    content_bytes: usize,
    closed: bool,
    /// Of the first entry put.
    first_put: Option<String>,
    /// Numbers given to entries of this page before.
    numbers_given: u64,
    answer: Bytes,
    /// `close` was called, also on a page that is closed: the save renews the tombstone's time to live.
    closes: bool,
    /// A new entry was put into a closed page.
    pub(crate) put_into_closed: bool,
    /// Markers that the batch under way has tried to set: those of rejected edits are not in the page.
    pub(crate) markers: Vec<String>,
}

enum Step {
    /// An entry was put where none of its id was: it is the last one.
    Added,
    Replaced(usize, Entry),
    Removed(usize, Entry),
    /// The record at this index was given a copy of the entry it belongs to.
    Kept(usize),
    MarkerSet,
    MarkerCleared(usize, String),
}

impl Journal {
    fn begin(&mut self, page: &Page) {
        self.steps.clear();
        self.outbox = page.outbox().len();
        self.content_bytes = page.content_bytes;
        self.closed = page.body.closed;
        self.numbers_given = page.body.numbers_given;
        self.first_put = None;
        self.answer = Bytes::new();
        self.closes = false;
        self.put_into_closed = false;
    }

    /// Forgets the markers of an earlier attempt.
    pub(crate) fn begin_batch(&mut self) {
        self.markers.clear();
    }

    pub(crate) fn undo(&mut self, page: &mut Page) {
        for step in self.steps.drain(..).rev() {
            let body = &mut page.body;
            match step {
                Step::Added => drop(body.entries.pop()),
                Step::Replaced(index, entry) => body.entries[index] = entry,
                Step::Removed(index, entry) => body.entries.insert(index, entry),
                Step::Kept(index) => body.keys[index].original = None,
                Step::MarkerSet => drop(body.pending.pop()),
                Step::MarkerCleared(index, marker) => body.pending.insert(index, marker),
            }
        }
        page.truncate_outbox(self.outbox);
        page.content_bytes = self.content_bytes;
        page.body.closed = self.closed;
        page.body.numbers_given = self.numbers_given;
    }

    pub(crate) fn changed(&self, page: &Page) -> bool {
        !self.steps.is_empty() || page.outbox().len() > self.outbox || self.closes
    }

    pub(crate) fn emitted(&self, page: &Page) -> bool {
        page.outbox().len() > self.outbox
    }

    pub(crate) fn answer_bytes(&self) -> usize {
        self.answer.len()
    }

    /// Adds to the record what the request's repeats are told: its answer, or else the first entry it put.
    pub(crate) fn complete(&mut self, record: &mut KeyRecord) {
        record.answer = mem::take(&mut self.answer);
        if record.answer.is_empty() {
            record.entry = self.first_put.take();
        }
    }
}

impl<'page> PageEdit<'page> {
    pub(crate) fn new(
        key: &'page PageKey,
        collection: &'page Collection,
        kind: Kind,
        page: &'page mut Page,
        now: Timestamp,
        event_id: &'page mut dyn FnMut() -> Uuid,
        journal: &'page mut Journal,
    ) -> Self {
        journal.begin(page);
        Self { key, collection, kind, page, now, event_id, journal }
    }

    /// The page's number, for ids that say where their entry lives.
    pub fn number(&self) -> u32 {
        self.key.number()
    }

    /// The time of this commit.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The entry as this edit sees it.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.page.body.entry(id)
    }

    /// In the order in which they were first put.
    pub fn entries(&self) -> &[Entry] {
        &self.page.body.entries
    }

    /// Live entries of the whole collection: of this page as this edit sees it, of the others as far as is known
    /// here. What other processes have changed is known after [`Pages::recount`](crate::Pages::recount): who refuses
    /// by a number of these does so only once it has been counted anew. For limits of the owner's own.
    pub fn entries_of_collection(&self) -> usize {
        self.collection.entries_elsewhere(self.key.number()) + self.entries().len()
    }

    /// The same, of one label.
    pub fn labelled_of_collection(&self, label: &str) -> usize {
        let here = self.entries().iter().filter(|entry| entry.label == label).count();
        self.collection.labelled_elsewhere(self.key.number(), label) + here
    }

    /// The version that a `put` of this entry would give it.
    pub fn next_version(&self, id: &str) -> u64 {
        self.get(id).map_or(1, |entry| entry.version + 1)
    }

    /// The number that the next `put` of a new entry gives it. Only appends give numbers: 0 in an edit.
    pub fn sequence(&self) -> u64 {
        match self.kind {
            Kind::Append => self.page.body.next_number(),
            Kind::Edit => 0,
        }
    }

    /// What a repeat of this request, under the same idempotency key, is told
    /// ([`FirstAnswer::answer`](crate::FirstAnswer::answer)). It is kept instead of the first entry put, and
    /// may have [`Configuration::answer_bytes`](crate::Configuration::answer_bytes): a longer one fails the edit
    /// with `LimitExceeded`. Without a key it is not kept.
    pub fn answer(&mut self, answer: Bytes) {
        self.journal.answer = answer;
    }

    /// Adds the entry, or replaces the one of that id, and returns its version.
    ///
    /// A new entry in a closed page fails the edit with `Closed`, whatever the edit returns.
    pub fn put(&mut self, id: &str, label: &str, value: Bytes) -> u64 {
        let version = self.next_version(id);
        let index = self.index(id);
        let number = index.map_or_else(|| self.sequence(), |index| self.page.body.entries[index].number);
        let entry = Entry { id: id.to_owned(), version, label: label.to_owned(), value, number };
        self.page.content_bytes += entry.encoded_len();
        if let Some(index) = index {
            let replaced = mem::replace(&mut self.page.body.entries[index], entry);
            self.page.content_bytes -= replaced.encoded_len();
            self.keep_original(&replaced);
            self.journal.steps.push(Step::Replaced(index, replaced));
        } else {
            self.journal.put_into_closed |= self.page.body.closed;
            self.page.body.entries.push(entry);
            self.page.body.numbers_given += u64::from(number > 0);
            self.journal.steps.push(Step::Added);
        }
        self.journal.first_put.get_or_insert_with(|| id.to_owned());
        version
    }

    /// Removes the entry and returns it. If one of that id is put again, its versions start again at 1.
    pub fn remove(&mut self, id: &str) -> Option<Entry> {
        let index = self.index(id)?;
        let removed = self.page.body.entries.remove(index);
        self.page.content_bytes -= removed.encoded_len();
        self.keep_original(&removed);
        self.journal.steps.push(Step::Removed(index, removed.clone()));
        Some(removed)
    }

    /// Leaves a tombstone: no entry may be added to this page any more. Once it has no entry, no unpublished
    /// event and no unfinished work, it vanishes after [`Configuration::closed_retention`](crate::Configuration::closed_retention).
    pub fn close(&mut self) {
        self.page.body.closed = true;
        self.journal.closes = true;
    }

    /// Whether the page is full, for good: once it is empty nothing can be put into it any more.
    pub fn is_sealed(&self) -> bool {
        self.page.body.sealed
    }

    /// Whether the collection was deleted.
    pub fn is_closed(&self) -> bool {
        self.page.body.closed
    }

    /// The id for one event of this commit: a `UUIDv7` of the time of the commit.
    pub fn event_id(&mut self) -> Uuid {
        (self.event_id)()
    }

    /// Commits the event with this edit. It is published after the commit, at least once.
    pub fn emit(&mut self, event: OutboxEvent) {
        self.page.push_event(event);
    }

    /// The markers of unfinished work.
    pub fn pending(&self) -> &[String] {
        &self.page.body.pending
    }

    /// Leaves work to be done: [`PageWork::resume`](crate::PageWork::resume) is called after the commit until
    /// the marker is cleared. Setting one that is set already changes nothing.
    pub fn set_pending(&mut self, marker: &str) {
        let pending = &mut self.page.body.pending;
        if !pending.iter().any(|set| set == marker) {
            pending.push(marker.to_owned());
            self.journal.steps.push(Step::MarkerSet);
            self.journal.markers.push(marker.to_owned());
        }
    }

    /// Says that the work is done. Returns whether the marker was set.
    pub fn clear_pending(&mut self, marker: &str) -> bool {
        let pending = &mut self.page.body.pending;
        let Some(index) = pending.iter().position(|set| set == marker) else { return false };
        let cleared = pending.remove(index);
        self.journal.steps.push(Step::MarkerCleared(index, cleared));
        true
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.page.body.entries.iter().position(|entry| entry.id == id)
    }

    /// A repeated request must get the entry as its first one left it: the records that refer to the entry
    /// keep it before it changes.
    fn keep_original(&mut self, entry: &Entry) {
        for (index, record) in self.page.body.keys.iter_mut().enumerate() {
            if record.entry.as_ref() == Some(&entry.id) && record.original.is_none() {
                self.page.content_bytes -= record.encoded_len();
                keep(record, entry);
                self.page.content_bytes += record.encoded_len();
                self.journal.steps.push(Step::Kept(index));
            }
        }
    }
}

fn keep(record: &mut KeyRecord, entry: &Entry) {
    record.original = Some(entry.clone());
}
