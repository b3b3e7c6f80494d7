//! A batch: the commands that share a save, applied to the page in memory one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use uuid::Uuid;

use crate::{
    FirstAnswer, Limit, LimitExceeded, PageEdit, PageKey,
    collection::Collection,
    command::{Command, Failure, Kind, Outcome},
    edit::Journal,
    engine::Engine,
    page::{KeyRecord, Page, Remembered},
};

/// A command of a batch, and what is to be answered once the batch is settled.
pub(crate) struct Applied {
    pub(crate) command: Box<dyn Command>,
    pub(crate) verdict: Verdict,
}

pub(crate) enum Verdict {
    Outcome(Outcome),
    /// This page is full: the append belongs to the next one.
    MovesOn,
}

/// The page of a batch while its commands are applied.
pub(crate) struct Batch<'batch> {
    pub(crate) engine: &'batch Engine,
    pub(crate) collection: &'batch Collection,
    pub(crate) key: &'batch PageKey,
    pub(crate) page: &'batch mut Page,
    pub(crate) journal: &'batch mut Journal,
    pub(crate) now: jiff::Timestamp,
    /// Of the page's first appended entry, if it has none yet.
    pub(crate) first_number: u64,
    pub(crate) last_event_id: &'batch mut u128,
    /// Events of this page that the relay counts already.
    pub(crate) relayed: usize,
    pub(crate) changed: bool,
}

