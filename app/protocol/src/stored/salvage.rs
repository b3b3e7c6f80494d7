//! What can be saved of a stored entry that breaks a rule: all of it that keeps the rules.

use jiff::Timestamp;
use prost::{Message, bytes::Bytes};
use tidemark_domain::{
    GroupId, Rank, TaskId, TaskStatus, UserId,
    group::{Discussion, GroupName},
    id::unique_part,
    task::{Description, Schedule, TaskName, parse_day},
    user::{DisplayName, Username},
};
use uuid::Uuid;

use super::{
    CorruptEntry, corrupt, read_comment, read_deletion, read_group, read_task, read_user, time, wire,
};

/// What was found of an entry, and what can be done about it.
#[derive(Debug)]
pub enum Salvage {
    /// It can be read.
    Sound,
    /// With this value it can be read.
    Mended(CorruptEntry, Bytes),
    /// Nothing of it can be saved.
    Lost(CorruptEntry),
}

/// The name of whoever cannot be read.
const UNKNOWN: &str = "unknown";

/// `trashed_at` is for what lies in the trash: since when, if it does not say so itself.
pub fn salvage_group(page: u32, entry: &str, bytes: &Bytes, trashed_at: Option<Timestamp>) -> Salvage {
    let read = |bytes: Bytes| {
        read_group(page, entry, 1, bytes.clone())?;
        read_trash(entry, bytes, trashed_at)
    };
    salvage(bytes, read, |stored: &mut wire::Group| {
        keep(&mut stored.name, GroupName::parse, "Damaged group");
        keep(&mut stored.discussion, Discussion::parse, "");
        keep(&mut stored.created_by, str::parse::<UserId>, &nobody());
        keep_time(&mut stored.created_at);
        keep_time(&mut stored.updated_at);
        keep_deletion(&mut stored.deleted, trashed_at);
    })
}

/// As [`salvage_group`].
pub fn salvage_task(
    group: GroupId,
    page: u32,
    entry: &str,
    bytes: &Bytes,
    trashed_at: Option<Timestamp>,
) -> Salvage {
    let read = |bytes: Bytes| {
        read_task(group, page, entry, 1, bytes.clone())?;
        read_trash(entry, bytes, trashed_at)
    };
    salvage(bytes, read, |stored: &mut wire::Task| {
        keep(&mut stored.name, TaskName::parse, "Damaged task");
        keep(&mut stored.description, Description::parse, "");
        keep(&mut stored.status, str::parse::<TaskStatus>, TaskStatus::default().as_str());
        keep(&mut stored.start_date, |day| parse_day("startDate", day), "");
        keep(&mut stored.end_date, |day| parse_day("endDate", day), "");
        let day = |day: &str| parse_day("", day).ok().flatten();
        if Schedule::new(day(&stored.start_date), day(&stored.end_date)).is_err() {
            stored.end_date.clear();
        }
        keep(&mut stored.created_by, str::parse::<UserId>, &nobody());
        keep_time(&mut stored.created_at);
        keep_time(&mut stored.updated_at);
        if stored.rank.parse::<Rank>().is_err() {
            let created_at = time(stored.created_at).unwrap_or_default();
            let unique = unique_part(entry).unwrap_or_default();
            let rank = Rank::last(None, created_at, TaskId::new(group, page, unique));
            stored.rank = rank.map(|rank| rank.to_string()).unwrap_or_default();
        }
        keep_deletion(&mut stored.deleted, trashed_at);
    })
}

/// A comment is its text: without, nothing is left of it.
pub fn salvage_comment(task: TaskId, page: u32, entry: &str, bytes: &Bytes) -> Salvage {
    let read = |bytes: Bytes| read_comment(task, page, entry, bytes).map(drop);
    salvage(bytes, read, |stored: &mut wire::Comment| {
        keep(&mut stored.author_id, str::parse::<UserId>, &nobody());
        keep(&mut stored.author_name, Username::registered, UNKNOWN);
        keep_time(&mut stored.created_at);
    })
}

/// A user is its name. If the password is lost, nobody can log in as it, and nobody else takes the name.
pub fn salvage_user(page: u32, entry: &str, bytes: &Bytes) -> Salvage {
    let read = |bytes: Bytes| read_user(page, entry, 1, bytes).map(drop);
    salvage(bytes, read, |stored: &mut wire::User| {
        keep(&mut stored.display_name, DisplayName::parse, "");
        keep_time(&mut stored.created_at);
        keep_time(&mut stored.updated_at);
    })
}

/// `mend` replaces what breaks a rule, or is missing because nothing can be decoded from some place on. What cannot be
/// read even then is lost.
fn salvage<W: Message + Default>(
    bytes: &Bytes,
    read: impl Fn(Bytes) -> Result<(), CorruptEntry>,
    mend: impl FnOnce(&mut W),
) -> Salvage {
    let Err(fault) = read(bytes.clone()) else { return Salvage::Sound };
    let mut stored = W::default();
    // Members are read one after the other: those before the fault are there.
    drop(stored.merge(bytes.clone()));
    mend(&mut stored);
    let mended = Bytes::from(stored.encode_to_vec());
    if read(mended.clone()).is_ok() { Salvage::Mended(fault, mended) } else { Salvage::Lost(fault) }
}

fn read_trash(entry: &str, bytes: Bytes, trashed_at: Option<Timestamp>) -> Result<(), CorruptEntry> {
    if trashed_at.is_some() && read_deletion(entry, bytes)?.is_none() {
        return Err(corrupt("deletion", entry)("it does not say since when it lies in the trash".into()));
    }
    Ok(())
}

fn nobody() -> String {
    UserId::new(0, [0; 8]).to_string()
}

fn keep<T, E>(member: &mut String, parse: impl Fn(&str) -> Result<T, E>, instead: &str) {
    if parse(member).is_err() {
        instead.clone_into(member);
    }
}

fn keep_time(milliseconds: &mut i64) {
    if time(*milliseconds).is_err() {
        *milliseconds = 0;
    }
}

fn keep_deletion(deleted: &mut Option<wire::Deletion>, trashed_at: Option<Timestamp>) {
    let Some(at) = trashed_at else { return };
    let at = at.as_millisecond();
    let deleted = deleted.get_or_insert_with(|| wire::Deletion { at, ..wire::Deletion::default() });
    if time(deleted.at).is_err() {
        deleted.at = at;
    }
    keep(&mut deleted.by_id, str::parse::<UserId>, &nobody());
    keep(&mut deleted.by_name, Username::registered, UNKNOWN);
    keep(&mut deleted.action_id, str::parse::<Uuid>, &Uuid::nil().to_string());
}
