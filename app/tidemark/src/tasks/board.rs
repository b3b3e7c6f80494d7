//! Where groups, tasks and comments lie, and how they are read.

use std::{cmp::Ordering, sync::Arc, task::Poll};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidemark_api::Refusal;
use tidemark_domain::{
    Access, ActionId, Causes, Change, CommandId, Comment, Event, Group, GroupId, Task, TaskId, Workspace,
};
use tidemark_pages::{
    CollectionKey, EditError, Entry, IdempotencyKey, Once, OutboxEvent, PageEdit, PageSummary, PageView,
    Pages, StoreError, Summary,
};
use tidemark_protocol::{
    ledger,
    stored::{self, CorruptEntry},
};
use uuid::Uuid;

use super::reading::{Endless, Reading, ready};
use crate::{
    clock::Clock, configuration::EventConfiguration, damage::readable, identity::Caller, operations::Call,
    telemetry::trace_context::TraceContext,
};

/// All boards.
#[derive(Clone)]
pub struct Board {
    pub pages: Pages,
    events: EventConfiguration,
    clock: Arc<dyn Clock>,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
    #[error(transparent)]
    Endless(#[from] Endless),
}

impl Board {
    pub fn new(pages: Pages, events: EventConfiguration, clock: Arc<dyn Clock>) -> Self {
        Self { pages, events, clock }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The group, if the workspace has it outside the trash.
    pub async fn group(&self, workspace: &Workspace, id: GroupId) -> Result<Option<Group>, ReadError> {
        group_in(&*self.pages.read(&groups_of(workspace).page(id.page())).await?, id)
    }

    /// The task, if the workspace has it outside the trash. One call of the store.
    pub async fn task(&self, workspace: &Workspace, id: TaskId) -> Result<Option<Task>, ReadError> {
        Ok(self.task_in_group(workspace, id).await?.map(|(_, task)| task))
    }

    /// The same with its group.
    pub async fn task_in_group(
        &self,
        workspace: &Workspace,
        id: TaskId,
    ) -> Result<Option<(Group, Task)>, ReadError> {
        Reading::run(&self.pages, |reading| task(reading, workspace, id)).await
    }

    /// The task with its first comments. One call of the store, or two if the comments fill more than a page.
    pub async fn card(&self, workspace: &Workspace, id: TaskId) -> Result<Option<Card>, ReadError> {
        let comments = comments_of(workspace, id.group(), id.page());
        Reading::run(&self.pages, |reading| {
            let comments = Comments::read(reading, &comments);
            let (Some(comments), Poll::Ready(task)) = (comments, task(reading, workspace, id)?) else {
                return Ok(Poll::Pending);
            };
            let Some((_, task)) = task else { return Ok(Poll::Ready(None)) };
            let comments = comments.first(id);
            Ok(Poll::Ready(Some(Card { task, comments })))
        })
        .await
    }

    /// All tasks of a group in the order of their ranks.
    pub async fn tasks_by_rank(&self, workspace: &Workspace, group: GroupId) -> Result<Vec<Task>, ReadError> {
        let collection = tasks_of(workspace, group);
        let views =
            Reading::run(&self.pages, |reading| Ok(ready(task_pages(reading, &collection, |_, _| {}))));
        let mut tasks = Vec::new();
        for view in views.await? {
            tasks.extend(live_tasks(group, &view));
        }
        tasks.sort_by(by_rank);
        Ok(tasks)
    }

    /// How many comments the task has.
    pub async fn comment_count(&self, workspace: &Workspace, task: TaskId) -> Result<u64, ReadError> {
        let comments = Reading::run(&self.pages, |reading| {
            Ok(ready(Comments::read(reading, &comments_of(workspace, task.group(), task.page()))))
        });
        Ok(comments.await?.count(task))
    }

    /// The group with its cards in the order of their ranks; as [`Board::cards`].
    pub async fn group_with_cards(
        &self,
        workspace: &Workspace,
        id: GroupId,
    ) -> Result<Option<(Group, Vec<Card>)>, ReadError> {
        let shown = Reading::run(&self.pages, |reading| {
            let page = reading.page(groups_of(workspace).page(id.page()));
            let cards = cards(reading, workspace, id);
            let (Some(page), Some(cards)) = (page, cards) else { return Ok(Poll::Pending) };
            Ok(Poll::Ready(group_in(&page, id)?.map(|group| (group, cards))))
        });
        shown.await
    }

    /// The cards of each board in the order of their ranks. 16 boards of up to 64 tasks need one call of the store;
    /// larger ones two, or one more where comments fill pages of their own.
    pub async fn cards(
        &self,
        workspace: &Workspace,
        groups: &[GroupId],
    ) -> Result<Vec<Vec<Card>>, ReadError> {
        Reading::run(&self.pages, |reading| Ok(ready(all_cards(reading, workspace, groups)))).await
    }

    /// Appends; what is refused since the collection is full is tried once more after other replicas' counts are known.
    pub async fn append<T, R>(
        &self,
        collection: &CollectionKey,
        key: Option<IdempotencyKey>,
        edit: impl Fn(&mut PageEdit<'_>) -> Result<T, R> + Clone + Send + 'static,
        is_full: impl Fn(&R) -> bool,
    ) -> Result<Once<T>, EditError<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        match self.pages.append(collection, key, edit.clone()).await {
            Err(EditError::Rejected(refused)) if is_full(&refused) => {
                self.pages.recount(collection).await.map_err(EditError::Unavailable)?;
                self.pages.append(collection, key, edit).await
            }
            other => other,
        }
    }

    /// What every event of a call says of it.
    pub fn author(&self, call: &Call) -> Result<Author, Refusal> {
        Ok(Author {
            caller: Arc::clone(call.caller()?),
            action_id: Uuid::new_v4(),
            command_id: call.command_id(),
            traceparent: TraceContext::current().map(TraceContext::traceparent),
            events: self.events.clone(),
        })
    }
}

/// A task with what is known of its comments.
#[derive(Debug, Clone)]
pub struct Card {
    pub task: Task,
    pub comments: FirstComments,
}

/// The oldest comments of a task.
#[derive(Debug, Clone)]
pub struct FirstComments {
    pub comments: Vec<Comment>,
    /// How many there are.
    pub count: u64,
    /// Where the list of all goes on, if there are more.
    pub next: Option<AfterComment>,
}

/// A place in the comments on the tasks of one page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterComment {
    pub page: u32,
    /// The number of the last comment that was shown; 0 if none of the page was.
    pub number: u64,
}

/// What is known of the comments on the tasks of one page.
pub struct Comments {
    summary: Summary,
    /// The first page, those that nobody has counted yet, and those from the last one that the summary knows to the
    /// end.
    read: Vec<Arc<PageView>>,
}

impl Comments {
    pub fn read(reading: &mut Reading, key: &CollectionKey) -> Option<Self> {
        let uncounted = |page: &PageSummary| page.tally.is_empty();
        let (summary, read) = reading.collection(key, 0, uncounted, |_, _| {})?;
        Some(Self { summary, read })
    }

