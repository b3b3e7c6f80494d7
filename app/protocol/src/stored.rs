//! Entries as they rest in the state store. Reading checks everything again: a stored entry that breaks a
//! rule of the domain is reported as corrupt, never passed on.

use jiff::Timestamp;
use prost::{Message, bytes::Bytes};
use tidemark_domain::{
    Actor, Comment, CommentId, Deletion, Group, GroupId, Rank, Task, TaskId, User, UserId,
    comment::CommentText,
    group::{Discussion, GroupName},
    id::unique_part,
    task::{Description, Schedule, TaskName, parse_day},
    user::{DisplayName, Username},
};

mod salvage;

pub use salvage::{Salvage, salvage_comment, salvage_group, salvage_task, salvage_user};

mod wire {
    tonic::include_proto!("tidemark.stored.v1");
}

/// A stored entry that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stored {kind} {entry} is corrupt")]
pub struct CorruptEntry {
    kind: &'static str,
    entry: String,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl CorruptEntry {
    /// What it would have been.
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

fn corrupt(kind: &'static str, entry: &str) -> impl FnOnce(Cause) -> CorruptEntry {
    let entry = entry.to_owned();
    move |cause| CorruptEntry { kind, entry, cause }
}

fn time(milliseconds: i64) -> Result<Timestamp, Cause> {
    Ok(Timestamp::from_millisecond(milliseconds)?)
}

fn deletion(deletion: &Deletion) -> wire::Deletion {
    wire::Deletion {
        at: deletion.at.as_millisecond(),
        by_id: deletion.by.id.to_string(),
        by_name: deletion.by.name.as_str().to_owned(),
        action_id: deletion.action_id.to_string(),
    }
}

/// Reads who put what was written with a [`Deletion`] into the trash; `None` if nobody did.
pub fn read_deletion(entry: &str, bytes: Bytes) -> Result<Option<Deletion>, CorruptEntry> {
    let read = || -> Result<Option<Deletion>, Cause> {
        let Some(deleted) = wire::Deletable::decode(bytes)?.deleted else { return Ok(None) };
        Ok(Some(Deletion {
            at: time(deleted.at)?,
            by: Actor { id: deleted.by_id.parse()?, name: Username::registered(&deleted.by_name)? },
            action_id: deleted.action_id.parse()?,
        }))
    };
    read().map_err(corrupt("deletion", entry))
}

/// `deleted` is for what lies in the trash.
pub fn write_group(group: &Group, deleted: Option<&Deletion>) -> Bytes {
    wire::Group {
        name: group.name.as_str().to_owned(),
        discussion: group.discussion.as_str().to_owned(),
        created_by: group.created_by.to_string(),
        created_at: group.created_at.as_millisecond(),
        updated_at: group.updated_at.as_millisecond(),
        deleted: deleted.map(deletion),
    }
    .encode_to_vec()
    .into()
}

/// Reads the group that lies under the name `entry` in the page with that number.
pub fn read_group(page: u32, entry: &str, version: u64, bytes: Bytes) -> Result<Group, CorruptEntry> {
    let read = || -> Result<Group, Cause> {
        let id = GroupId::new(page, unique_part(entry)?);
        let stored = wire::Group::decode(bytes)?;
        Ok(Group {
            id,
            name: GroupName::parse(&stored.name)?,
            discussion: Discussion::parse(&stored.discussion)?,
            created_by: stored.created_by.parse()?,
            created_at: time(stored.created_at)?,
            updated_at: time(stored.updated_at)?,
            version,
        })
    };
    read().map_err(corrupt("group", entry))
}

/// `deleted` is for what lies in the trash.
pub fn write_task(task: &Task, deleted: Option<&Deletion>) -> Bytes {
    let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string()).unwrap_or_default();
    wire::Task {
        name: task.name.as_str().to_owned(),
        description: task.description.as_str().to_owned(),
        status: task.status.to_string(),
        start_date: day(task.schedule.start()),
        end_date: day(task.schedule.end()),
        rank: task.rank.to_string(),
        created_by: task.created_by.to_string(),
        created_at: task.created_at.as_millisecond(),
        updated_at: task.updated_at.as_millisecond(),
        deleted: deleted.map(deletion),
    }
    .encode_to_vec()
    .into()
}

/// Reads the task of `group` that lies under the name `entry` in the page with that number.
pub fn read_task(
    group: GroupId,
    page: u32,
    entry: &str,
    version: u64,
    bytes: Bytes,
) -> Result<Task, CorruptEntry> {
    let read = || -> Result<Task, Cause> {
        let id = TaskId::new(group, page, unique_part(entry)?);
        let stored = wire::Task::decode(bytes)?;
        Ok(Task {
            id,
            name: TaskName::parse(&stored.name)?,
            description: Description::parse(&stored.description)?,
            status: stored.status.parse()?,
            schedule: Schedule::new(
                parse_day("startDate", &stored.start_date)?,
                parse_day("endDate", &stored.end_date)?,
            )?,
            rank: stored.rank.parse::<Rank>()?,
            created_by: stored.created_by.parse()?,
            created_at: time(stored.created_at)?,
            updated_at: time(stored.updated_at)?,
            version,
        })
    };
    read().map_err(corrupt("task", entry))
}

pub fn write_comment(comment: &Comment) -> Bytes {
    wire::Comment {
        text: comment.text.as_str().to_owned(),
        author_id: comment.author.id.to_string(),
        author_name: comment.author.name.as_str().to_owned(),
        created_at: comment.created_at.as_millisecond(),
    }
    .encode_to_vec()
    .into()
}

/// Reads the comment on `task` that lies under the name `entry` in the page with that number.
pub fn read_comment(task: TaskId, page: u32, entry: &str, bytes: Bytes) -> Result<Comment, CorruptEntry> {
    let read = || -> Result<Comment, Cause> {
        let id = CommentId::new(task, page, unique_part(entry)?);
        let stored = wire::Comment::decode(bytes)?;
        Ok(Comment {
            id,
            text: CommentText::parse(&stored.text)?,
            author: Actor { id: stored.author_id.parse()?, name: Username::registered(&stored.author_name)? },
            created_at: time(stored.created_at)?,
        })
    };
    read().map_err(corrupt("comment", entry))
}

pub fn write_user(user: &User, password_hash: &str) -> Bytes {
    wire::User {
        username: user.username.as_str().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        password_hash: password_hash.to_owned(),
        created_at: user.created_at.as_millisecond(),
        updated_at: user.updated_at.as_millisecond(),
    }
    .encode_to_vec()
    .into()
}

/// A user and the hash of the password, which never leaves the accounts role.
pub struct UserRecord {
    pub user: User,
    pub password_hash: String,
}

/// Reads the user that lies under the name `entry` in the page with that number.
pub fn read_user(page: u32, entry: &str, version: u64, bytes: Bytes) -> Result<UserRecord, CorruptEntry> {
    let read = || -> Result<UserRecord, Cause> {
        let id = UserId::new(page, unique_part(entry)?);
        let stored = wire::User::decode(bytes)?;
        let user = User {
            id,
            username: Username::registered(&stored.username)?,
            display_name: DisplayName::parse(&stored.display_name)?,
            created_at: time(stored.created_at)?,
            updated_at: time(stored.updated_at)?,
            version,
        };
        Ok(UserRecord { user, password_hash: stored.password_hash })
    };
    read().map_err(corrupt("user", entry))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{damage::any_or_damaged, strange};

    fn task() -> Task {
        Task {
            id: TaskId::new(GroupId::INBOX, 3, [7; 8]),
            name: TaskName::parse("Paint the fence").unwrap(),
            description: Description::parse("Both sides.\nTwice.").unwrap(),
            status: tidemark_domain::TaskStatus::InProgress,
            schedule: Schedule::new(parse_day("startDate", "2026-05-01").unwrap(), None).unwrap(),
            rank: Rank::of_creation(Timestamp::UNIX_EPOCH, 1),
            created_by: UserId::new(1, [1; 8]),
            created_at: Timestamp::from_millisecond(1_800_000_000_123).unwrap(),
            updated_at: Timestamp::from_millisecond(1_800_000_000_456).unwrap(),
            version: 4,
        }
    }

    fn read(task: &Task, bytes: Bytes) -> Result<Task, CorruptEntry> {
        read_task(task.id.group(), task.id.page(), &task.id.entry(), task.version, bytes)
    }

    #[test]
    fn a_task_reads_back_as_it_was_written() {
        let task = task();
        assert_eq!(read(&task, write_task(&task, None)).unwrap(), task);
    }

    #[test]
    fn what_lies_in_the_trash_reads_back_with_who_put_it_there_and_when() {
        let (task, user) = (task(), user());
        let deleted = Deletion {
            at: task.updated_at,
            by: Actor { id: user.id, name: user.username },
            action_id: Uuid::from_u128(7),
        };
        let bytes = write_task(&task, Some(&deleted));
        assert_eq!(read(&task, bytes.clone()).unwrap(), task);
        assert_eq!(read_deletion("x", bytes).unwrap(), Some(deleted));
        assert_eq!(read_deletion("x", write_task(&task, None)).unwrap(), None);
    }

    #[test]
    fn a_stored_task_that_breaks_a_rule_is_corrupt_and_says_which_one() {
        let task = task();
        let mut stored = wire::Task::decode(write_task(&task, None)).unwrap();
        stored.status = "Done".to_owned();
        let error = read(&task, stored.encode_to_vec().into()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.to_string().contains(&task.id.entry()) && cause.contains("status"), "{error}: {cause}");
    }

    fn user() -> User {
        User {
            id: UserId::new(1, [1; 8]),
            username: Username::parse("Ada").unwrap(),
            display_name: DisplayName::parse("Ada L.").unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 2,
        }
    }

    /// What an entry is after it was mended.
    fn saved(bytes: &Bytes, salvage: Salvage) -> Option<Bytes> {
        match salvage {
            Salvage::Sound => Some(bytes.clone()),
            Salvage::Mended(_, bytes) => Some(bytes),
            Salvage::Lost(_) => None,
        }
    }

    #[test]
    fn a_member_that_breaks_a_rule_does_not_take_the_others_along() {
        let task = task();
        let (group, page, entry) = (task.id.group(), task.id.page(), task.id.entry());
        let mut stored = wire::Task::decode(write_task(&task, None)).unwrap();
        stored.rank = "0".repeat(1_001);
        stored.name = "\u{1}".to_owned();
        let bytes = Bytes::from(stored.encode_to_vec());
        let Salvage::Mended(fault, bytes) = salvage_task(group, page, &entry, &bytes, None) else {
            panic!("it was not mended")
        };
        assert_eq!(fault.kind(), "task");
        let mended = read(&task, bytes).unwrap();
        let rank = Rank::last(None, task.created_at, task.id).unwrap();
        assert_eq!(mended, Task { name: TaskName::parse("Damaged task").unwrap(), rank, ..task });
    }

    fn good() -> Vec<Vec<u8>> {
        let (task, user) = (task(), user());
        let group = Group {
            id: GroupId::new(2, [9; 8]),
            name: GroupName::parse("Garden").unwrap(),
            discussion: Discussion::parse("When?").unwrap(),
            created_by: user.id,
            created_at: task.created_at,
            updated_at: task.updated_at,
            version: 1,
        };
        let comment = Comment {
            id: CommentId::new(task.id, 0, [4; 8]),
            text: CommentText::parse("Which colour?").unwrap(),
            author: Actor { id: user.id, name: user.username.clone() },
            created_at: task.created_at,
        };
        [
            write_group(&group, None),
            write_task(&task, None),
            write_comment(&comment),
            write_user(&user, "$argon2id$"),
        ]
        .map(Vec::from)
        .into()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_may_be_written_can_be_read(
            group in strange::group(),
            task in strange::task(),
            comment in strange::comment(),
            user in strange::user(),
            deleted in strange::deletion(),
        ) {
            for deleted in [None, Some(&deleted)] {
                let bytes = write_group(&group, deleted);
                let lies_there = read_deletion("x", bytes.clone()).unwrap();
                prop_assert_eq!(lies_there.as_ref(), deleted);
                let (page, entry, version) = (group.id.page(), group.id.entry(), group.version);
                prop_assert_eq!(&read_group(page, &entry, version, bytes).unwrap(), &group);
                let bytes = write_task(&task, deleted);
                let lies_there = read_deletion("x", bytes.clone()).unwrap();
                prop_assert_eq!(lies_there.as_ref(), deleted);
                prop_assert_eq!(&read(&task, bytes).unwrap(), &task);
            }
            let (page, entry) = (comment.id.page(), comment.id.entry());
            let read = read_comment(comment.id.task(), page, &entry, write_comment(&comment));
            prop_assert_eq!(read.unwrap(), comment);
            let read = read_user(user.id.page(), &user.id.entry(), user.version, write_user(&user, "$"));
            prop_assert_eq!(read.unwrap().user, user);
        }

    }

    proptest! {
        #[test]
        fn what_is_salvaged_of_any_bytes_is_read_or_refused(
            bytes in any_or_damaged(good()),
            entry in prop_oneof![3 => Just(task().id.entry()), 1 => any::<String>()],
            in_trash: bool,
        ) {
            let bytes = Bytes::from(bytes);
            let task = task();
            let (group, page) = (task.id.group(), task.id.page());
            let trashed_at = in_trash.then_some(task.updated_at);
            let is_there = |bytes: &Bytes| !in_trash || read_deletion(&entry, bytes.clone()).unwrap().is_some();
            if let Some(bytes) = saved(&bytes, salvage_group(page, &entry, &bytes, trashed_at)) {
                prop_assert!(read_group(page, &entry, 1, bytes.clone()).is_ok() && is_there(&bytes));
            }
            if let Some(bytes) = saved(&bytes, salvage_task(group, page, &entry, &bytes, trashed_at)) {
                prop_assert!(read_task(group, page, &entry, 1, bytes.clone()).is_ok() && is_there(&bytes));
            } else {
                // Whatever lies under the name of a task, the task is kept.
                prop_assert!(unique_part(&entry).is_err());
            }
            if let Some(bytes) = saved(&bytes, salvage_comment(task.id, page, &entry, &bytes)) {
                prop_assert!(read_comment(task.id, page, &entry, bytes).is_ok());
            }
            if let Some(bytes) = saved(&bytes, salvage_user(page, &entry, &bytes)) {
                prop_assert!(read_user(page, &entry, 1, bytes).is_ok());
            }
        }

        #[test]
        fn any_stored_bytes_are_read_or_refused(
            bytes in any_or_damaged(good()),
            entry in prop_oneof![3 => Just(task().id.entry()), 1 => any::<String>()],
            page: u32,
            version: u64,
        ) {
            let bytes = Bytes::from(bytes);
            drop(read_deletion(&entry, bytes.clone()));
            if let Ok(group) = read_group(page, &entry, version, bytes.clone()) {
                prop_assert_eq!(read_group(page, &entry, version, write_group(&group, None)).unwrap(), group);
            }
            let group = task().id.group();
            if let Ok(task) = read_task(group, page, &entry, version, bytes.clone()) {
                prop_assert_eq!(read_task(group, page, &entry, version, write_task(&task, None)).unwrap(), task);
            }
            if let Ok(comment) = read_comment(task().id, page, &entry, bytes.clone()) {
                let again = read_comment(task().id, page, &entry, write_comment(&comment));
                prop_assert_eq!(again.unwrap(), comment);
            }
            if let Ok(UserRecord { user, password_hash }) = read_user(page, &entry, version, bytes) {
                let again = read_user(page, &entry, version, write_user(&user, &password_hash)).unwrap();
                prop_assert_eq!((again.user, again.password_hash), (user, password_hash));
            }
        }
    }
}
