//! Entries as they rest in the state store. Reading checks everything again: a stored entry that breaks a
//! rule of the domain is reported as corrupt, never passed on.

use jiff::Timestamp;
use prost::{Message, bytes::Bytes};
use tidemark_domain::{
    Actor, Comment, CommentId, Group, GroupId, Rank, Task, TaskId, User, UserId,
    comment::CommentText,
    group::{Discussion, GroupName},
    task::{Description, Schedule, TaskName, parse_day},
    user::{DisplayName, EmailAddress, Username},
};

mod wire {
    tonic::include_proto!("tidemark.stored.v1");
}

/// A stored entry that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stored {kind} {id} is corrupt")]
pub struct CorruptEntry {
    kind: &'static str,
    id: String,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

fn corrupt(kind: &'static str, id: &impl ToString) -> impl FnOnce(Cause) -> CorruptEntry {
    let id = id.to_string();
    move |cause| CorruptEntry { kind, id, cause }
}

fn time(milliseconds: i64) -> Result<Timestamp, Cause> {
    Ok(Timestamp::from_millisecond(milliseconds)?)
}

pub fn write_group(group: &Group) -> Bytes {
    wire::Group {
        name: group.name.as_str().to_owned(),
        discussion: group.discussion.as_str().to_owned(),
        created_by: group.created_by.to_string(),
        created_at: group.created_at.as_millisecond(),
        updated_at: group.updated_at.as_millisecond(),
    }
    .encode_to_vec()
    .into()
}

pub fn read_group(id: GroupId, version: u64, bytes: Bytes) -> Result<Group, CorruptEntry> {
    let read = || -> Result<Group, Cause> {
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
    read().map_err(corrupt("group", &id))
}

pub fn write_task(task: &Task) -> Bytes {
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
    }
    .encode_to_vec()
    .into()
}

pub fn read_task(id: TaskId, version: u64, bytes: Bytes) -> Result<Task, CorruptEntry> {
    let read = || -> Result<Task, Cause> {
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
    read().map_err(corrupt("task", &id))
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

pub fn read_comment(id: CommentId, bytes: Bytes) -> Result<Comment, CorruptEntry> {
    let read = || -> Result<Comment, Cause> {
        let stored = wire::Comment::decode(bytes)?;
        Ok(Comment {
            id,
            text: CommentText::parse(&stored.text)?,
            author: Actor { id: stored.author_id.parse()?, name: Username::parse(&stored.author_name)? },
            created_at: time(stored.created_at)?,
        })
    };
    read().map_err(corrupt("comment", &id))
}

pub fn write_user(user: &User, password_hash: &str) -> Bytes {
    wire::User {
        username: user.username.as_str().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        email: user.email.as_ref().map(|email| email.as_str().to_owned()).unwrap_or_default(),
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

pub fn read_user(id: UserId, version: u64, bytes: Bytes) -> Result<UserRecord, CorruptEntry> {
    let read = || -> Result<UserRecord, Cause> {
        let stored = wire::User::decode(bytes)?;
        let email = match stored.email.as_str() {
            "" => None,
            email => Some(EmailAddress::parse(email)?),
        };
        let user = User {
            id,
            username: Username::parse(&stored.username)?,
            display_name: DisplayName::parse(&stored.display_name)?,
            email,
            created_at: time(stored.created_at)?,
            updated_at: time(stored.updated_at)?,
            version,
        };
        Ok(UserRecord { user, password_hash: stored.password_hash })
    };
    read().map_err(corrupt("user", &id))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_task_reads_back_as_it_was_written() {
        let task = task();
        assert_eq!(read_task(task.id, task.version, write_task(&task)).unwrap(), task);
    }

    #[test]
    fn a_stored_task_that_breaks_a_rule_is_corrupt_and_says_which_one() {
        let task = task();
        let mut stored = wire::Task::decode(write_task(&task)).unwrap();
        stored.status = "Done".to_owned();
        let error = read_task(task.id, 1, stored.encode_to_vec().into()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            error.to_string().contains(&task.id.to_string()) && cause.contains("status"),
            "{error}: {cause}"
        );
    }
}