impl Batch<'_> {
    pub(crate) fn apply(&mut self, command: &mut dyn Command) -> Verdict {
        if command.is_abandoned() {
            return Verdict::Outcome(Outcome::Ran);
        }
        match self.before(command).unwrap_or_else(|| self.run(command)) {
            Ok(verdict) => verdict,
            Err(failure) => Verdict::Outcome(Outcome::Failed(failure)),
        }
    }

    /// What is decided without running the edit.
    fn before(&mut self, command: &dyn Command) -> Option<Result<Verdict, Failure>> {
        if let Some(key) = command.key() {
            match self.page.body.remembered(key) {
                Some(Remembered::Answer(entry, answer)) => {
                    let first = FirstAnswer { page: self.key.clone(), entry, answer };
                    return Some(Ok(Verdict::Outcome(Outcome::Repeated(first))));
                }
                Some(Remembered::OtherRequest) => return Some(Err(Failure::KeyReused)),
                None => {}
            }
        }
        if command.kind() == Kind::Edit {
            return None;
        }
        if self.page.body.closed {
            return Some(Err(Failure::Closed));
        }
        if !self.page.body.sealed {
            self.begin_page();
        }
        if self.page.body.sealed || self.is_full() {
            self.seal();
            return Some(Ok(Verdict::MovesOn));
        }
        None
    }

    /// With the first append, whatever that comes to, the page gets its place in the collection's numbering.
    fn begin_page(&mut self) {
        let body = &mut self.page.body;
        if body.first_number == 0 {
            body.first_number = self.first_number;
            body.begun_at = self.now.as_millisecond();
        }
    }

    fn run(&mut self, command: &mut dyn Command) -> Result<Verdict, Failure> {
        let entries_before = self.page.body.entries.len();
        let was_dead = self.page.body.is_dead();
        let ran = {
            let mut event_id = event_ids(self.engine, self.now, self.last_event_id);
            let mut edit = PageEdit::new(
                self.key,
                self.collection,
                command.kind(),
                self.page,
                self.now,
                &mut event_id,
                self.journal,
            );
            catch_unwind(AssertUnwindSafe(|| command.run(&mut edit)))
        };
        match ran {
            Ok(true) => {
                if let Err(failure) = self.check(command.kind(), entries_before, was_dead) {
                    self.journal.undo(self.page);
                    return Err(failure);
                }
                self.accept(command);
                Ok(Verdict::Outcome(Outcome::Ran))
            }
            Ok(false) => {
                self.journal.undo(self.page);
                Ok(Verdict::Outcome(Outcome::Ran))
            }
            Err(panic) => {
                self.journal.undo(self.page);
                Ok(Verdict::Outcome(Outcome::Panicked(panic)))
            }
        }
    }

    /// The limits, after the edit has run.
    fn check(&self, kind: Kind, entries_before: usize, was_dead: bool) -> Result<(), Failure> {
        let configuration = &self.engine.configuration;
        let page = &*self.page;
        // That a page is dead is final: who has counted it as dead need not look at it again.
        if self.journal.put_into_closed || (was_dead && !page.body.entries.is_empty()) {
            return Err(Failure::Closed);
        }
        if self.journal.emitted(page) {
            let (waiting, relay) = (page.outbox().len(), &self.engine.relay);
            let new = waiting - self.relayed;
            let waiting_anywhere = relay.unpublished() + new;
            let beside = page.outbox().last().map_or(0, |last| relay.unpublished_beside(&last.partition_key));
            if waiting > configuration.outbox_events_per_page
                || page.outbox_bytes > configuration.outbox_bytes_per_page
                || waiting_anywhere > configuration.outbox_events
                || relay.unpublished_bytes() > configuration.outbox_bytes
                || beside + new > configuration.outbox_events_per_share
            {
                metrics::counter!("pages_backlogs_total").increment(1);
                return Err(Failure::Backlog { waiting: waiting_anywhere });
            }
        }
        let exceeds =
            |limit, allowed, found| Err(Failure::LimitExceeded(LimitExceeded { limit, allowed, found }));
        if kind == Kind::Append && page.body.entries.len() > entries_before {
            let entries = self.collection.entries_elsewhere(self.key.number()) + page.body.entries.len();
            if entries > configuration.entries_per_collection {
                return exceeds(Limit::EntriesPerCollection, configuration.entries_per_collection, entries);
            }
        }
        let answer_bytes = self.journal.answer_bytes();
        if answer_bytes > configuration.answer_bytes {
            return exceeds(Limit::AnswerBytes, configuration.answer_bytes, answer_bytes);
        }
        let page_bytes = page.bytes() + answer_bytes;
        if self.journal.changed(page) && page_bytes > configuration.page_bytes {
            return exceeds(Limit::PageBytes, configuration.page_bytes, page_bytes);
        }
        Ok(())
    }

    fn accept(&mut self, command: &dyn Command) {
        self.changed |= self.journal.changed(self.page);
        let by_edit = command.kind() == Kind::Edit;
        if let Some(key) = command.key() {
            let mut record = KeyRecord::new(key, self.now.as_millisecond(), by_edit);
            self.journal.complete(&mut record);
            self.page.push_key(record, self.engine.configuration.edit_keys_per_page);
            self.changed = true;
        }
        if !by_edit && self.is_full() {
            self.seal();
        }
    }

    fn is_full(&self) -> bool {
        let configuration = &self.engine.configuration;
        self.page.body.entries.len() >= configuration.entries_per_page
            || self.page.content_bytes >= configuration.full_page_bytes
    }

    fn seal(&mut self) {
        self.changed |= !self.page.body.sealed;
        self.page.body.sealed = true;
    }
}

/// `UUIDv7` of this moment, each greater than the one before.
fn event_ids<'a>(
    engine: &'a Engine,
    now: jiff::Timestamp,
    last: &'a mut u128,
) -> impl FnMut() -> Uuid + use<'a> {
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
    move || {
        let mut chance = [0; 10];
        let (high, low) = chance.split_at_mut(2);
        high.copy_from_slice(&engine.random.number().to_be_bytes()[..2]);
        low.copy_from_slice(&engine.random.number().to_be_bytes());
        // Room to count up without touching the variant.
        low[0] &= 0b1101_1111;
        let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &chance).into_uuid().as_u128();
        *last = id.max(*last + 1);
        Uuid::from_u128(*last)
    }
}
