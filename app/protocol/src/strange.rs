//! The largest and strangest values that are accepted: whatever may be written can be read.

use jiff::Timestamp;
use proptest::prelude::*;
use tidemark_domain::{
    Actor, Comment, CommentId, Deletion, Group, GroupId, Rank, Task, TaskId, TaskStatus, User, UserId,
    comment::CommentText,
    group::{Discussion, GroupName},
    task::{Description, Schedule, TaskName, parse_day},
    user::{DisplayName, Username},
};
use uuid::Uuid;

/// Texts as strangers send them, up to the length that a member may have; those that are no value of it are left
/// out.
fn text<T: std::fmt::Debug + 'static, E>(
    longest: usize,
    parse: fn(&str) -> Result<T, E>,
) -> impl Strategy<Value = T> {
    const STRANGE: [&str; 10] =
        ["\u{1f986}", "e\u{301}", "\u{feff}a", "\u{202e}b", "\u{10ffff}", "\u{fb03}", "\\", "\"", "ß", "İ"];
    let letter = prop_oneof![prop::sample::select(&STRANGE[..]).prop_map(str::to_owned), "\\PC"];
    let long = (letter, Just(longest)).prop_map(|(letter, times)| letter.repeat(times));
    let short = prop::collection::vec(prop_oneof![any::<char>(), Just('\n'), Just(' ')], 0..20);
    let texts = prop_oneof![1 => long, 3 => short.prop_map(String::from_iter), 1 => ".{1,100}"];
    texts.prop_filter_map("no value", move |text| parse(&text).ok())
}

fn time() -> impl Strategy<Value = Timestamp> {
    let (least, most) = (Timestamp::MIN.as_second() * 1_000, Timestamp::MAX.as_second() * 1_000);
    prop_oneof![least..=most, Just(least), Just(most), Just(1_800_000_000_000)]
        .prop_map(|time| Timestamp::from_millisecond(time).unwrap())
}

fn group_id() -> impl Strategy<Value = GroupId> {
    any::<(u32, [u8; 8])>().prop_map(|(page, unique)| GroupId::new(page, unique))
}

pub fn task_id() -> impl Strategy<Value = TaskId> {
    (group_id(), any::<u32>(), any::<[u8; 8]>())
        .prop_map(|(group, page, unique)| TaskId::new(group, page, unique))
}

fn user_id() -> impl Strategy<Value = UserId> {
    any::<(u32, [u8; 8])>().prop_map(|(page, unique)| UserId::new(page, unique))
}

pub fn actor() -> impl Strategy<Value = Actor> {
    (user_id(), text(100, Username::parse)).prop_map(|(id, name)| Actor { id, name })
}

/// What many moves into one place lead to, as far as ranks are made.
fn rank() -> impl Strategy<Value = Rank> {
    (time(), any::<u16>(), prop::collection::vec(any::<bool>(), 0..400), any::<u64>()).prop_map(
        |(time, sequence, moves, unique)| {
            let mut task = TaskId::new(GroupId::INBOX, 0, unique.to_be_bytes());
            let (mut low, mut high) = (Rank::of_creation(time, sequence), None);
            for (number, is_up) in (0u64..).zip(moves) {
                let made = match &high {
                    Some(high) => Rank::between(Some(&low), high, task),
                    None => Rank::last(Some(&low), time, task),
                };
                let Ok(made) = made else { break };
                if is_up && high.is_some() {
                    low = made;
                } else {
                    high = Some(made);
                }
                task = TaskId::new(GroupId::INBOX, 0, unique.wrapping_add(number).to_be_bytes());
            }
            high.unwrap_or(low)
        },
    )
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let day = || {
        prop_oneof![
            Just(String::new()),
            "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
            Just("0000-01-01".to_owned()),
            Just("9999-12-31".to_owned())
        ]
    };
    (day(), day()).prop_filter_map("no schedule", |(start, end)| {
        Schedule::new(parse_day("startDate", &start).ok()?, parse_day("endDate", &end).ok()?).ok()
    })
}

pub fn group() -> impl Strategy<Value = Group> {
    let texts = (text(100, GroupName::parse), text(1_000, Discussion::parse));
    (group_id(), texts, user_id(), time(), time(), any::<u64>()).prop_map(
        |(id, (name, discussion), created_by, created_at, updated_at, version)| Group {
            id,
            name,
            discussion,
            created_by,
            created_at,
            updated_at,
            version,
        },
    )
}

pub fn task() -> impl Strategy<Value = Task> {
    let texts = (text(255, TaskName::parse), text(5_000, Description::parse));
    let status = prop::sample::select(&TaskStatus::ALL[..]);
    let who = (user_id(), time(), time(), any::<u64>());
    (task_id(), texts, status, schedule(), rank(), who).prop_map(
        |(id, (name, description), status, schedule, rank, (created_by, created_at, updated_at, version))| {
            Task {
                id,
                name,
                description,
                status,
                schedule,
                rank,
                created_by,
                created_at,
                updated_at,
                version,
            }
        },
    )
}

pub fn comment() -> impl Strategy<Value = Comment> {
    (task_id(), any::<(u32, [u8; 8])>(), text(2_000, CommentText::parse), actor(), time()).prop_map(
        |(task, (page, unique), text, author, created_at)| Comment {
            id: CommentId::new(task, page, unique),
            text,
            author,
            created_at,
        },
    )
}

pub fn user() -> impl Strategy<Value = User> {
    (actor(), text(100, DisplayName::parse), time(), time(), any::<u64>()).prop_map(
        |(Actor { id, name }, display_name, created_at, updated_at, version)| User {
            id,
            username: name,
            display_name,
            created_at,
            updated_at,
            version,
        },
    )
}

pub fn deletion() -> impl Strategy<Value = Deletion> {
    (time(), actor(), any::<u128>()).prop_map(|(at, by, action)| Deletion {
        at,
        by,
        action_id: Uuid::from_u128(action),
    })
}
