//! Events: published after their commit, in order, repeated with the same id, and never lost.

use std::{collections::HashSet, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::world::{Call, PublishFault, Refusal, Replica, World, add, collection, eventually};
use crate::{CollectionKey, Configuration, EditError, OutboxEvent, PageEdit, PageKey};

const PAGE: &str = "tasks/group/0";

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

fn page() -> PageKey {
    tasks().page(0)
}

#[tokio::test(start_paused = true)]
async fn a_committed_event_is_published_and_then_leaves_the_outbox() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    assert_eq!(world.memory.outbox(&page()), 1);
    world.deliveries(1).await;
    let saves = world.memory.calls(Call::Save, PAGE);
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
    assert_eq!(world.memory.calls(Call::Save, PAGE), saves + 1);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(world.memory.calls(Call::Save, PAGE), saves + 1);
    assert_eq!(world.broker.deliveries().len(), 1);
    assert_eq!(replica.pages.health().unpublished, 0);
}

#[tokio::test(start_paused = true)]
async fn the_next_save_takes_published_events_along_and_no_tidying_is_needed() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    for number in 0..20 {
        sleep(Duration::from_millis(100)).await;
        replica.extend(&page(), "task", &format!("w{number}")).await.unwrap();
        assert_eq!(world.memory.outbox(&page()), 1);
    }
    assert_eq!(world.memory.calls(Call::Save, PAGE), 21);
}

