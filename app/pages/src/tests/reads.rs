//! Reads: shared, and never older than their call.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::world::{Call, Replica, World, collection, eventually, text};
use crate::{CollectionKey, LARGEST_PAGE, PageKey};

const PAGE: &str = "tasks/group/0";

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

fn page() -> PageKey {
    tasks().page(0)
}

async fn world_with(count: usize) -> (World, Replica) {
    let world = World::new(1);
    let replica = world.replica("one");
    for number in 0..count {
        replica.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    (world, replica)
}

fn read(replica: &Replica) -> tokio::task::JoinHandle<String> {
    let replica = replica.clone();
    tokio::spawn(async move {
        let view = replica.pages.read(&page()).await.unwrap();
        text(&view.get("task-0").unwrap().value).to_owned()
    })
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_while_a_page_is_being_read_share_the_next_read() {
    let (world, replica) = world_with(1).await;
    let before = world.memory.calls(Call::Get, PAGE);
    replica.fate.hold(Call::Get, PAGE);
    let first = read(&replica);
    replica.fate.waiting.notified().await;
    let others: Vec<_> = (0..20).map(|_| read(&replica)).collect();
    tokio::task::yield_now().await;
    replica.fate.let_go();
    for reader in others.into_iter().chain([first]) {
        assert_eq!(reader.await.unwrap(), "task-0");
    }
    assert_eq!(world.memory.calls(Call::Get, PAGE) - before, 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_never_shares_one_that_began_before_it() {
    let (world, replica) = world_with(1).await;
    for number in 0..100 {
        let early = read(&replica);
        // However far the early read has come, what is acknowledged now must be seen by a later call.
        let value = format!("w{number}");
        let memory = world.memory.clone();
        let before = memory.calls(Call::Get, PAGE);
        while memory.calls(Call::Get, PAGE) == before {
            tokio::time::sleep(std::time::Duration::from_micros(50)).await;
        }
        // The early read has looked, and its answer is on the way.
        change_behind(&world, &value);
        let late = read(&replica).await.unwrap();
        assert_eq!(late, value);
        early.await.unwrap();
    }
}

/// Changes the entry at once, as another process' save that arrives at this moment.
fn change_behind(world: &World, value: &str) {
    use prost::Message;
    let stored = world.memory.peek(PAGE).unwrap();
    let mut body = crate::page::Body::decode(stored.value).unwrap();
    body.entries[0].value = Bytes::from(value.to_owned());
    world.memory.put(PAGE, Bytes::from(body.encode_to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_does_not_take_the_read_of_others_along() {
    let (_world, replica) = world_with(1).await;
    replica.fate.hold(Call::Get, PAGE);
    let first = read(&replica);
    replica.fate.waiting.notified().await;
    let second = read(&replica);
    tokio::task::yield_now().await;
    first.abort();
    replica.fate.let_go();
    assert_eq!(second.await.unwrap(), "task-0");
    assert_eq!(read(&replica).await.unwrap(), "task-0");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_exist_reads_as_empty_and_open() {
    let world = World::new(1);
    let replica = world.replica("one");
    let view = replica.pages.read(&page()).await.unwrap();
    assert_eq!((view.entries().len(), view.is_sealed(), view.is_closed()), (0, false, false));
    assert_eq!(view.key(), &page());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_cannot_be_decoded_is_an_error_and_is_never_overwritten() {
    let world = World::new(1);
    world.memory.put(PAGE, Bytes::from_static(b"\xffspoilt"));
    let replica = world.replica("one");
    replica.pages.read(&page()).await.unwrap_err();
    replica.pages.read_collection(&tasks(), 0, 10).await.unwrap_err();
    replica.add(&tasks(), "task").await.unwrap_err();
    replica.extend(&page(), "task", "a").await.unwrap_err();
    assert_eq!(world.memory.peek(PAGE).unwrap().etag, "1");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_fails_the_read_and_the_next_one_succeeds() {
    let (_world, replica) = world_with(1).await;
    replica.fate.store_is_down(true);
    replica.pages.read(&page()).await.unwrap_err();
    replica.pages.read_many(&[page()]).await.unwrap_err();
    replica.pages.summary(&tasks()).await.unwrap_err();
    replica.fate.store_is_down(false);
    replica.pages.read(&page()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_pages_come_in_the_order_asked_for() {
    let (_world, replica) = world_with(20).await;
    let keys = [2, 0, 9, 1].map(|number| tasks().page(number));
    let views = replica.pages.read_many(&keys).await.unwrap();
    assert_eq!(views.iter().map(|view| view.entries().len()).collect::<Vec<_>>(), [4, 8, 0, 8]);
    assert!(views.iter().zip(&keys).all(|(view, key)| view.key() == key));
}

async fn names(replica: &Replica, from: u32, at_most: u32) -> (usize, Option<u32>) {
    let read = replica.pages.read_collection(&tasks(), from, at_most).await.unwrap();
    (read.pages.iter().map(|page| page.entries().len()).sum(), read.next)
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_read_to_its_end_in_portions() {
    let (world, one) = world_with(44).await;
    for replica in [&one, &world.replica("two")] {
        assert_eq!(names(replica, 0, 100).await, (44, None));
        assert_eq!(names(replica, 0, 2).await, (16, Some(2)));
        assert_eq!(names(replica, 2, 3).await, (24, Some(5)));
        assert_eq!(names(replica, 5, 3).await, (4, None));
        assert_eq!(names(replica, 9, 3).await, (0, None));
        assert_eq!(names(replica, 0, 0).await, (0, Some(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_ends_after_few_calls_of_the_store_whatever_number_it_begins_at() {
    let (world, one) = world_with(44).await;
    for replica in [&one, &world.replica("two")] {
        for number in [0, 5, 6, LARGEST_PAGE, LARGEST_PAGE + 1, u32::MAX - 2, u32::MAX - 1, u32::MAX] {
            for at_most in [0, 1, 2, u32::MAX] {
                let calls = || {
                    world.memory.calls_below(Call::GetMany, "tasks/group/")
                        + world.memory.calls_below(Call::Get, "tasks/group/")
                };
                let before = calls();
                names(replica, number, at_most).await;
                for of_entry in [u64::from(number), u64::MAX - u64::from(number)] {
                    replica.pages.read_numbered(&tasks(), of_entry).await.unwrap();
                }
                assert!(calls() - before <= 16, "from {number}, at most {at_most}: {}", calls() - before);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_on_beyond_what_the_summary_says() {
    let (world, one) = world_with(3).await;
    let two = world.replica("two");
    assert_eq!(names(&two, 0, 100).await, (3, None));
    eventually("the summary is written", || world.memory.peek("tasks/group/summary").is_some()).await;
    let summary = world.memory.peek("tasks/group/summary").unwrap();
    let mut adds = JoinSet::new();
    for number in 3..60 {
        let one = one.clone();
        adds.spawn(async move { one.add(&tasks(), &format!("task-{number}")).await });
    }
    adds.join_all().await;
    world.memory.put("tasks/group/summary", summary.value);
    assert_eq!(names(&two, 0, 100).await, (60, None));
    assert_eq!(names(&world.replica("three"), 0, 100).await, (60, None));
}

#[tokio::test(start_paused = true)]
async fn one_page_more_is_asked_for_in_the_same_read() {
    let (world, one) = world_with(7).await;
    let two = world.replica("two");
    assert_eq!(names(&two, 0, 100).await, (7, None));
    // The page fills up and a next one begins, which `two` has not heard of.
    one.add(&tasks(), "task-7").await.unwrap();
    one.add(&tasks(), "task-8").await.unwrap();
    let before = world.memory.calls_below(Call::GetMany, "tasks/group/");
    assert_eq!(names(&two, 0, 100).await, (9, None));
    assert_eq!(world.memory.calls_below(Call::GetMany, "tasks/group/") - before, 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_collection_is_read_in_several_bulk_reads() {
    let (world, one) = world_with(20 * 8).await;
    eventually("the summary tells of all pages", || {
        let stored = world.memory.peek("tasks/group/summary").map(|stored| stored.value);
        crate::summary::Counts::decode(&tasks(), stored).unwrap().summary().pages == 20
    })
    .await;
    let two = world.replica("two");
    for (replica, expected) in [(&one, 1), (&two, 2), (&two, 1)] {
        let before = world.memory.calls_below(Call::GetMany, "tasks/group/");
        assert_eq!(names(replica, 0, 100).await, (160, None));
        // Up to 64 pages at a time; a reader who has never seen the collection looks at its summary first.
        let reads = world.memory.calls_below(Call::GetMany, "tasks/group/") - before;
        assert_eq!(reads, expected);
    }
}
