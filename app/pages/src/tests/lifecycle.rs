//! Pages that come and go with their use, and a process that stops.

use std::time::Duration;

use prost::Message;
use tokio::{task::JoinSet, time::sleep};

use super::world::{World, collection, eventually};
use crate::{
    CollectionKey, Configuration, Drained, EditError, InvalidCollectionKey, PageKey, bookkeeping::Directory,
};

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

#[tokio::test(start_paused = true)]
async fn a_drain_leaves_nothing_behind() {
    let world = World::new(1);
    let replica = world.replica("one");
    let mut adds = JoinSet::new();
    for number in 0..60 {
        let replica = replica.clone();
        adds.spawn(async move { replica.add(&tasks(), &format!("task-{number}")).await });
    }
    assert!(adds.join_all().await.iter().all(Result::is_ok));
    let drained = replica.pages.drain(Duration::from_secs(5)).await;
    assert_eq!(drained, Drained { pages_left: 0, unpublished_events: 0, summaries_left: 0 });
    assert!(drained.is_complete());
    assert_eq!(world.broker.deliveries().len(), 60);
    for number in 0..8 {
        assert_eq!(world.memory.outbox(&tasks().page(number)), 0);
    }
    // No lease, no register, no sweeper: only the pages, their summary, and an empty directory.
    assert_eq!(world.memory.keys("pages/"), ["pages/test/directory"]);
    let directory = Directory::decode(world.memory.peek("pages/test/directory").unwrap().value).unwrap();
    assert_eq!(directory.incarnations, []);
    assert!(world.memory.peek("tasks/group/summary").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_no_more_commands_but_finishes_those_it_has() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    let accepted = tokio::spawn({
        let replica = replica.clone();
        async move { replica.add(&tasks(), "accepted").await }
    });
    tokio::task::yield_now().await;
    let draining = tokio::spawn({
        let replica = replica.clone();
        async move { replica.pages.drain(Duration::from_secs(5)).await }
    });
    tokio::task::yield_now().await;
    let refused = replica.add(&tasks(), "late").await;
    assert!(matches!(refused, Err(EditError::Stopping)), "{refused:?}");
    accepted.await.unwrap().unwrap();
    assert!(draining.await.unwrap().is_complete());
    // What only reads may go on.
    assert_eq!(replica.pages.read(&tasks().page(0)).await.unwrap().entries().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_cannot_publish_tells_what_is_left_and_another_process_goes_on_at_once() {
    let world = World::new(1);
    let one = world.replica("one");
    one.fate.broker_is_down(true);
    one.add(&tasks(), "task").await.unwrap();
    let drained = one.pages.drain(Duration::from_secs(2)).await;
    assert_eq!(drained, Drained { pages_left: 1, unpublished_events: 1, summaries_left: 0 });
    assert!(!drained.is_complete());
    assert_eq!(world.memory.keys("pages/test/lease/"), [] as [String; 0]);
    let started = tokio::time::Instant::now();
    let _two = world.replica("two");
    world.deliveries(1).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_not_used_are_put_away() {
    let world = World::new(1);
    let replica = world.replica("one");
    for number in 0..50 {
        replica.add(&collection(&format!("tasks/g{number}")), "task").await.unwrap();
    }
    assert_eq!(replica.pages.engine.live_writers(), 50);
    eventually("all are put away", || replica.pages.engine.live_writers() == 0).await;
    sleep(Duration::from_mins(3)).await;
    let known: usize = replica.pages.engine.collections.each().map(|shard| shard.len()).sum();
    assert_eq!(known, 0, "collections nobody uses are remembered");
    replica.add(&collection("tasks/g7"), "more").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_pages_are_used_than_allowed_and_clean_ones_make_room() {
    let world = World::new(1);
    let configuration =
        Configuration { writers: 10, idle_after: Duration::from_hours(1), ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.fate.broker_is_down(true);
    for number in 0..10 {
        replica.add(&collection(&format!("tasks/g{number}")), "task").await.unwrap();
    }
    let refused = replica.add(&tasks(), "task").await;
    assert!(matches!(refused, Err(EditError::Overloaded)), "{refused:?}");
    replica.fate.broker_is_down(false);
    eventually("clean pages make room", || replica.pages.engine.live_writers() <= 8).await;
    replica.add(&tasks(), "task").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn when_the_last_handle_is_gone_everything_stops() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    let engine = std::sync::Arc::downgrade(&replica.pages.engine);
    drop(replica);
    eventually("nothing runs any more", || engine.strong_count() == 0).await;
}

#[test]
fn names_that_the_store_or_this_module_needs_are_not_collections() {
    for name in ["", "/", "a//b", "/a", "a/", "a||b", "pages", "pages/test", &"x".repeat(257)] {
        let refused: Result<CollectionKey, InvalidCollectionKey> = CollectionKey::parse(name);
        assert!(refused.is_err(), "{name}");
    }
    let pages = CollectionKey::parse("tasks/pages/1").unwrap().page(12);
    assert_eq!(pages.to_string(), "tasks/pages/1/12");
    assert_eq!(PageKey::parse("tasks/pages/1/12"), Some(pages));
    for text in ["tasks", "tasks/x", "tasks/-1", "tasks/+1", "tasks/01", "pages/1"] {
        assert_eq!(PageKey::parse(text), None, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_bytes_of_pages_are_in_use_than_allowed_and_clean_ones_make_room() {
    let world = World::new(1);
    let configuration = Configuration { bytes_in_use: 4000, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.fate.broker_is_down(true);
    let fill = |number: u32| {
        let edit = |page: &mut crate::PageEdit<'_>| {
            page.put("large", "", vec![0; 1100].into());
            super::world::emit(page, "large", 1, "put");
            Ok::<_, super::world::Refusal>(())
        };
        let (pages, page) = (replica.pages.clone(), tasks().page(number));
        async move { pages.edit(&page, edit).await }
    };
    for number in 0..4 {
        fill(number).await.unwrap();
        // It is counted once its callers have been answered.
        sleep(Duration::from_millis(1)).await;
    }
    let refused = fill(4).await;
    assert!(matches!(refused, Err(EditError::Overloaded)), "{refused:?}");
    // A page that is in use goes on.
    fill(3).await.unwrap();
    replica.fate.broker_is_down(false);
    eventually("there is room", || replica.pages.engine.live_writers() == 0).await;
    fill(4).await.unwrap();
}