#[tokio::test(start_paused = true)]
async fn a_failed_publish_is_repeated_whole_with_the_same_ids_and_in_order() {
    let faults = [
        PublishFault::Lost,
        PublishFault::Partly(2),
        PublishFault::AnswerLost,
        PublishFault::Delayed(Duration::from_millis(30)),
    ];
    for fault in faults {
        let world = World::new(1);
        let replica = world.replica("one");
        replica.add(&tasks(), "task").await.unwrap();
        world.deliveries(1).await;
        for _ in 0..3 {
            replica.fate.next_publish(fault);
        }
        let mut edits = JoinSet::new();
        for number in 0..10 {
            let replica = replica.clone();
            edits.spawn(async move { replica.extend(&page(), "task", &format!("w{number}")).await });
        }
        edits.join_all().await;
        eventually("all is published", || replica.pages.health().unpublished == 0).await;
        sleep(Duration::from_secs(1)).await;
        let versions: Vec<String> = world
            .broker
            .first_payloads()
            .iter()
            .map(|payload| payload.split(' ').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(versions, (1..12).map(|version| version.to_string()).collect::<Vec<_>>());
        let ids: HashSet<_> = world.broker.deliveries().into_iter().map(|one| one.id).collect();
        assert_eq!(ids.len(), 11, "a repeat has another id");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_process_has_committed_goes_out_before_what_follows_it() {
    let world = World::new(1);
    let (one, two) = (world.replica("one"), world.replica("two"));
    one.fate.broker_is_down(true);
    one.add(&tasks(), "task").await.unwrap();
    one.extend(&page(), "task", "a").await.unwrap();
    two.extend(&page(), "task", "b").await.unwrap();
    world.deliveries(3).await;
    assert_eq!(world.broker.first_payloads(), ["task 1 added", "task 2 a", "task 3 b"]);
    one.fate.broker_is_down(false);
    eventually("the other repeats them", || one.pages.health().unpublished == 0).await;
    assert_eq!(world.broker.first_payloads().len(), 3);
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_published_here_is_not_published_again_when_the_page_comes_back_with_it() {
    let world = World::new(1);
    let (one, two) = (world.replica("one"), world.replica("two"));
    one.add(&tasks(), "task").await.unwrap();
    eventually("it is published", || one.pages.health().unpublished == 0).await;
    // Drops the event from the page in memory, and saves nothing.
    let look = |page: &mut PageEdit<'_>| Ok::<_, Refusal>(page.entries().len());
    one.pages.edit(&page(), look).await.unwrap();
    assert_eq!(world.memory.outbox(&page()), 1);
    two.extend(&page(), "task", "a").await.unwrap();
    one.extend(&page(), "task", "b").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    // Once by each process.
    let payloads: Vec<String> = world.broker.deliveries().into_iter().map(|one| one.payload).collect();
    assert_eq!(payloads.iter().filter(|payload| *payload == "task 1 added").count(), 2, "{payloads:?}");
}

#[tokio::test(start_paused = true)]
async fn many_events_share_a_publish_but_no_more_than_fit() {
    // Ten bytes each.
    for (events, bytes, expected) in [(10, 60, [1, 6, 4]), (5, 1000, [1, 5, 5]), (100, 5, [1, 1, 1])] {
        let world = World::new(1);
        let configuration = Configuration {
            events_per_publish: events,
            bytes_per_publish: bytes,
            ..World::configuration("one")
        };
        let replica = world.replica_with(configuration, None);
        replica.fate.broker_is_down(true);
        for name in 'a'..='k' {
            replica.pages.edit(&page(), add(&format!("t{name}"))).await.unwrap();
        }
        replica.fate.broker_is_down(false);
        world.deliveries(11).await;
        // The first one was already on its way alone.
        assert_eq!(world.broker.publishes()[..3], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_stops_nothing_until_the_outbox_is_full_and_then_pushes_back() {
    let world = World::new(1);
    let configuration =
        Configuration { outbox_events_per_page: 5, outbox_events: 8, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.fate.broker_is_down(true);
    for number in 0..5 {
        replica.pages.edit(&page(), add(&format!("t{number}"))).await.unwrap();
    }
    let full = replica.pages.edit(&page(), add("more")).await;
    assert!(matches!(full, Err(EditError::Backlog { waiting: 6 })), "{full:?}");
    // Edits that emit nothing still work; so do other pages, until the process holds too many.
    let silent = |page: &mut PageEdit<'_>| Ok::<_, Refusal>(page.remove("t0").is_some());
    assert!(replica.pages.edit(&page(), silent).await.unwrap());
    for number in 0..3 {
        replica.pages.edit(&tasks().page(1), add(&format!("t{number}"))).await.unwrap();
    }
    let full = replica.pages.edit(&tasks().page(2), add("more")).await;
    assert!(matches!(full, Err(EditError::Backlog { waiting: 9 })), "{full:?}");
    sleep(Duration::from_secs(30)).await;
    let health = replica.pages.health();
    assert_eq!(health.unpublished, 8);
    assert!(health.oldest.unwrap() >= Duration::from_secs(30));
    assert!(health.failing_for.unwrap() >= Duration::from_secs(29));

    replica.fate.broker_is_down(false);
    eventually("all is published", || replica.pages.health().unpublished == 0).await;
    let health = replica.pages.health();
    assert_eq!((health.oldest, health.failing_for), (None, None));
    replica.pages.edit(&page(), add("more")).await.unwrap();
    world.deliveries(9).await;
}

#[tokio::test(start_paused = true)]
async fn an_outbox_is_full_by_its_bytes_too() {
    let add_one = async |most_bytes: usize| {
        let world = World::new(1);
        let configuration =
            Configuration { outbox_bytes_per_page: most_bytes, ..World::configuration("one") };
        let replica = world.replica_with(configuration, None);
        replica.fate.broker_is_down(true);
        let added = replica.pages.edit(&page(), add("task")).await;
        let stored = world.memory.peek(PAGE).map(|stored| stored.value).unwrap_or_default();
        (added, crate::page::Page::decode(&page(), stored).unwrap().outbox_bytes)
    };
    let (_, bytes) = add_one(1024).await;
    let (added, _) = add_one(bytes).await;
    assert!(added.is_ok(), "{added:?}");
    let (full, _) = add_one(bytes - 1).await;
    assert!(matches!(full, Err(EditError::Backlog { .. })), "{full:?}");
}

#[tokio::test(start_paused = true)]
async fn everything_an_event_carries_survives_its_stay_in_the_page() {
    let world = World::new(1);
    let one = world.replica("one");
    one.fate.broker_is_down(true);
    let edit = |page: &mut PageEdit<'_>| {
        let event = OutboxEvent {
            id: page.event_id(),
            partition_key: "group-ü".to_owned(),
            entity: "task".to_owned(),
            attributes: vec![("trace".to_owned(), "1-2-3".to_owned()), ("empty".to_owned(), String::new())],
            payload: bytes::Bytes::from_static(b"\x00\xff payload"),
        };
        page.emit(event.clone());
        Ok::<_, Refusal>(event)
    };
    let event = one.pages.edit(&page(), edit).await.unwrap();
    let stored = world.memory.peek(PAGE).unwrap();
    let read = crate::page::Page::decode(&page(), stored.value).unwrap();
    assert_eq!(read.outbox().iter().map(|event| (**event).clone()).collect::<Vec<_>>(), [event]);
}

/// Tells of the number of an edit of that key's entity.
async fn tell(replica: &Replica, key: &str, number: usize) -> Result<(), EditError<Refusal>> {
    let key = key.to_owned();
    let edit = move |page: &mut PageEdit<'_>| {
        let (id, payload) = (page.event_id(), format!("{key} {number}").into());
        page.emit(OutboxEvent {
            id,
            partition_key: key.clone(),
            entity: key.clone(),
            attributes: Vec::new(),
            payload,
        });
        Ok::<_, Refusal>(())
    };
    replica.pages.edit(&page(), edit).await
}

/// Which of six partitions Kafka keeps a key in (32-bit FNV-1a).
fn partition(key: &str) -> i32 {
    let hash =
        key.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash.cast_signed() % 6).abs()
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_holds_up_only_its_own_events() {
    let world = World::new(1);
    let configuration = Configuration { relay_lanes: 1, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    let keys: Vec<String> = (0..40).map(|number| format!("group-{number}")).collect();
    let (broken, whole): (Vec<String>, Vec<String>) =
        keys.iter().cloned().partition(|key| partition(key) == 3);
    assert!(broken.len() > 2 && whole.len() > 20);
    replica.fate.break_keys(broken.clone());
    for number in 0..5 {
        for key in &keys {
            tell(&replica, key, number).await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
    }
    sleep(Duration::from_secs(20)).await;
    let health = replica.pages.health();
    assert_eq!(health.unpublished, 5 * broken.len());
    assert!(health.failing_for.unwrap() > Duration::from_secs(20), "{health:?}");
    let of = |key: &str| -> Vec<String> {
        let payloads = world.broker.first_payloads().into_iter();
        payloads.filter(|payload| payload.split(' ').next() == Some(key)).collect()
    };
    // Each of them once, but for those that were on their way with the first of the others.
    assert!(world.broker.deliveries().len() <= 6 * whole.len(), "{}", world.broker.deliveries().len());
    for key in &whole {
        assert_eq!(of(key).len(), 5, "{key}");
    }
    replica.fate.break_keys([]);
    eventually("all is published", || replica.pages.health().unpublished == 0).await;
    assert_eq!(replica.pages.health().failing_for, None);
    for key in &keys {
        assert_eq!(of(key), (0..5).map(|number| format!("{key} {number}")).collect::<Vec<_>>());
    }
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_one_partition_stops_only_changes_that_tell_it_more() {
    let world = World::new(1);
    let configuration = Configuration { outbox_events_per_share: 3, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.fate.break_keys(["group-0".to_owned()]);
    for number in 0..3 {
        tell(&replica, "group-0", number).await.unwrap();
    }
    let full = tell(&replica, "group-0", 3).await;
    assert!(matches!(full, Err(EditError::Backlog { waiting: 4 })), "{full:?}");
    for number in 0..9 {
        tell(&replica, "group-1", number).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    replica.fate.break_keys([]);
    eventually("all is published", || replica.pages.health().unpublished == 0).await;
    tell(&replica, "group-0", 3).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn unpublished_events_are_bounded_by_their_bytes_too() {
    let world = World::new(1);
    let configuration = Configuration { outbox_bytes: 20, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.fate.broker_is_down(true);
    // Nine bytes each.
    for number in 0..3 {
        tell(&replica, "group-0", number).await.unwrap();
    }
    let full = tell(&replica, "group-1", 0).await;
    assert!(matches!(full, Err(EditError::Backlog { .. })), "{full:?}");
    replica.fate.broker_is_down(false);
    eventually("all is published", || replica.pages.health().unpublished == 0).await;
    tell(&replica, "group-1", 0).await.unwrap();
}
