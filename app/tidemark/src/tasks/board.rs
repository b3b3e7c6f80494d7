//! Where groups, tasks and comments lie, and how they are read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_api::Refusal;
use tidemark_domain::{
    Access, ActionId, Causes, Change, CommandId, Comment, Event, Group, GroupId, Task, TaskId, Workspace,
};
use tidemark_pages::{CollectionKey, Entry, OutboxEvent, PageEdit, PageView, Pages, StoreError};
use tidemark_protocol::{
    ledger,
    stored::{self, CorruptEntry},
};

use uuid::Uuid;

use crate::{
    configuration::EventConfiguration, identity::Caller, operations::Call,
    telemetry::trace_context::TraceContext,
};

/// All boards.
#[derive(Clone)]
pub struct Board {
    pub pages: Pages,
    events: EventConfiguration,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

impl Board {
    pub fn new(pages: Pages, events: EventConfiguration) -> Self {
        Self { pages, events }
    }

    /// The group, if the workspace has it.
    pub async fn group(&self, workspace: &Workspace, id: GroupId) -> Result<Option<Group>, ReadError> {
        let view = self.pages.read(&groups_of(workspace).page(id.page())).await?;
        let entry = view.get(&id.entry());
        Ok(entry.map(|entry| read_group(id.page(), entry)).transpose()?)
    }

    /// The task, if the workspace has it.
    pub async fn task(&self, workspace: &Workspace, id: TaskId) -> Result<Option<Task>, ReadError> {
        let view = self.pages.read(&tasks_of(workspace, id.group()).page(id.page())).await?;
        let entry = view.get(&id.entry());
        Ok(entry.map(|entry| read_task(id.group(), id.page(), entry)).transpose()?)
    }

    /// All tasks of a group in the order of their ranks.
    pub async fn tasks_by_rank(&self, workspace: &Workspace, group: GroupId) -> Result<Vec<Task>, ReadError> {
        let collection = tasks_of(workspace, group);
        let (mut tasks, mut from) = (Vec::new(), Some(0));
        while let Some(number) = from {
            let read = self.pages.read_collection(&collection, number, PAGES_AT_A_TIME).await?;
            for page in &read.pages {
                for entry in page.entries() {
                    tasks.push(read_task(group, page.key().number(), entry)?);
                }
            }
            from = read.next;
        }
        tasks.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| a.id.cmp(&b.id)));
        Ok(tasks)
    }

    /// The first comments of each task, and how many each has.
    pub async fn comments_of(
        &self,
        workspace: &Workspace,
        tasks: &[Task],
    ) -> Result<Vec<FirstComments>, ReadError> {
        let collections: Vec<CollectionKey> =
            tasks.iter().map(|task| comments_of(workspace, task.id)).collect();
        let first_pages: Vec<_> = collections.iter().map(|collection| collection.page(0)).collect();
        let views = self.pages.read_many(&first_pages).await?;
        // One page holds all comments of nearly every task; the others are counted by their summaries.
        let many: Vec<CollectionKey> = collections
            .iter()
            .zip(&views)
            .filter(|(_, view)| view.is_sealed())
            .map(|(collection, _)| collection.clone())
            .collect();
        let mut summaries = self.pages.summaries(&many).await?.into_iter();
        let mut first = Vec::with_capacity(tasks.len());
        for (task, view) in tasks.iter().zip(views) {
            let comments = read_comments(task.id, &view)?;
            let here = comments.len() as u64;
            let count = if view.is_sealed() {
                summaries.next().map_or(here, |summary| summary.entries.max(here))
            } else {
                here
            };
            first.push(FirstComments { comments, count });
        }
        Ok(first)
    }

    /// What every event of a call says of it.
    pub fn author(&self, call: &Call) -> Result<Author, Refusal> {
        Ok(Author {
            caller: Arc::clone(call.caller()?),
            action_id: Uuid::new_v4(),
            command_id: call.key().and_then(|key| CommandId::parse(key).ok()),
            traceparent: TraceContext::current().map(TraceContext::traceparent),
            events: self.events.clone(),
        })
    }
}

/// The oldest comments of a task.
pub struct FirstComments {
    pub comments: Vec<Comment>,
    pub count: u64,
}

/// No collection ever has a page with a greater number: a cursor that names one is made up.
pub const LARGEST_PAGE: u32 = 1 << 24;

/// Pages of one collection read by one request to the store.
pub const PAGES_AT_A_TIME: u32 = 16;

pub fn groups_of(workspace: &Workspace) -> CollectionKey {
    collection(&format!("groups/{workspace}"))
}

pub fn tasks_of(workspace: &Workspace, group: GroupId) -> CollectionKey {
    collection(&format!("tasks/{workspace}/{group}"))
}

pub fn comments_of(workspace: &Workspace, task: TaskId) -> CollectionKey {
    collection(&format!("comments/{workspace}/{task}"))
}

fn collection(name: &str) -> CollectionKey {
    CollectionKey::parse(name).expect("workspace names and ids hold letters, digits, '-' and '_' only")
}

pub fn read_group(page: u32, entry: &Entry) -> Result<Group, CorruptEntry> {
    stored::read_group(page, &entry.id, entry.version, entry.value.clone())
}

/// When the group of an entry was created, for [`Seen`].
pub fn group_created_at(page: u32) -> impl Fn(&Entry) -> Option<i64> {
    move |entry| read_group(page, entry).ok().map(|group| group.created_at.as_millisecond())
}

/// When the task of an entry was created, for [`Seen`].
pub fn task_created_at(group: GroupId, page: u32) -> impl Fn(&Entry) -> Option<i64> {
    move |entry| read_task(group, page, entry).ok().map(|task| task.created_at.as_millisecond())
}

pub fn read_task(group: GroupId, page: u32, entry: &Entry) -> Result<Task, CorruptEntry> {
    stored::read_task(group, page, &entry.id, entry.version, entry.value.clone())
}

pub fn read_comments(task: TaskId, view: &PageView) -> Result<Vec<Comment>, CorruptEntry> {
    let page = view.key().number();
    view.entries()
        .iter()
        .map(|entry| stored::read_comment(task, page, &entry.id, entry.value.clone()))
        .collect()
}

/// The last entry that a list has shown, and when it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub entry: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl Seen {
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

    /// The end of what a list in the opposite order has yet to show; as [`Seen::next`] if the entry is gone.
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
    /// All events of the request share it, also those that a cascade tells later.
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

    fn seen(entry: &str, created_at: i64) -> Seen {
        Seen { entry: entry.to_owned(), created_at }
    }

    #[test]
    fn a_list_goes_on_after_the_entry_it_showed_last_whatever_was_deleted_before_it() {
        assert_eq!(seen("2a", 2).next(&entries(&["1a", "1b", "2a", "2b"]), time), 3);
        assert_eq!(seen("2a", 2).next(&entries(&["2a", "2b"]), time), 1);
        assert_eq!(seen("2a", 2).rest(&entries(&["1b", "2a", "2b"]), time), 1);
    }

    #[test]
    fn a_list_passes_over_nothing_when_the_entry_it_showed_last_is_gone() {
        assert_eq!(seen("2a", 2).next(&entries(&["1b", "2b", "3a"]), time), 1);
        assert_eq!(seen("2a", 2).next(&entries(&["1a"]), time), 1);
        assert_eq!(seen("2b", 2).rest(&entries(&["1b", "2a", "3a"]), time), 2);
        assert_eq!(seen("2b", 2).rest(&[], time), 0);
    }
}
