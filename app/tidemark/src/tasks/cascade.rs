//! What remains to be done after a group or a task is deleted: its tasks, their comments.
//!
//! The commit that deletes leaves a marker that says what is unfinished. The work starts at once and, should
//! the process die, is taken up by whoever sweeps. Every step may run twice: a task is removed, and told of,
//! only by the commit that still finds it.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tidemark_domain::{Actor, Change, CommandId, GroupId, TaskId, Workspace, user::Username};
use tidemark_pages::{EditError, Entry, PageEdit, PageKey, PageWork, Pages, StoreError};
use tidemark_protocol::stored::CorruptEntry;
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use super::board::{self, Author, PAGES_AT_A_TIME, comments_of, tasks_of};
use crate::{configuration::EventConfiguration, identity::Caller, telemetry::WithCauses};

/// How long a deletion waits for its cascade before it answers all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finishes deletions.
pub struct Cascades {
    events: EventConfiguration,
    /// Counts the markers cleared, for those who wait for theirs.
    cleared: watch::Sender<u64>,
}

/// What is left to delete, as the marker says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unfinished {
    what: Deleted,
    group_name: String,
    workspace: String,
    actor_id: String,
    actor_name: String,
    traceparent: Option<String>,
    /// What is left to do belongs to the action that began it. Markers of older releases do not say which.
    #[serde(default = "Uuid::new_v4")]
    action_id: Uuid,
    #[serde(default)]
    command_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deleted {
    Group(String),
    Task(String),
}

impl Unfinished {
    pub fn of_group(author: &Author, id: GroupId, group_name: String) -> Self {
        Self::new(author, Deleted::Group(id.to_string()), group_name)
    }

    pub fn of_task(author: &Author, id: TaskId) -> Self {
        Self::new(author, Deleted::Task(id.to_string()), String::new())
    }

    fn new(author: &Author, what: Deleted, group_name: String) -> Self {
        Self {
            what,
            group_name,
            workspace: author.caller.workspace.to_string(),
            actor_id: author.caller.actor.id.to_string(),
            actor_name: author.caller.actor.name.as_str().to_owned(),
            traceparent: author.traceparent.clone(),
            action_id: author.action_id,
            command_id: author.command_id.clone().map(String::from),
        }
    }

    pub fn marker(&self) -> String {
        serde_json::to_string(self).expect("strings always make JSON")
    }

    fn author(&self, events: EventConfiguration) -> Option<Author> {
        let actor =
            Actor { id: self.actor_id.parse().ok()?, name: Username::registered(&self.actor_name).ok()? };
        let workspace = Workspace::parse(&self.workspace).ok()?;
        Some(Author {
            caller: Caller { actor, workspace }.into(),
            traceparent: self.traceparent.clone(),
            action_id: self.action_id,
            command_id: self.command_id.as_deref().map(CommandId::parse).transpose().ok()?,
            events,
        })
    }
}

/// Why a step of a cascade failed. The whole is tried again.
#[derive(Debug, thiserror::Error)]
enum CascadeError {
    #[error("the marker cannot be read")]
    Marker,
    #[error(transparent)]
    Read(#[from] StoreError),
    #[error(transparent)]
    Edit(#[from] EditError<CorruptEntry>),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

impl Cascades {
    pub fn new(events: EventConfiguration) -> Self {
        Self { events, cleared: watch::Sender::new(0) }
    }

    /// Waits until the marker is cleared, for a bounded time.
    pub async fn finished(&self, pages: &Pages, page: &PageKey, marker: &str) {
        let wait = async {
            let mut cleared = self.cleared.subscribe();
            while matches!(pages.read(page).await, Ok(view) if view.pending().iter().any(|set| set == marker))
            {
                // The sender lives as long as `self`.
                let _ = cleared.changed().await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            warn!(%page, "a deletion goes on behind its answer");
        }
    }

    async fn finish(&self, pages: &Pages, page: &PageKey, marker: &str) -> Result<(), CascadeError> {
        let unfinished: Unfinished = serde_json::from_str(marker).map_err(|_| CascadeError::Marker)?;
        let author = unfinished.author(self.events.clone()).ok_or(CascadeError::Marker)?;
        match &unfinished.what {
            Deleted::Group(id) => {
                let id = id.parse().map_err(|_| CascadeError::Marker)?;
                delete_tasks(pages, &author, id, &unfinished.group_name).await?;
            }
            Deleted::Task(id) => {
                let id = id.parse().map_err(|_| CascadeError::Marker)?;
                delete_comments(pages, &author.caller.workspace, id).await?;
            }
        }
        let clear = {
            let marker = marker.to_owned();
            move |edit: &mut PageEdit<'_>| {
                edit.clear_pending(&marker);
                Ok(())
            }
        };
        pages.edit(page, clear).await?;
        self.cleared.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Closes the group's list of tasks, then the comments of each task, then removes the tasks: so that at any
/// moment what is left to do can be seen from what is still there.
async fn delete_tasks(
    pages: &Pages,
    author: &Author,
    group: GroupId,
    group_name: &str,
) -> Result<(), CascadeError> {
    let workspace = &author.caller.workspace;
    let collection = tasks_of(workspace, group);
    pages.close_collection(&collection, |_: &mut PageEdit<'_>| Ok::<_, CorruptEntry>(())).await?;
    let mut from = Some(0);
    while let Some(number) = from {
        let read = pages.read_collection(&collection, number, PAGES_AT_A_TIME).await?;
        for page in &read.pages {
            for entry in page.entries() {
                let task = board::read_task(group, page.key().number(), entry)?;
                delete_comments(pages, workspace, task.id).await?;
            }
        }
        from = read.next;
    }
    let remove = {
        let (author, group_name) = (author.clone(), group_name.to_owned());
        move |edit: &mut PageEdit<'_>| remove_tasks(edit, &author, group, &group_name)
    };
    pages.close_collection(&collection, remove).await?;
    Ok(())
}

fn remove_tasks(
    edit: &mut PageEdit<'_>,
    author: &Author,
    group: GroupId,
    group_name: &str,
) -> Result<(), CorruptEntry> {
    let entries: Vec<Entry> = edit.entries().to_vec();
    for entry in entries {
        let task = board::read_task(group, edit.number(), &entry)?;
        edit.remove(&entry.id);
        let (id, version) = (task.id, task.version + 1);
        let change = Change::TaskDeleted { task, version, group_name: group_name.to_owned() };
        author.tell(edit, &id, change);
    }
    Ok(())
}

async fn delete_comments(pages: &Pages, workspace: &Workspace, task: TaskId) -> Result<(), CascadeError> {
    let remove = |edit: &mut PageEdit<'_>| {
        let ids: Vec<String> = edit.entries().iter().map(|entry| entry.id.clone()).collect();
        for id in ids {
            edit.remove(&id);
        }
        Ok::<_, CorruptEntry>(())
    };
    pages.close_collection(&comments_of(workspace, task), remove).await?;
    Ok(())
}

#[async_trait]
impl PageWork for Cascades {
    async fn resume(&self, pages: &Pages, page: &PageKey, marker: &str) {
        if let Err(fault) = self.finish(pages, page, marker).await {
            warn!(%page, error = %WithCauses(&fault), "a deletion is not finished yet");
        }
    }
}
