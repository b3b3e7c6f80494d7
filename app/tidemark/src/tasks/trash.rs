//! The trash: what is deleted stays where it is, under a label of its own, and can be had back until it is purged.
//!
//! Nothing else moves: the comments of a deleted task, and the tasks of a deleted group, lie where they lay, and
//! whatever reads them looks at the task and the group first.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use tidemark_domain::{Change, Deletion, Group, Task};
use tidemark_pages::{CollectionKey, PageEdit};
use tidemark_protocol::stored;

use super::board::{Author, TRASH};

/// Work that a page's marker leaves to be done after its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfinished {
    /// Something in this page was deleted on that day: the day's list shall name the page.
    List(Date),
    /// Tasks were removed from this page for good. Their comments follow: these are their labels.
    Comments(Vec<String>),
    /// The group with that id was removed from this page for good. Its tasks and their comments follow.
    Tasks(String),
}

impl Unfinished {
    pub fn marker(&self) -> String {
        serde_json::to_string(self).expect("days and strings always make JSON")
    }
}

/// Puts the task into the trash.
///
/// Returns the version that counts the deletion too.
pub fn discard_task(edit: &mut PageEdit<'_>, author: &Author, group_name: &str, task: Task) -> u64 {
    let deletion = begin(edit, author);
    let version = edit.put(&task.id.entry(), TRASH, stored::write_task(&task, Some(&deletion)));
    let (id, group_name) = (task.id, group_name.to_owned());
    author.tell(edit, &id, Change::TaskDeleted { task, version, group_name });
    version
}

/// Puts the group into the trash, and with it all that is in it.
pub fn discard_group(edit: &mut PageEdit<'_>, author: &Author, group: Group) {
    let deletion = begin(edit, author);
    let version = edit.put(&group.id.entry(), TRASH, stored::write_group(&group, Some(&deletion)));
    let id = group.id;
    author.tell(edit, &id, Change::GroupDeleted { group, version });
}

fn begin(edit: &mut PageEdit<'_>, author: &Author) -> Deletion {
    edit.set_pending(&Unfinished::List(day(edit.now())).marker());
    Deletion { at: edit.now(), by: author.caller.actor.clone(), action_id: author.action_id }
}

pub fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// Lists that a day's deletions are spread over, so that they do not all meet in one page.
const LISTS: u8 = 8;

/// One of the lists of the pages in which something was deleted on that day. Lists of days and not one for all: each
/// ends when all that it names is purged.
pub fn list_of(day: Date, share: u8) -> CollectionKey {
    let name = format!("trash/{day}/{}", share % LISTS);
    CollectionKey::parse(&name).expect("a day has digits and '-' only")
}

/// All lists of that day.
pub fn lists_of(day: Date) -> impl Iterator<Item = CollectionKey> {
    (0..LISTS).map(move |share| list_of(day, share))
}

/// Days that the purge looks back beyond the one that is due: it may not have run for so long.
const DAYS_BACK: i32 = 100;

/// Since when something must lie in the trash to be purged now.
pub fn due_before(now: Timestamp, retention: Duration) -> Timestamp {
    now.checked_sub(retention).unwrap_or(Timestamp::MIN)
}

/// The days whose lists may name something that is due, newest first.
pub fn due_days(due_before: Timestamp) -> impl Iterator<Item = Date> {
    let newest = day(due_before);
    (0..=DAYS_BACK).filter_map(move |days| newest.checked_sub(jiff::Span::new().days(days)).ok())
}
