//! The writer of a page: takes the commands that wait, applies them in memory, saves once, answers all.
//!
//! What it relies on, and how a save is told apart from one that did not happen:
//!
//! - Every save demands the `ETag` of the page it was made from, so it happens over exactly that page or not at
//!   all. The `ETag` is learnt by reading, or worked out from the last save.
//! - Every save carries a number that this process never gives to another one, and a page remembers the last
//!   number of each process. After a save that failed, the page is read again: if it carries the number, the
//!   save happened. If it does not and the `ETag` has moved on, the save can never happen any more, and the
//!   commands are applied afresh. If the `ETag` has not moved, the save may still be on its way: the very same
//!   bytes are sent again, so that it does not matter which of the two arrives.
//! - Answers that come without a save (rejections, reads, repeats) are given only once the page in memory is
//!   known to be the stored one, by reading its `ETag`.

mod batch;
mod known_page;

use std::{
    collections::{HashMap, HashSet, hash_map},
    future::pending,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout},
};
use uuid::Uuid;

use self::{
    batch::{Applied, Batch, Verdict},
    known_page::{Base, Known, Loaded},
};
use crate::{
    CallContext, PageKey, SaveError, StoreError, Versioned,
    collection::{Collection, PageHint},
    command::{Command, Failure, Kind, Outcome},
    edit::Journal,
    engine::Engine,
    page::{Body, Landed},
    register::Note,
    relay::Confirmations,
};

pub(crate) enum Message {
    Command(Box<dyn Command>),
    /// The sweep's: take over whatever the page still has to be done, and tell.
    Visit(oneshot::Sender<Result<(), StoreError>>),
    /// This marker's work is done, whether or not this writer has seen it.
    Settled(String),
}

pub(crate) struct Writer {
    engine: Arc<Engine>,
    key: PageKey,
    name: String,
    collection: Arc<Collection>,
    mailbox: mpsc::Receiver<Message>,
    confirmations: Arc<Confirmations>,
    known: Known,
    /// Where the page goes on with the numbers of the collection, once that was wanted.
    first_number: Option<u64>,
    note: Option<Note>,
    /// The page could not be noted for the batch under way.
    failed_note: Option<StoreError>,
    /// Bytes that the engine counts for this page.
    counted_bytes: usize,
    /// A save may have happened, or may yet, that nobody has seen the outcome of. Reading the page does not
    /// settle that: a save over what was read does, since then the one in doubt can never happen any more.
    in_doubt: bool,
    /// Events of the page that the relay has; `true` once it has published them.
    relayed: HashMap<Uuid, bool>,
    /// Markers whose work runs here.
    working: HashSet<String>,
    journal: Journal,
    last_event_id: u128,
    /// When the page last had something to do.
    busy_at: Instant,
    /// Tidying failed so often in a row.
    failures: u32,
    /// The next page has been announced to the register.
    expects_next: bool,
    ended: bool,
}

/// What a save is for.
enum Purpose {
    /// Edits; if none of them changes anything, there is no save.
    Commands(Vec<Box<dyn Command>>),
    /// To drop published events, or to make sure that a save in doubt can never happen any more.
    Tidy,
    /// The sweep's: what another process has left to be done is done here from now on. It saves also if there
    /// is nothing left, so that a save which that process has under way is refused.
    TakeOver,
}

enum Saved {
    Landed,
    /// The page had moved on, and the save can never happen.
    Overtaken,
    /// It may have happened, or may yet.
    Unresolved(StoreError),
}

/// What the writer does when nobody wants anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    Wait,
    /// Save the page without the events that are published.
    Tidy,
    /// Find out what became of a save.
    Resolve,
    End,
}

/// Pause before a duty that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The pause grows with every failure, up to this many times.
const MOST_RETRIES: u32 = 10;
const FIRST_LOOK: Duration = Duration::from_millis(10);

