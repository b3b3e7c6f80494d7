//! The end of what has lain in the trash for its time: the entry, then what belonged to it.
//!
//! Every step may run twice, in several replicas: an entry goes only by the commit that still finds it in the
//! trash and due, and that commit leaves a marker for the rest.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use metrics::counter;
use sha2::{Digest, Sha256};
use tidemark_domain::{GroupId, Workspace, id::unique_part};
use tidemark_pages::{
    CollectionKey, EditError, Entry, IdempotencyKey, PageEdit, PageKey, PageView, PageWork, Pages, StoreError,
};
use tidemark_protocol::stored;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{
    board::{Author, Place, TRASH, comments_of, tasks_of},
    create_group::put_inbox,
    trash::{self, Unfinished},
};
use crate::{
    configuration::EventConfiguration, damage, foundation::Foundation, identity::Caller,
    telemetry::WithCauses,
};

/// Why a step was not finished. It is tried again.
#[derive(Debug, thiserror::Error)]
enum PurgeError {
    #[error("the marker or the name of the page cannot be read")]
    Unreadable,
    #[error(transparent)]
    Read(#[from] StoreError),
    #[error(transparent)]
    Edit(#[from] EditError<Never>),
}

/// What never happens: these edits reject nothing.
#[derive(Debug, thiserror::Error)]
enum Never {}

/// The longest time between two looks at what is due.
const EVERY: Duration = Duration::from_hours(1);

/// Pages of one collection read by one call.
const PAGES_AT_A_TIME: u32 = 16;

/// Lists that one call looks for.
const LISTS_AT_A_TIME: usize = 64;

/// Starts to look for what is due, now and then.
pub fn start(foundation: &Foundation, pages: Pages) {
    let retention = foundation.configuration.state.trash_retention;
    let purger = Purger { pages, retention, events: foundation.configuration.events.clone() };
    let (clock, stopping) = (Arc::clone(&foundation.clock), foundation.stopping.clone());
    let purging = async move {
        loop {
            // Not at once: a process that has just been started has other things to do. Replicas drift apart.
            let pause = EVERY.min(retention);
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            let removed = purge(&purger, clock.now()).await;
            if removed > 0 {
                info!(removed, "the trash was purged");
            }
        }
    };
    foundation.tasks.spawn(async move {
        stopping.run_until_cancelled(purging).await;
    });
}

/// Removes what is due. Returns how many entries went. What cannot be removed now stays listed, and holds nothing else
/// up.
async fn purge(purger: &Purger, now: Timestamp) -> usize {
    let due_before = trash::due_before(now, purger.retention);
    let lists: Vec<(Date, CollectionKey)> = trash::due_days(due_before)
        .flat_map(|day| trash::lists_of(day).map(move |list| (day, list)))
        .collect();
    let mut removed = 0;
    for lists in lists.chunks(LISTS_AT_A_TIME) {
        let first_pages: Vec<PageKey> = lists.iter().map(|(_, list)| list.page(0)).collect();
        let found = match read_each(&purger.pages, &first_pages).await {
            Ok(found) => found,
            Err(fault) => {
                warn!(error = %WithCauses(&fault), "lists of what was deleted cannot be read now");
                continue;
            }
        };
        for ((day, list), found) in lists.iter().zip(found) {
            // A list that nobody began, or that has been purged.
            let is_open = found.is_none_or(|view| view.first_number() > 0 && !view.is_closed());
            if !is_open {
                continue;
            }
            match purger.purge_list(list, *day, trash::day(now), due_before).await {
                Ok(went) => removed += went,
                Err(fault) => warn!(%list, error = %WithCauses(&fault), "a list was not purged to its end"),
            }
        }
    }
    removed
}

/// The pages in the order asked for; `None` stands for one that cannot be read, which is no reason not to read the
/// others.
async fn read_each(pages: &Pages, keys: &[PageKey]) -> Result<Vec<Option<Arc<PageView>>>, StoreError> {
    match pages.read_many(keys).await {
        Ok(found) => return Ok(found.into_iter().map(Some).collect()),
        Err(fault) if !fault.is_unreadable() => return Err(fault),
        Err(_) => {}
    }
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        match pages.read(key).await {
            Ok(view) => found.push(Some(view)),
            Err(fault) if fault.is_unreadable() => found.push(None),
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// Removes what is due.
struct Purger {
    pages: Pages,
    retention: Duration,
    events: EventConfiguration,
}

impl Purger {
    async fn purge_list(
        &self,
        list: &CollectionKey,
        day: Date,
        today: Date,
        due_before: Timestamp,
    ) -> Result<usize, PurgeError> {
        let (mut removed, mut is_done) = (0, day < today);
        let mut end = 0;
        loop {
            let view = match self.pages.read(&list.page(end)).await {
                Ok(view) => view,
                // The others are still to be purged. Behind the last one there is an empty one, the end.
                Err(fault) if fault.is_unreadable() => {
                    is_done = false;
                    warn!(%list, page = end, error = %WithCauses(&fault), "a page of a list cannot be read");
                    end += 1;
                    continue;
                }
                Err(fault) => return Err(fault.into()),
            };
            for entry in view.entries() {
                match self.purge_page(&entry.id, day, due_before).await {
                    Ok(Purged { went, stays }) => {
                        removed += went;
                        // Today the page may be listed again, and would not be if its key were still known.
                        if stays || day >= today {
                            is_done = false;
                        } else {
                            self.strike(view.key(), entry.id.clone()).await?;
                        }
                    }
                    Err(fault) => {
                        is_done = false;
                        warn!(page = entry.id, error = %WithCauses(&fault), "a page was not purged");
                    }
                }
            }
            if !view.is_sealed() {
                break;
            }
            end += 1;
        }
        if is_done {
            self.close(list, end).await?;
        }
        Ok(removed)
    }

    async fn strike(&self, page: &PageKey, id: String) -> Result<(), PurgeError> {
        let strike = move |edit: &mut PageEdit<'_>| {
            edit.remove(&id);
            Ok::<_, Never>(())
        };
        Ok(self.pages.edit(page, strike).await?)
    }

    /// Closes the list's pages from the last one, to which alone something may still be added, to the first, by which
    /// a list is known to be closed.
    async fn close(&self, list: &CollectionKey, end: u32) -> Result<(), PurgeError> {
        for number in (0..=end).rev() {
            let close = |edit: &mut PageEdit<'_>| {
                let is_empty = edit.entries().is_empty();
                if is_empty {
                    edit.close();
                }
                Ok::<_, Never>(is_empty)
            };
            if !self.pages.edit(&list.page(number), close).await? {
                // Something was listed a moment ago: next time.
                return Ok(());
            }
        }
        Ok(())
    }

    async fn purge_page(&self, page: &str, day: Date, due_before: Timestamp) -> Result<Purged, PurgeError> {
        let page = PageKey::parse(page).ok_or(PurgeError::Unreadable)?;
        let place = Place::of(page.collection()).ok_or(PurgeError::Unreadable)?;
        let entity = match &place {
            Place::Groups(_) => "Group",
            Place::Tasks(..) => "Task",
        };
        let events = self.events.clone();
        let remove = move |edit: &mut PageEdit<'_>| {
            let Due { entries, author, stays } = Due::find(edit, &place, day, due_before, &events);
            if let (Place::Groups(_), Some(author)) = (&place, author) {
                let inbox = GroupId::INBOX;
                let dies = edit.is_sealed() && edit.entries().len() == entries.len();
                // A full page that was emptied takes nothing any more, and the Inbox has no other.
                if edit.number() == inbox.page() && dies {
                    put_inbox(edit, &author);
                }
            }
            for id in &entries {
                edit.remove(id);
            }
            let unfinished = match &place {
                Place::Groups(_) => entries.iter().cloned().map(Unfinished::Tasks).collect(),
                Place::Tasks(..) if entries.is_empty() => Vec::new(),
                Place::Tasks(..) => vec![Unfinished::Comments(entries.clone())],
            };
            for unfinished in unfinished {
                edit.set_pending(&unfinished.marker());
            }
            Ok::<_, Never>(Purged { went: entries.len(), stays })
        };
        let purged = self.pages.edit(&page, remove).await?;
        counter!("trash_purged_total", "entity" => entity).increment(purged.went as u64);
        Ok(purged)
    }
}

struct Purged {
    /// Entries that were removed.
    went: usize,
    /// Something else was deleted on the same day or before, and is not due.
    stays: bool,
}

/// What is due in a page.
struct Due {
    entries: Vec<String>,
    /// Who deleted one of them.
    author: Option<Author>,
    stays: bool,
}

impl Due {
    fn find(
        edit: &PageEdit<'_>,
        place: &Place,
        day: Date,
        due_before: Timestamp,
        events: &EventConfiguration,
    ) -> Self {
        let (Place::Groups(workspace) | Place::Tasks(workspace, _)) = place;
        let mut due = Self { entries: Vec::new(), author: None, stays: false };
        for entry in edit.entries().iter().filter(|entry| entry.label == TRASH) {
            match stored::read_deletion(&entry.id, entry.value.clone()) {
                Ok(Some(deletion)) if deletion.at <= due_before => {
                    due.entries.push(entry.id.clone());
                    due.author = Some(Author {
                        caller: Caller { actor: deletion.by, workspace: workspace.clone() }.into(),
                        traceparent: None,
                        action_id: deletion.action_id,
                        command_id: None,
                        events: events.clone(),
                    });
                }
                Ok(Some(deletion)) => due.stays |= trash::day(deletion.at) <= day,
                Ok(None) => {
                    due.stays = true;
                    error!(entry = entry.id, "an entry lies in the trash and does not say since when");
                }
                Err(fault) => {
                    due.stays = true;
                    damage::report(&fault);
                }
            }
        }
        due
    }
}

/// Finishes what the commits of the tasks role leave to be done.
pub struct Finisher;

impl Finisher {
    async fn finish(pages: &Pages, page: &PageKey, marker: &str) -> Result<(), PurgeError> {
        let unfinished: Unfinished = serde_json::from_str(marker).map_err(|_| PurgeError::Unreadable)?;
        let place = Place::of(page.collection()).ok_or(PurgeError::Unreadable)?;
        match (unfinished, place) {
            (Unfinished::List(day), _) => list(pages, page, day).await?,
            (Unfinished::Comments(labels), Place::Tasks(workspace, group)) => {
                remove_comments(pages, &comments_of(&workspace, group, page.number()), labels).await?;
            }
            (Unfinished::Tasks(entry), Place::Groups(workspace)) => {
                let unique = unique_part(&entry).map_err(|_| PurgeError::Unreadable)?;
                remove_tasks(pages, &workspace, GroupId::new(page.number(), unique)).await?;
            }
            (Unfinished::Comments(_) | Unfinished::Tasks(_), _) => return Err(PurgeError::Unreadable),
        }
        let clear = {
            let marker = marker.to_owned();
            move |edit: &mut PageEdit<'_>| {
                edit.clear_pending(&marker);
                Ok::<_, Never>(())
            }
        };
        pages.edit(page, clear).await?;
        Ok(())
    }
}