    /// Exact for what was added before the call: that lies in the pages that were read, or is in the summary.
    pub fn count(&self, task: TaskId) -> u64 {
        let label = task.entry();
        let is_read = |number: u32| self.read.iter().any(|view| view.key().number() == number);
        let here = self.read.iter().flat_map(|view| view.entries()).filter(|entry| entry.label == label);
        let elsewhere = self.summary.live_pages.iter().filter(|page| !is_read(page.number));
        let elsewhere: u64 =
            elsewhere.filter_map(|page| page.tally.get(&label)).map(|&count| u64::from(count)).sum();
        here.count() as u64 + elsewhere
    }

    /// The comments in the pages that follow each other from the first.
    pub fn first(&self, task: TaskId) -> FirstComments {
        let label = task.entry();
        let (mut comments, mut passed, mut page) = (Vec::new(), 0, 0);
        for view in &self.read {
            if view.key().number() > page {
                break;
            }
            for entry in view.entries().iter().filter(|entry| entry.label == label) {
                comments.extend(readable(read_comment(task, page, entry)));
                passed += 1;
            }
            page += 1;
        }
        let count = self.count(task);
        let next = (count > passed).then_some(AfterComment { page, number: 0 });
        FirstComments { comments, count, next }
    }
}

/// What lies in the trash carries this label.
pub const TRASH: &str = "trash";

/// The entries that are not in the trash.
pub fn live(summary: &Summary) -> u64 {
    summary.entries - summary.tally.get(TRASH).copied().unwrap_or_default()
}

/// The task outside the trash, with its group outside the trash, once both are read.
pub fn task(
    reading: &mut Reading,
    workspace: &Workspace,
    id: TaskId,
) -> Result<Poll<Option<(Group, Task)>>, ReadError> {
    let group = reading.page(groups_of(workspace).page(id.group().page()));
    let tasks = reading.page(tasks_of(workspace, id.group()).page(id.page()));
    let (Some(group), Some(tasks)) = (group, tasks) else { return Ok(Poll::Pending) };
    let Some(group) = group_in(&group, id.group())? else { return Ok(Poll::Ready(None)) };
    let entry = tasks.get(&id.entry()).filter(|entry| entry.label != TRASH);
    let task = entry.map(|entry| read_task(id.group(), id.page(), entry)).transpose()?;
    Ok(Poll::Ready(task.map(|task| (group, task))))
}

/// The group in its page, if it is there outside the trash.
pub fn group_in(view: &PageView, id: GroupId) -> Result<Option<Group>, ReadError> {
    let entry = view.get(&id.entry()).filter(|entry| entry.label != TRASH);
    Ok(entry.map(|entry| read_group(id.page(), entry)).transpose()?)
}

/// The tasks of the page that are not in the trash and can be read.
pub fn live_tasks(group: GroupId, view: &PageView) -> Vec<Task> {
    let live = view.entries().iter().filter(|entry| entry.label != TRASH);
    live.filter_map(|entry| readable(read_task(group, view.key().number(), entry))).collect()
}

/// The pages of a group's tasks, once they are read; `along` asks for what belongs to one of them. Pages that are
/// known to hold nothing but trash are left out: a task that another replica has just taken back shows once its
/// summary has followed.
fn task_pages(
    reading: &mut Reading,
    collection: &CollectionKey,
    along: impl FnMut(&mut Reading, u32),
) -> Option<Vec<Arc<PageView>>> {
    let has_live = |page: &PageSummary| page.may_hold(|label| label != TRASH);
    reading.collection(collection, 0, has_live, along).map(|(_, pages)| pages)
}

fn all_cards(reading: &mut Reading, workspace: &Workspace, groups: &[GroupId]) -> Option<Vec<Vec<Card>>> {
    // Each is asked for, also after one that has yet to be read.
    let boards: Vec<_> = groups.iter().map(|group| cards(reading, workspace, *group)).collect();
    boards.into_iter().collect()
}

/// The cards of one board.
fn cards(reading: &mut Reading, workspace: &Workspace, group: GroupId) -> Option<Vec<Card>> {
    let ask_for_comments = |reading: &mut Reading, number: u32| {
        Comments::read(reading, &comments_of(workspace, group, number));
    };
    let views = task_pages(reading, &tasks_of(workspace, group), ask_for_comments)?;
    let mut cards = Vec::new();
    let mut is_complete = true;
    for view in views {
        let tasks = live_tasks(group, &view);
        if tasks.is_empty() {
            continue;
        }
        match Comments::read(reading, &comments_of(workspace, group, view.key().number())) {
            Some(comments) => {
                for task in tasks {
                    let comments = comments.first(task.id);
                    cards.push(Card { task, comments });
                }
            }
            None => is_complete = false,
        }
    }
    cards.sort_by(|a, b| by_rank(&a.task, &b.task));
    is_complete.then_some(cards)
}

fn by_rank(a: &Task, b: &Task) -> Ordering {
    a.rank.cmp(&b.rank).then_with(|| a.id.cmp(&b.id))
}

pub fn groups_of(workspace: &Workspace) -> CollectionKey {
    collection(&format!("groups/{workspace}"))
}

pub fn tasks_of(workspace: &Workspace, group: GroupId) -> CollectionKey {
    collection(&format!("tasks/{workspace}/{group}"))
}

/// The comments on the tasks of one page lie together, each under its task's label: a board is few items, and a
/// deleted task leaves none behind.
pub fn comments_of(workspace: &Workspace, group: GroupId, task_page: u32) -> CollectionKey {
    collection(&format!("comments/{workspace}/{group}/{task_page}"))
}

/// Pages that nothing is appended to: what was asked under the keys of bulk changes.
pub fn bulk_keys_of(workspace: &Workspace) -> CollectionKey {
    collection(&format!("bulk/{workspace}"))
}

/// What a page of the board holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Groups(Workspace),
    Tasks(Workspace, GroupId),
}

