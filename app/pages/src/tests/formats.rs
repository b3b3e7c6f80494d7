//! Layouts of before and after this one.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::world::{World, collection, key};
use crate::{EditError, Once, PageKey};

/// A page as it was before layouts had numbers.
#[derive(Clone, PartialEq, Message)]
struct OldPage {
    #[prost(uint64, tag = "1")]
    ordinal: u64,
    #[prost(bool, tag = "2")]
    sealed: bool,
    #[prost(int64, tag = "4")]
    created_at: i64,
    #[prost(message, repeated, tag = "5")]
    entries: Vec<OldEntry>,
    #[prost(message, repeated, tag = "6")]
    keys: Vec<OldKey>,
}

#[derive(Clone, PartialEq, Message)]
struct OldEntry {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(string, tag = "3")]
    label: String,
    #[prost(bytes = "bytes", tag = "4")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct OldKey {
    #[prost(fixed64, tag = "1")]
    key_high: u64,
    #[prost(fixed64, tag = "2")]
    key_low: u64,
    #[prost(string, tag = "5")]
    entry: String,
    #[prost(int64, tag = "6")]
    used_at: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Format {
    #[prost(uint32, tag = "10")]
    format: u32,
}

fn page(number: u32) -> PageKey {
    collection("tasks/group").page(number)
}

fn old_entry(id: &str) -> OldEntry {
    OldEntry { id: id.to_owned(), version: 1, label: "new".to_owned(), value: Bytes::from(id.to_owned()) }
}

fn format(world: &World, item: &str) -> u32 {
    Format::decode(world.memory.peek(item).unwrap().value).unwrap().format
}

#[tokio::test(start_paused = true)]
async fn a_page_of_the_first_layout_is_read_and_rewritten_with_its_next_save() {
    let world = World::new(1);
    let used_at = 1_800_000_000_000;
    let entries: Vec<OldEntry> = ["a", "b"].map(old_entry).into();
    let keys = vec![OldKey { key_high: 0, key_low: 2, entry: "b".to_owned(), used_at }];
    let old = OldPage { ordinal: 4, sealed: true, created_at: 1, entries, keys };
    world.memory.put("tasks/group/0", old.encode_to_vec().into());
    let open = OldPage { ordinal: 1, entries: vec![old_entry("c")], ..OldPage::default() };
    world.memory.put("tasks/group/1", open.encode_to_vec().into());
    let replica = world.replica("one");
    let view = replica.pages.read(&page(0)).await.unwrap();
    let formats = [page(0), page(7)].map(|page| world.memory.page(&page).format());
    assert_eq!(formats, [Some(0), None]);
    assert_eq!(view.entries().iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let Once::Again(first) = replica.add_once(view.key().collection(), "x", key(1)).await.unwrap() else {
        panic!("an old key was not found")
    };
    assert_eq!((first.page, first.entry.unwrap().id.as_str()), (page(0), "b"));
    // Numbers begin with what is appended from now on.
    assert_eq!(replica.add(page(1).collection(), "d").await.unwrap(), 1);
    let numbers: Vec<u64> = world.memory.page(&page(1)).entries().iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [0, 1]);
    assert_eq!((format(&world, "tasks/group/0"), format(&world, "tasks/group/1")), (0, 1));
    assert_eq!(replica.extend(&page(0), "a", "later").await.unwrap(), 2);
    assert_eq!(format(&world, "tasks/group/0"), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(format(&world, "tasks/group/summary"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_program_wrote_is_refused_and_left_alone() {
    let world = World::new(1);
    // Whatever else it may have changed: text where there was a number.
    let mut later = Format { format: 2 }.encode_to_vec();
    later.extend([0x0a, 1, b'x']);
    for item in ["tasks/group/0", "tasks/group/summary"] {
        world.memory.put(item, Bytes::from(later.clone()));
    }
    let replica = world.replica("one");
    let refused = replica.pages.read(&page(0)).await.unwrap_err();
    assert!(refused.is_unreadable(), "{refused:?}");
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(cause, "tasks/group/0 has format 2, formats up to 1 are known");
    let refused = replica.pages.summary(page(0).collection()).await.unwrap_err();
    assert!(refused.is_unreadable(), "{refused:?}");
    for refused in [
        replica.add(page(0).collection(), "task").await.map(drop),
        replica.extend(&page(0), "task", "x").await.map(drop),
    ] {
        let Err(EditError::Unavailable(cause)) = refused else { panic!("{refused:?}") };
        assert!(cause.is_unreadable(), "{cause:?}");
    }
    assert_eq!(world.memory.peek("tasks/group/0").unwrap().value, later);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_not_called_unreadable() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.fate.store_is_down(true);
    assert!(!replica.pages.read(&page(0)).await.unwrap_err().is_unreadable());
}