/// Puts the page on a list of the day, once a day.
async fn list(pages: &Pages, page: &PageKey, day: Date) -> Result<(), PurgeError> {
    let id = page.to_string();
    let digest = Sha256::digest(format!("{day} {id}"));
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    let share = key[0];
    let key = IdempotencyKey { key, fingerprint: key };
    let add = move |edit: &mut PageEdit<'_>| {
        edit.put(&id, "", Bytes::new());
        Ok::<_, Never>(())
    };
    let mut day = day;
    loop {
        match pages.append(&trash::list_of(day, share), Some(key), add.clone()).await {
            Ok(_) => return Ok(()),
            // This work was late, and the day has been purged meanwhile; or very much was deleted on it.
            Err(EditError::Closed | EditError::LimitExceeded(_)) => {
                day = day.tomorrow().map_err(|_| PurgeError::Unreadable)?;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
}

async fn remove_comments(
    pages: &Pages,
    comments: &CollectionKey,
    labels: Vec<String>,
) -> Result<(), PurgeError> {
    let labels = Arc::new(labels);
    let mut from = Some(0);
    while let Some(number) = from {
        let read = pages.read_collection(comments, number, PAGES_AT_A_TIME).await?;
        for view in &read.pages {
            if view.entries().iter().any(|entry| labels.contains(&entry.label)) {
                let labels = labels.clone();
                let remove = move |edit: &mut PageEdit<'_>| {
                    remove_where(edit, |entry| labels.contains(&entry.label));
                    Ok::<_, Never>(())
                };
                pages.edit(view.key(), remove).await?;
            }
        }
        from = read.next;
    }
    Ok(())
}

/// Nobody adds to the tasks any more; the comments of each page go before the page's tasks, so that what is left
/// to do can be seen from what is still there.
async fn remove_tasks(pages: &Pages, workspace: &Workspace, group: GroupId) -> Result<(), PurgeError> {
    let remove_all = |edit: &mut PageEdit<'_>| {
        remove_where(edit, |_| true);
        Ok::<_, Never>(())
    };
    let tasks = tasks_of(workspace, group);
    pages.close_collection(&tasks, |_: &mut PageEdit<'_>| Ok::<_, Never>(())).await?;
    let mut number = 0;
    loop {
        // Also of pages whose tasks went one by one.
        pages.close_collection(&comments_of(workspace, group, number), remove_all).await?;
        if !pages.read(&tasks.page(number)).await?.is_sealed() {
            break;
        }
        number += 1;
    }
    pages.close_collection(&tasks, remove_all).await?;
    Ok(())
}

fn remove_where(edit: &mut PageEdit<'_>, is_gone: impl Fn(&Entry) -> bool) {
    let gone: Vec<String> =
        edit.entries().iter().filter(|entry| is_gone(entry)).map(|entry| entry.id.clone()).collect();
    for id in gone {
        edit.remove(&id);
    }
}

#[async_trait]
impl PageWork for Finisher {
    async fn resume(&self, pages: &Pages, page: &PageKey, marker: &str) {
        if let Err(fault) = Self::finish(pages, page, marker).await {
            warn!(%page, error = %WithCauses(&fault), "a deletion is not finished yet");
        }
    }
}