impl Place {
    /// Reads what [`groups_of`] and [`tasks_of`] made.
    pub fn of(collection: &CollectionKey) -> Option<Self> {
        match *collection.as_str().split('/').collect::<Vec<_>>() {
            ["groups", workspace] => Some(Self::Groups(Workspace::parse(workspace).ok()?)),
            ["tasks", workspace, group] => {
                Some(Self::Tasks(Workspace::parse(workspace).ok()?, group.parse().ok()?))
            }
            _ => None,
        }
    }
}

fn collection(name: &str) -> CollectionKey {
    CollectionKey::parse(name).expect("workspace names and ids hold letters, digits, '-' and '_' only")
}

pub fn read_group(page: u32, entry: &Entry) -> Result<Group, CorruptEntry> {
    stored::read_group(page, &entry.id, entry.version, entry.value.clone())
}

/// When the group of an entry was created, for [`LastGroup`].
pub fn group_created_at(page: u32) -> impl Fn(&Entry) -> Option<i64> {
    move |entry| read_group(page, entry).ok().map(|group| group.created_at.as_millisecond())
}

pub fn read_task(group: GroupId, page: u32, entry: &Entry) -> Result<Task, CorruptEntry> {
    stored::read_task(group, page, &entry.id, entry.version, entry.value.clone())
}

