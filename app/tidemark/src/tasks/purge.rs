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
    CollectionKey, EditError, Entry, Found, IdempotencyKey, Item, PageEdit, PageKey, PageWork, Pages,
    StoreError,
};
use tidemark_protocol::stored;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{
    board::{Place, TRASH, comments_of, tasks_of},
    trash::{self, Unfinished},
};
use crate::{clock::Clock, foundation::Foundation, telemetry::WithCauses};

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

/// Lists of days that one call looks for.
const DAYS_AT_A_TIME: usize = 64;

/// Starts to look for what is due, now and then.
pub fn start(foundation: &Foundation, pages: Pages) {
    let retention = foundation.configuration.state.trash_retention;
    let (clock, stopping) = (Arc::clone(&foundation.clock), foundation.stopping.clone());
    let purging = async move {
        loop {
            // Not at once: a process that has just been started has other things to do. Replicas drift apart.
            let pause = EVERY.min(retention);
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            match purge(&pages, &*clock, retention).await {
                Ok(0) => {}
                Ok(removed) => info!(removed, "the trash was purged"),
                Err(fault) => warn!(error = %WithCauses(&fault), "the trash was not purged to its end"),
            }
        }
    };
    foundation.tasks.spawn(async move {
        stopping.run_until_cancelled(purging).await;
    });
}

/// Removes what is due. Returns how many entries went.
async fn purge(pages: &Pages, clock: &dyn Clock, retention: Duration) -> Result<usize, PurgeError> {
    let now = clock.now();
    let due_before = trash::due_before(now, retention);
    let days: Vec<Date> = trash::due_days(due_before).collect();
    let mut removed = 0;
    for days in days.chunks(DAYS_AT_A_TIME) {
        let first_pages: Vec<Item> =
            days.iter().map(|day| Item::Page(trash::list_of(*day).page(0))).collect();
        for (day, found) in days.iter().zip(pages.read_items(&first_pages).await?) {
            // A list that nobody began, or that has been purged.
            let is_open = matches!(&found, Found::Page(view) if view.first_number() > 0 && !view.is_closed());
            if is_open {
                removed += purge_day(pages, *day, trash::day(now), due_before).await?;
            }
        }
    }
    Ok(removed)
}

async fn purge_day(
    pages: &Pages,
    day: Date,
    today: Date,
    due_before: Timestamp,
) -> Result<usize, PurgeError> {
    let list = trash::list_of(day);
    let (mut removed, mut is_done) = (0, day < today);
    let mut from = Some(0);
    while let Some(number) = from {
        let read = pages.read_collection(&list, number, 1).await?;
        for view in &read.pages {
            for entry in view.entries() {
                let page = PageKey::parse(&entry.id).ok_or(PurgeError::Unreadable)?;
                let Purged { went, stays } = purge_page(pages, &page, day, due_before).await?;
                removed += went;
                // Today the page may be listed again, and would not be if its key were still known.
                if stays || day >= today {
                    is_done = false;
                } else {
                    let id = entry.id.clone();
                    let strike = move |edit: &mut PageEdit<'_>| {
                        edit.remove(&id);
                        Ok::<_, Never>(())
                    };
                    pages.edit(view.key(), strike).await?;
                }
            }
        }
        from = read.next;
    }
    if is_done {
        pages.close_collection(&list, |_: &mut PageEdit<'_>| Ok::<_, Never>(())).await?;
    }
    Ok(removed)
}

struct Purged {
    /// Entries that were removed.
    went: usize,
    /// Something else was deleted on the same day or before, and is not due.
    stays: bool,
}

async fn purge_page(
    pages: &Pages,
    page: &PageKey,
    day: Date,
    due_before: Timestamp,
) -> Result<Purged, PurgeError> {
    let place = Place::of(page.collection()).ok_or(PurgeError::Unreadable)?;
    let entity = match &place {
        Place::Groups(_) => "Group",
        Place::Tasks(..) => "Task",
    };
    let remove = move |edit: &mut PageEdit<'_>| {
        let (mut due, mut stays) = (Vec::new(), false);
        for entry in edit.entries().iter().filter(|entry| entry.label == TRASH) {
            match stored::read_deletion(&entry.id, entry.value.clone()) {
                Ok(Some(deletion)) if deletion.at <= due_before => due.push(entry.id.clone()),
                Ok(Some(deletion)) => stays |= trash::day(deletion.at) <= day,
                Ok(None) => {
                    error!(entry = entry.id, "an entry lies in the trash and does not say since when");
                }
                Err(fault) => error!(error = %WithCauses(&fault), "an entry of the trash cannot be read"),
            }
        }
        for id in &due {
            edit.remove(id);
        }
        let unfinished = match &place {
            Place::Groups(_) => due.iter().cloned().map(Unfinished::Tasks).collect(),
            Place::Tasks(..) if due.is_empty() => Vec::new(),
            Place::Tasks(..) => vec![Unfinished::Comments(due.clone())],
        };
        for unfinished in unfinished {
            edit.set_pending(&unfinished.marker());
        }
        Ok::<_, Never>(Purged { went: due.len(), stays })
    };
    let purged = pages.edit(page, remove).await?;
    counter!("trash_purged_total", "entity" => entity).increment(purged.went as u64);
    Ok(purged)
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

/// Puts the page on the day's list, once a day.
async fn list(pages: &Pages, page: &PageKey, day: Date) -> Result<(), PurgeError> {
    let id = page.to_string();
    let digest = Sha256::digest(format!("{day} {id}"));
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    let key = IdempotencyKey { key, fingerprint: key };
    let add = move |edit: &mut PageEdit<'_>| {
        edit.put(&id, "", Bytes::new());
        Ok::<_, Never>(())
    };
    let mut day = day;
    loop {
        match pages.append(&trash::list_of(day), Some(key), add.clone()).await {
            Ok(_) => return Ok(()),
            // This work was late, and the day has been purged meanwhile.
            Err(EditError::Closed) => day = day.tomorrow().map_err(|_| PurgeError::Unreadable)?,
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
    let mut from = Some(0);
    while let Some(number) = from {
        let read = pages.read_collection(&tasks, number, PAGES_AT_A_TIME).await?;
        for view in &read.pages {
            pages.close_collection(&comments_of(workspace, group, view.key().number()), remove_all).await?;
        }
        from = read.next;
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
