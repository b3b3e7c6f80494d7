//! Ids say where their entry lives, so that reading one entry is one look-up.
//!
//! A group id carries the number of the page it was created in; a task id carries its group id and its own
//! page number; a comment id carries its task id. To clients an id is an opaque string of at most 100
//! characters: a kind letter, then unpadded lower-case base32.

use std::{fmt, str::FromStr};

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

/// RFC 4648 base32hex in lower case: sorts as its bytes do, and needs no escaping in a URL.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghijklmnopqrstuv");
    specification.encoding().expect("a 32-symbol alphabet is a valid encoding")
});

/// A string that is no id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id")]
pub struct InvalidId {
    kind: &'static str,
}

/// The part of an id that tells apart the entries of one page.
pub type Unique = [u8; 8];

/// The name of an entry inside its page.
pub fn entry_name(unique: Unique) -> String {
    BASE32.encode(&unique)
}

/// Reads what [`entry_name`] wrote.
pub fn unique_part(entry_name: &str) -> Result<Unique, InvalidId> {
    let bytes = BASE32.decode(entry_name.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(InvalidId { kind: "entry" })
}

const PLACE: usize = 12;

/// A page number and the unique part of the entry in it: one step of the way to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    page: u32,
    unique: Unique,
}

impl Place {
    fn bytes(self) -> [u8; PLACE] {
        let mut bytes = [0; PLACE];
        let (page, unique) = bytes.split_at_mut(4);
        page.copy_from_slice(&self.page.to_be_bytes());
        unique.copy_from_slice(&self.unique);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (page, unique) = bytes.split_first_chunk::<4>()?;
        Some(Self { page: u32::from_be_bytes(*page), unique: unique.try_into().ok()? })
    }
}

fn write_id(f: &mut fmt::Formatter<'_>, letter: char, places: &[Place]) -> fmt::Result {
    let bytes: Vec<u8> = places.iter().flat_map(|place| place.bytes()).collect();
    write!(f, "{letter}{}", BASE32.encode(&bytes))
}

fn read_id<const DEPTH: usize>(
    text: &str,
    letter: char,
    kind: &'static str,
) -> Result<[Place; DEPTH], InvalidId> {
    let invalid = InvalidId { kind };
    let encoded = text.strip_prefix(letter).ok_or(invalid)?;
    let bytes = BASE32.decode(encoded.as_bytes()).map_err(|_| invalid)?;
    let places: Option<Vec<Place>> = bytes.chunks(PLACE).map(Place::read).collect();
    places.and_then(|places| places.try_into().ok()).ok_or(invalid)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $letter:literal, $kind:literal, $places:ident => $list:expr, $read:expr) => {
        $(#[$doc])*
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $places = self;
                write_id(f, $letter, &$list)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                read_id(text, $letter, $kind).map($read)
            }
        }

        impl $name {
            /// The page the entry was created in and still lives in.
            pub fn page(&self) -> u32 {
                self.place.page
            }

            /// The name of the entry inside its page.
            pub fn entry(&self) -> String {
                entry_name(self.place.unique)
            }
        }
    };
}

/// A group of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId {
    place: Place,
}

impl GroupId {
    /// The group that takes tasks created without one.
    pub const INBOX: Self = Self { place: Place { page: 0, unique: [0; 8] } };

    pub fn new(page: u32, unique: Unique) -> Self {
        Self { place: Place { page, unique } }
    }
}

id!(GroupId, 'g', "group", id => [id.place], |[place]| Self { place });

/// A task of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    group: GroupId,
    place: Place,
}

impl TaskId {
    pub fn new(group: GroupId, page: u32, unique: Unique) -> Self {
        Self { group, place: Place { page, unique } }
    }

    pub fn group(&self) -> GroupId {
        self.group
    }
}

id!(TaskId, 't', "task", id => [id.group.place, id.place], |[group, place]| Self {
    group: GroupId { place: group },
    place,
});

/// A comment on a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommentId {
    task: TaskId,
    place: Place,
}

impl CommentId {
    pub fn new(task: TaskId, page: u32, unique: Unique) -> Self {
        Self { task, place: Place { page, unique } }
    }

    pub fn task(&self) -> TaskId {
        self.task
    }
}

id!(CommentId, 'c', "comment", id => [id.task.group.place, id.task.place, id.place], |[group, task, place]| Self {
    task: TaskId { group: GroupId { place: group }, place: task },
    place,
});

/// A person who registered. The page is the one that the user name hashes to, so that it can never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId {
    place: Place,
}

impl UserId {
    pub fn new(page: u32, unique: Unique) -> Self {
        Self { place: Place { page, unique } }
    }
}

id!(UserId, 'u', "user", id => [id.place], |[place]| Self { place });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn comment_id() -> impl Strategy<Value = CommentId> {
        let place = || (any::<u32>(), any::<Unique>());
        (place(), place(), place())
            .prop_map(|((a, b), (c, d), (e, f))| CommentId::new(TaskId::new(GroupId::new(a, b), c, d), e, f))
    }

    /// Any text, and such that is nearly or really an id.
    fn text() -> impl Strategy<Value = String> {
        let alphabet = "[0-9a-v]{13}|[gtcu]([0-9a-v]{20}|[0-9a-v]{39}|[0-9a-v]{58})";
        prop_oneof![
            ".{0,120}",
            alphabet,
            "[a-z][0-9a-zA-Z=]{12,60}",
            comment_id().prop_map(|id| id.to_string())
        ]
    }

    proptest! {
        #[test]
        fn an_id_reads_back_as_it_was_written(id in comment_id()) {
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.task().to_string().parse(), Ok(id.task()));
            prop_assert_eq!(id.task().group().to_string().parse(), Ok(id.task().group()));
        }

        #[test]
        fn an_id_is_at_most_a_hundred_url_safe_characters(id in comment_id()) {
            let text = id.to_string();
            prop_assert!(text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in text()) {
            let written = [
                text.parse().map(|id: GroupId| id.to_string()),
                text.parse().map(|id: TaskId| id.to_string()),
                text.parse().map(|id: CommentId| id.to_string()),
                text.parse().map(|id: UserId| id.to_string()),
                unique_part(&text).map(entry_name),
            ];
            for id in written.into_iter().flatten() {
                prop_assert_eq!(id, text.as_str());
            }
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let task = TaskId::new(GroupId::INBOX, 0, [1; 8]).to_string();
        assert!(task.parse::<GroupId>().is_err());
        assert!(task.replacen('t', "g", 1).parse::<GroupId>().is_err());
    }
}