pub fn read_comment(task: TaskId, page: u32, entry: &Entry) -> Result<Comment, CorruptEntry> {
    stored::read_comment(task, page, &entry.id, entry.value.clone())
}

/// The last group that a list has shown, and when it was created. (The Inbox is made by an edit and has no
/// number in its collection.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGroup {
    pub entry: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl LastGroup {
    /// Whether the entry is still there, and where.
    pub fn position(&self, entries: &[Entry]) -> Option<usize> {
        entries.iter().position(|entry| entry.id == self.entry)
    }

    /// Where a list in the order of creation goes on. If the entry was deleted meanwhile, entries of the same
    /// moment may be shown twice, but none is passed over.
    pub fn next(&self, entries: &[Entry], created_at: impl Fn(&Entry) -> Option<i64>) -> usize {
        let not_older = |entry: &Entry| created_at(entry).is_none_or(|time| time >= self.created_at);
        match self.position(entries) {
            Some(place) => place + 1,
            None => entries.iter().position(not_older).unwrap_or(entries.len()),
        }
    }

    /// The end of what a list in the opposite order has yet to show; as [`LastGroup::next`] if the entry is gone.
    pub fn rest(&self, entries: &[Entry], created_at: impl Fn(&Entry) -> Option<i64>) -> usize {
        let newer = |entry: &Entry| created_at(entry).is_some_and(|time| time > self.created_at);
        let gone = || entries.iter().position(newer).unwrap_or(entries.len());
        self.position(entries).unwrap_or_else(gone)
    }
}

/// Who makes a change, on which request.
#[derive(Clone)]
pub struct Author {
    pub caller: Arc<Caller>,
    pub traceparent: Option<String>,
    /// All events of the request share it.
    pub action_id: ActionId,
    /// The key that the client gave, by which it knows its own change when it hears of it.
    pub command_id: Option<CommandId>,
    pub events: EventConfiguration,
}

impl Author {
    /// Commits the event of `change` together with the edit under way.
    pub fn tell(&self, edit: &mut PageEdit<'_>, entity: &impl ToString, change: Change) {
        if !self.events.kafka_enabled {
            return;
        }
        let event = Event {
            id: edit.event_id(),
            occurred_at: edit.now(),
            workspace: self.caller.workspace.clone(),
            actor: self.caller.actor.clone(),
            change,
            action_id: self.action_id,
            command_id: self.command_id.clone(),
            causes: Causes::default(),
            access: Access::default(),
            traceparent: self.traceparent.clone(),
        };
        edit.emit(OutboxEvent {
            id: event.id,
            partition_key: ledger::partition_key(&event.change, &event.actor),
            entity: entity.to_string(),
            attributes: TraceContext::attributes(self.traceparent.as_deref()),
            payload: ledger::encode(&event, self.events.event_format.into()).into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let entry = |name: &&str| Entry {
            id: (*name).to_owned(),
            version: 1,
            label: String::new(),
            value: Bytes::new(),
            number: 0,
        };
        names.iter().map(entry).collect()
    }

    /// Entries named after their times, two of each time: "1a", "1b", "2a" …
    fn time(entry: &Entry) -> Option<i64> {
        entry.id.chars().next()?.to_digit(10).map(i64::from)
    }

    fn last(entry: &str, created_at: i64) -> LastGroup {
        LastGroup { entry: entry.to_owned(), created_at }
    }

    #[test]
    fn a_list_goes_on_after_the_entry_it_showed_last_whatever_was_deleted_before_it() {
        assert_eq!(last("2a", 2).next(&entries(&["1a", "1b", "2a", "2b"]), time), 3);
        assert_eq!(last("2a", 2).next(&entries(&["2a", "2b"]), time), 1);
        assert_eq!(last("2a", 2).rest(&entries(&["1b", "2a", "2b"]), time), 1);
    }

    #[test]
    fn a_list_passes_over_nothing_when_the_entry_it_showed_last_is_gone() {
        assert_eq!(last("2a", 2).next(&entries(&["1b", "2b", "3a"]), time), 1);
        assert_eq!(last("2a", 2).next(&entries(&["1a"]), time), 1);
        assert_eq!(last("2b", 2).rest(&entries(&["1b", "2a", "3a"]), time), 2);
        assert_eq!(last("2b", 2).rest(&[], time), 0);
    }
}