impl Writer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        key: PageKey,
        mailbox: mpsc::Receiver<Message>,
        hint: Option<PageHint>,
    ) -> Self {
        let hint = hint.filter(|hint| hint.number == key.number());
        let first_number = hint.as_ref().and_then(|hint| hint.first_number);
        // A hint that cannot be decoded is read again, and fails then.
        let loaded = hint.and_then(|hint| Loaded::decode(&key, hint.stored).ok());
        let known = loaded.map_or(Known::Nothing, Known::Loaded);
        Self {
            collection: engine.collection(key.collection()),
            engine,
            name: key.to_string(),
            key,
            mailbox,
            confirmations: Arc::default(),
            known,
            first_number,
            note: None,
            failed_note: None,
            counted_bytes: 0,
            in_doubt: false,
            relayed: HashMap::new(),
            working: HashSet::new(),
            journal: Journal::default(),
            last_event_id: 0,
            busy_at: Instant::now(),
            failures: 0,
            expects_next: false,
            ended: false,
        }
    }

    pub(crate) async fn run(mut self) {
        let engine = self.engine.clone();
        let mut messages = Vec::new();
        let commands_per_save = engine.configuration.commands_per_save.max(1);
        loop {
            self.count_bytes();
            let (duty, at) = self.duty();
            let draining = engine.draining.is_cancelled();
            let next = async {
                sleep_until(at).await;
                match duty {
                    Duty::Wait => pending().await,
                    Duty::Tidy => engine.tidying.acquire().await.ok(),
                    Duty::Resolve | Duty::End => None,
                }
            };
            tokio::select! {
                biased;
                _ = self.mailbox.recv_many(&mut messages, commands_per_save) => {
                    if let Some(kind) = most_demanding(&messages) {
                        let mut prepared = Ok(());
                        within(context_of(&messages), async { prepared = self.prepare(kind).await }).await;
                        if let Err(cause) = prepared {
                            self.refuse(&mut messages, &cause);
                            continue;
                        }
                    }
                    let turn = timeout(engine.configuration.longest_wait, engine.turns.acquire()).await;
                    // What has come meanwhile comes along.
                    while messages.len() < commands_per_save && let Ok(more) = self.mailbox.try_recv() {
                        messages.push(more);
                    }
                    within(context_of(&messages), self.process(&mut messages)).await;
                    drop(turn);
                    // The callers just answered often have the next command ready: let them send it, so that
                    // they share the next save instead of every second one.
                    yield_now().await;
                    self.busy_at = Instant::now();
                    self.failures = 0;
                }
                () = self.confirmations.changed.notified() => self.collect_confirmations(),
                _permit = next => match duty {
                    Duty::Wait => {}
                    Duty::Tidy | Duty::Resolve => {
                        let done = self.commit(Purpose::Tidy).await;
                        metrics::counter!("pages_tidy_saves_total").increment(1);
                        self.failures = if done.is_ok() { 0 } else { self.failures.saturating_add(1) };
                        self.busy_at = Instant::now();
                    }
                    Duty::End => if self.end() { return },
                },
                () = engine.draining.cancelled(), if !draining => {}
            }
        }
    }

    fn count_bytes(&mut self) {
        let bytes = self.known.page().map_or(0, |loaded| loaded.page.bytes());
        self.engine.count_bytes(self.counted_bytes, bytes);
        self.counted_bytes = bytes;
    }

    /// What to do next if nothing comes, and when.
    fn duty(&self) -> (Duty, Instant) {
        let configuration = &self.engine.configuration;
        let hurries = self.engine.draining.is_cancelled();
        let after = |pause: Duration| {
            let pause = if hurries { Duration::ZERO } else { pause };
            self.busy_at + pause.max(RETRY * self.failures.min(MOST_RETRIES))
        };
        let stored_events = self.known.page().map_or(0, |loaded| loaded.stored_events);
        if self.in_doubt {
            (Duty::Resolve, after(RETRY))
        } else if stored_events > 0 && self.relayed.values().all(|&published| published) {
            (Duty::Tidy, after(configuration.tidy_after))
        } else if stored_events > 0 || !self.working.is_empty() {
            (Duty::Wait, self.busy_at)
        } else if self.engine.is_crowded() {
            (Duty::End, self.busy_at)
        } else {
            (Duty::End, after(configuration.idle_after))
        }
    }

    fn end(&mut self) -> bool {
        let (mailbox, engine, key, note) = (&self.mailbox, &self.engine, &self.key, &mut self.note);
        self.ended = engine.end_writer(key, || {
            let ends = mailbox.is_empty();
            // Before there can be a next writer of this page, who would note it.
            if ends && let Some(note) = note.take() {
                engine.register.release(key, note);
            }
            ends
        });
        self.ended
    }

    fn collect_confirmations(&mut self) {
        for id in self.confirmations.take() {
            if let Some(published) = self.relayed.get_mut(&id) {
                *published = true;
            }
        }
        if !self.relayed.is_empty() && self.relayed.values().all(|&published| published) {
            // Quiet from now: the tidy-up waits from here.
            self.busy_at = Instant::now();
        }
    }

    /// Does beforehand what most batches need and what pages can share: reads the page, and has it registered.
    async fn prepare(&mut self, kind: Kind) -> Result<(), StoreError> {
        self.failed_note = None;
        if !self.known.can_be_saved_over() {
            self.load().await?;
        }
        // An edit of a page that does not exist changes nothing.
        let is_there = self.known.page().is_some_and(|loaded| loaded.base != Base::Absent);
        if kind == Kind::Append || is_there {
            self.failed_note = self.note_page().await.err();
        }
        Ok(())
    }

    /// Answers everybody who has waited for a page that is not to be had: they don't wait one after the other.
    fn refuse(&mut self, messages: &mut Vec<Message>, cause: &StoreError) {
        while let Ok(more) = self.mailbox.try_recv() {
            messages.push(more);
        }
        for message in messages.drain(..) {
            match message {
                Message::Command(command) => {
                    command.answer(Outcome::Failed(Failure::Unavailable(cause.clone())));
                }
                Message::Visit(reply) => drop(reply.send(Err(cause.clone()))),
                Message::Settled(marker) => drop(self.working.remove(&marker)),
            }
        }
        self.busy_at = Instant::now();
    }

    async fn process(&mut self, messages: &mut Vec<Message>) {
        self.collect_confirmations();
        let mut commands = Vec::with_capacity(messages.len());
        let mut visits = Vec::new();
        for message in messages.drain(..) {
            match message {
                Message::Command(command) => commands.push(command),
                Message::Visit(reply) => visits.push(reply),
                Message::Settled(marker) => drop(self.working.remove(&marker)),
            }
        }
        if !commands.is_empty() {
            metrics::histogram!("pages_commands_per_save")
                .record(f64::from(u32::try_from(commands.len()).unwrap_or(u32::MAX)));
            // What failed has been answered.
            drop(self.commit(Purpose::Commands(commands)).await);
        }
        if !visits.is_empty() {
            let taken_over = self.commit(Purpose::TakeOver).await;
            for reply in visits {
                drop(reply.send(taken_over.clone()));
            }
        }
    }

    /// Applies the commands, if it is for any, and saves, until that succeeds or cannot; answers them all.
    /// Errors tell of the store; the commands have been answered then, too.
    async fn commit(&mut self, purpose: Purpose) -> Result<(), StoreError> {
        let adopts_work = matches!(purpose, Purpose::TakeOver);
        let (commands, saves_unchanged) = match purpose {
            Purpose::Commands(commands) => (commands, false),
            Purpose::Tidy | Purpose::TakeOver => (Vec::new(), true),
        };
        let has_appends = commands.iter().any(|command| command.kind() == Kind::Append);
        let mut batch: Vec<Applied> = commands
            .into_iter()
            .map(|command| Applied { command, verdict: Verdict::Outcome(Outcome::Ran) })
            .collect();
        let mut is_fresh = false;
        let (mut attempts, mut overtaken_since) = (0, None);
        let mut saved = false;
        let failure = loop {
            if !self.known.can_be_saved_over() {
                match self.load().await {
                    Ok(()) => is_fresh = true,
                    Err(cause) => break Failure::Unavailable(cause),
                }
            }
            if has_appends && let Err(cause) = self.learn_first_number().await {
                break Failure::Unavailable(cause);
            }
            if !self.apply(&mut batch) && !saves_unchanged {
                if is_fresh {
                    self.settle(batch, saved, adopts_work);
                    return Ok(());
                }
                match self.is_current().await {
                    Ok(true) => {
                        self.settle(batch, saved, adopts_work);
                        return Ok(());
                    }
                    Ok(false) => self.known = Known::Nothing,
                    Err(cause) => break Failure::Unavailable(cause),
                }
                continue;
            }
            if let Err(cause) = self.note_page().await {
                break Failure::Unavailable(cause);
            }
            match self.save().await {
                Saved::Landed => {
                    saved = true;
                    self.in_doubt = false;
                    self.settle(batch, saved, adopts_work);
                    return Ok(());
                }
                Saved::Overtaken => {
                    is_fresh = true;
                    attempts += 1;
                    metrics::counter!("pages_conflicts_total").increment(1);
                    let since = *overtaken_since.get_or_insert_with(Instant::now);
                    if self.is_enough(attempts, since) {
                        break Failure::Conflict { attempts };
                    }
                    self.pause().await;
                }
                Saved::Unresolved(cause) => {
                    self.in_doubt = true;
                    break Failure::OutcomeUnknown(cause);
                }
            }
        };
        self.fail(batch, &failure)
    }

    fn fail(&mut self, batch: Vec<Applied>, failure: &Failure) -> Result<(), StoreError> {
        // What is in memory may hold changes that are not stored.
        self.known = Known::Nothing;
        // The stored page may hold events that nobody here relays: look at it again.
        self.in_doubt |= self.note.is_some();
        for Applied { command, .. } in batch {
            command.answer(Outcome::Failed(failure.clone()));
        }
        match failure {
            Failure::Unavailable(cause) | Failure::OutcomeUnknown(cause) => Err(cause.clone()),
            _ => Err(StoreError::new("the page kept changing")),
        }
    }

    async fn load(&mut self) -> Result<(), StoreError> {
        let stored = self.engine.store.get(&self.name).await?;
        self.take(stored)
    }

    fn take(&mut self, stored: Option<Versioned>) -> Result<(), StoreError> {
        let loaded = Loaded::decode(&self.key, stored)?;
        self.engine.observe(&self.collection, self.key.number(), &loaded.page.body);
        self.known = Known::Loaded(loaded);
        Ok(())
    }

    /// A page that is begun goes on with the numbers of the one before it, which is sealed, and so final.
    async fn learn_first_number(&mut self) -> Result<(), StoreError> {
        let begins = self.known.page().is_some_and(|loaded| loaded.page.body.can_begin());
        if self.first_number.is_some() || !begins {
            return Ok(());
        }
        self.first_number = Some(match self.key.number().checked_sub(1) {
            None => 1,
            Some(before) => {
                let before = self.key.collection().page(before);
                let stored = self.engine.store.get(&before.to_string()).await?;
                let value = stored.map(|stored| stored.value).unwrap_or_default();
                let body = Body::decode_stored(&before, value)?;
                if !body.sealed {
                    return Err(StoreError::unreadable(OpenPageBefore { before }));
                }
                body.next_number()
            }
        });
        Ok(())
    }

    /// Whether the page in memory is the stored one.
    async fn is_current(&self) -> Result<bool, StoreError> {
        let stored = self.engine.store.get(&self.name).await?;
        let etag = stored.as_ref().map(|stored| stored.etag.as_str());
        Ok(self.known.page().is_some_and(|loaded| loaded.base.etag() == etag))
    }

    /// Runs all commands on the page in memory. Returns whether it changed.
    fn apply(&mut self, batch: &mut [Applied]) -> bool {
        let Some(loaded) = self.known.page_mut() else { return false };
        let relayed = &self.relayed;
        if relayed.values().any(|&published| published) {
            loaded.page.drop_published(|id| relayed.get(&id) == Some(&true));
        }
        self.journal.begin_batch();
        let now = self.engine.clock.now();
        let mut open = Batch {
            engine: &self.engine,
            collection: &self.collection,
            key: &self.key,
            relayed: loaded.page.outbox().len(),
            page: &mut loaded.page,
            journal: &mut self.journal,
            now,
            first_number: self.first_number.unwrap_or_default(),
            last_event_id: &mut self.last_event_id,
            changed: false,
        };
        for Applied { command, verdict } in batch {
            *verdict = open.apply(&mut **command);
        }
        open.changed
    }

    /// Makes sure that the sweep would find this page if this process died.
    async fn note_page(&mut self) -> Result<(), StoreError> {
        if !self.note.is_some_and(|note| self.engine.register.holds(note)) {
            // The batch has waited for it once.
            if let Some(cause) = self.failed_note.take() {
                return Err(cause);
            }
            self.note = Some(self.engine.register.note(&self.key).await?);
        }
        Ok(())
    }

    async fn save(&mut self) -> Saved {
        let engine = self.engine.clone();
        let Some(loaded) = self.known.page_mut() else {
            return Saved::Unresolved(StoreError::new("no page is loaded"));
        };
        let base_ordinal = loaded.page.body.ordinal;
        let number = engine.next_save();
        let retention = engine.configuration.key_retention;
        let value = loaded.page.seal_commit(engine.process, number, engine.now(), retention);
        metrics::histogram!("pages_saved_bytes")
            .record(f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX)));
        let body = &loaded.page.body;
        let is_over = body.closed
            && body.entries.is_empty()
            && body.pending.is_empty()
            && loaded.page.outbox().is_empty();
        let time_to_live = is_over.then_some(engine.configuration.closed_retention);
        let base = loaded.base.clone();
        let (mut tries, mut failing_since) = (0, None);
        loop {
            let saved = engine.store.save(&self.name, value.clone(), base.precondition(), time_to_live).await;
            let error = match saved {
                Ok(()) => {
                    self.landed(&base);
                    return Saved::Landed;
                }
                Err(error) => error,
            };
            let outcome = if matches!(error, SaveError::Refused(_)) { "refused" } else { "unknown" };
            metrics::counter!("pages_saves_total", "outcome" => outcome).increment(1);
            let found = match self.look().await {
                Ok(found) => found,
                Err(cause) => return Saved::Unresolved(cause),
            };
            if found.as_ref().map(|found| found.etag.as_str()) == base.etag() {
                tries += 1;
                let since = *failing_since.get_or_insert_with(Instant::now);
                if self.is_enough(tries, since) {
                    return Saved::Unresolved(error.into_store_error());
                }
                self.pause().await;
                continue;
            }
            if let Err(cause) = self.take(found) {
                return Saved::Unresolved(cause);
            }
            let Some(loaded) = self.known.page() else { return Saved::Overtaken };
            return match loaded.page.body.landed(engine.process, number, base_ordinal) {
                Landed::Yes => {
                    metrics::counter!("pages_saves_total", "outcome" => "landed").increment(1);
                    Saved::Landed
                }
                Landed::No => {
                    if matches!(base, Base::Guessed(_)) && loaded.page.body.ordinal == base_ordinal {
                        metrics::counter!("pages_etag_guess_total", "result" => "wrong").increment(1);
                    }
                    Saved::Overtaken
                }
                Landed::Forgotten => Saved::Unresolved(error.into_store_error()),
            };
        }
    }

    /// Whether something was tried often enough, or for long enough.
    fn is_enough(&self, tries: u32, since: Instant) -> bool {
        let configuration = &self.engine.configuration;
        tries >= configuration.attempts || since.elapsed() >= configuration.resolve_within
    }

    /// The save over `base` happened.
    fn landed(&mut self, base: &Base) {
        metrics::counter!("pages_saves_total", "outcome" => "landed").increment(1);
        if matches!(base, Base::Guessed(_)) {
            metrics::counter!("pages_etag_guess_total", "result" => "right").increment(1);
        }
        self.known.saved(self.engine.store.next_etag(base.etag()));
    }

    /// Reads the page after a failed save, for as long as the store may take to come back.
    async fn look(&self) -> Result<Option<Versioned>, StoreError> {
        let started = Instant::now();
        let mut pause = FIRST_LOOK;
        loop {
            match self.engine.store.get(&self.name).await {
                Ok(found) => return Ok(found),
                Err(cause) if started.elapsed() >= self.engine.configuration.resolve_within => {
                    return Err(cause);
                }
                Err(_) => sleep(pause / 2 + self.engine.random.up_to(pause / 2)).await,
            }
            pause = (pause * 2).min(RETRY);
        }
    }

    async fn pause(&self) {
        sleep(self.engine.random.up_to(self.engine.configuration.attempt_pause)).await;
    }

    /// The page in memory is the stored one: tells everybody whom it concerns.
    fn settle(&mut self, batch: Vec<Applied>, saved: bool, adopts_work: bool) {
        self.hand_over_events(saved);
        self.take_up_work(saved, adopts_work);
        let Some(Loaded { page, .. }) = self.known.page() else { return };
        let (engine, number) = (&self.engine, self.key.number());
        if saved {
            engine.observe(&self.collection, number, &page.body);
        }
        if page.body.sealed {
            self.collection.sealed(engine, number, &page.body);
        } else if saved
            && !self.expects_next
            && page.body.entries.len() * 2 > engine.configuration.entries_per_page
        {
            // The next page will be wanted soon: register it in passing.
            self.expects_next = true;
            engine.register.expect(&self.key.collection().page(number + 1));
        }
        for Applied { command, verdict } in batch {
            match verdict {
                Verdict::Outcome(outcome) => command.answer(outcome),
                Verdict::MovesOn => self.move_on(command),
            }
        }
    }

    fn move_on(&self, command: Box<dyn Command>) {
        let next = self.key.number() + 1;
        if let Some(exceeded) = self.collection.exceeded_pages(&self.engine, next) {
            command.answer(Outcome::Failed(Failure::LimitExceeded(exceeded)));
            return;
        }
        // Most likely it does not exist yet. If it does, the first save finds out.
        let first_number = self.known.page().map(|loaded| loaded.page.body.next_number());
        let hint = PageHint { number: next, stored: None, first_number };
        self.engine.submit(&self.key.collection().page(next), command, Some(hint));
    }

    /// Gives the relay the events that it does not have: own ones, and those that another process has
    /// committed, which must go out before anything that follows them.
    fn hand_over_events(&mut self, saved: bool) {
        let Some(Loaded { page, .. }) = self.known.page() else { return };
        let outbox = page.outbox();
        for event in outbox {
            if let hash_map::Entry::Vacant(vacant) = self.relayed.entry(event.id) {
                vacant.insert(false);
                self.engine.relay.hand_over(event.clone(), &self.confirmations);
            }
        }
        // Those that only this page in memory has dropped would come back with the stored one.
        if saved && self.relayed.len() > outbox.len() {
            let present: HashSet<Uuid> = outbox.iter().map(|event| event.id).collect();
            self.relayed.retain(|id, _| present.contains(id));
        }
    }

    fn take_up_work(&mut self, saved: bool, adopts_work: bool) {
        let Some(Loaded { page, .. }) = self.known.page() else { return };
        let set = &page.body.pending;
        self.working.retain(|marker| set.contains(marker));
        let mut own: Vec<String> = if adopts_work { set.clone() } else { Vec::new() };
        if saved {
            own.append(&mut self.journal.markers);
        }
        for marker in own {
            if set.contains(&marker) && self.working.insert(marker.clone()) {
                self.engine.clone().resume_work(self.key.clone(), marker);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.engine.count_bytes(self.counted_bytes, 0);
        // After a panic, or when everything stops: whoever comes next must get a new writer.
        if !self.ended {
            self.engine.end_writer(&self.key, || true);
        }
    }
}

/// An append if there is one, an edit if there is any command.
fn most_demanding(messages: &[Message]) -> Option<Kind> {
    let mut found = None;
    for message in messages {
        match message {
            Message::Command(command) if command.kind() == Kind::Append => return Some(Kind::Append),
            Message::Command(command) => found = Some(command.kind()),
            Message::Visit(_) | Message::Settled(_) => {}
        }
    }
    found
}

/// The context that the work for all these commands belongs to: it can be one only.
fn context_of(messages: &[Message]) -> Option<Arc<dyn CallContext>> {
    messages.iter().find_map(|message| match message {
        Message::Command(command) => command.context(),
        Message::Visit(_) | Message::Settled(_) => None,
    })
}

async fn within(context: Option<Arc<dyn CallContext>>, work: impl Future<Output = ()> + Send) {
    match context {
        Some(context) => context.enclose(Box::pin(work)).await,
        None => work.await,
    }
}

/// Appends go to a page only once the one before it is sealed.
#[derive(Debug, thiserror::Error)]
#[error("page {before} is not sealed, and another one follows it")]
struct OpenPageBefore {
    before: PageKey,
}
