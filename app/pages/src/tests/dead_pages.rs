//! Sealed pages that have been emptied, and what is left of a closed collection.

use std::time::Duration;

use tokio::time::sleep;

use super::world::{Call, Replica, World, add, collection, emit, eventually, remove};
use crate::{
    CollectionKey, Configuration, EditError, Found, Item, Limit, PageEdit, Summary, summary::Counts,
};

/// A seventh of what tombstones of closed collections have in these tests.
const DAY: Duration = Duration::from_mins(1);

fn hasty() -> Configuration {
    Configuration { closed_retention: 7 * DAY, ..World::configuration("one") }
}

fn inbox() -> CollectionKey {
    collection("inbox/ann")
}

fn configuration(instance: &str) -> Configuration {
    Configuration { pages_per_collection: 3, ..World::configuration(instance) }
}

/// Adds a page of entries and removes them all.
async fn fill_and_empty(replica: &Replica, round: usize) {
    let mut added = Vec::new();
    for number in 0..8 {
        let name = format!("r{round}n{number}");
        added.push((replica.add(&inbox(), &name).await.unwrap(), name));
    }
    for (page, name) in added {
        replica.pages.edit(&inbox().page(page), remove(&name, None)).await.unwrap();
    }
}

fn stored(world: &World) -> Summary {
    let stored = world.memory.peek("inbox/ann/summary").map(|stored| stored.value);
    Counts::decode(&inbox(), stored).unwrap().summary()
}

#[tokio::test(start_paused = true)]
async fn a_collection_that_is_filled_and_emptied_for_years_never_closes() {
    let world = World::new(1);
    let one = world.replica_with(configuration("one"), None);
    let two = world.replica_with(configuration("two"), None);
    // This one stays.
    one.add(&inbox(), "kept").await.unwrap();
    for round in 0..40 {
        fill_and_empty(if round % 3 == 0 { &two } else { &one }, round).await;
        sleep(Duration::from_secs(1)).await;
    }
    eventually("the summary has followed", || stored(&world).entries == 1).await;
    let summary = stored(&world);
    assert_eq!((summary.pages, summary.dead_before), (40, 0));
    assert!(summary.live_pages.len() <= 2, "{summary:?}");
    let bytes = world.memory.peek("inbox/ann/summary").unwrap().value.len();
    assert!(bytes < 40, "a summary of {bytes} bytes");

    let three = world.replica_with(configuration("three"), None);
    assert_eq!(three.add(&inbox(), "late").await.unwrap(), 40);
    one.pages.edit(&inbox().page(0), remove("kept", None)).await.unwrap();
    eventually("the beginning is dead", || stored(&world).dead_before == 40).await;
    for replica in [&one, &three] {
        let before = world.memory.calls_below(Call::Get, "inbox/ann/");
        let read = replica.pages.read_collection(&inbox(), 0, 100).await.unwrap();
        let numbers: Vec<u32> = read.pages.iter().map(|page| page.key().number()).collect();
        assert!(numbers.ends_with(&[40]), "{numbers:?}");
        assert!(numbers.len() <= 3 && read.next.is_none(), "{numbers:?}");
        assert!(world.memory.calls_below(Call::Get, "inbox/ann/") - before < 8);
    }
}

#[tokio::test(start_paused = true)]
async fn living_pages_are_limited_all_the_same() {
    let world = World::new(1);
    let replica = world.replica_with(configuration("one"), None);
    fill_and_empty(&replica, 0).await;
    for number in 0..24 {
        replica.add(&inbox(), &format!("task-{number}")).await.unwrap();
    }
    for replica in [&replica, &world.replica_with(configuration("two"), None)] {
        let refused = replica.add(&inbox(), "more").await;
        let Err(EditError::LimitExceeded(told)) = refused else { panic!("{refused:?}") };
        assert_eq!((told.limit, told.allowed, told.found), (Limit::PagesPerCollection, 3, 4));
    }
    // Emptied by another process: whoever refuses looks first.
    let two = world.replica_with(configuration("two"), None);
    for number in 0..8 {
        two.pages.edit(&inbox().page(1), remove(&format!("task-{number}"), None)).await.unwrap();
    }
    eventually("the summary has followed", || stored(&world).dead_before == 2).await;
    assert_eq!(replica.add(&inbox(), "more").await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_back_to_a_page_that_is_sealed_and_empty() {
    let world = World::new(1);
    let replica = world.replica("one");
    fill_and_empty(&replica, 0).await;
    let refused = replica.pages.edit(&inbox().page(0), add("late")).await;
    assert!(matches!(refused, Err(EditError::Closed)), "{refused:?}");
    // One that is exchanged within an edit is no such case.
    for number in 0..8 {
        replica.add(&inbox(), &format!("task-{number}")).await.unwrap();
    }
    for number in 1..8 {
        replica.pages.edit(&inbox().page(1), remove(&format!("task-{number}"), None)).await.unwrap();
    }
    let exchange = |page: &mut PageEdit<'_>| {
        remove("task-0", None)(page)?;
        add("other")(page)
    };
    replica.pages.edit(&inbox().page(1), exchange).await.unwrap();
    assert_eq!(world.memory.page(&inbox().page(1)).entries()[0].id, "other");
}

fn empty(page: &mut PageEdit<'_>) -> Result<(), super::world::Refusal> {
    let names: Vec<String> = page.entries().iter().map(|entry| entry.id.clone()).collect();
    names.iter().try_for_each(|name| remove(name, None)(page))
}

#[tokio::test(start_paused = true)]
async fn the_tombstones_of_a_closed_collection_vanish_after_a_week_and_no_others() {
    assert_eq!(World::configuration("one").closed_retention, Duration::from_hours(7 * 24));
    let world = World::new(1);
    let replica = world.replica_with(hasty(), None);
    for number in 0..20 {
        replica.add(&inbox(), &format!("task-{number}")).await.unwrap();
        replica.add(&collection("inbox/bob"), &format!("task-{number}")).await.unwrap();
    }
    replica.pages.edit(&collection("inbox/bob").page(0), empty).await.unwrap();
    replica.pages.close_collection(&inbox(), empty).await.unwrap();
    sleep(6 * DAY).await;
    let refused = replica.add(&inbox(), "late").await;
    assert!(matches!(refused, Err(EditError::Closed)), "{refused:?}");
    assert_eq!(world.memory.living("inbox/ann/").len(), 4);
    sleep(DAY + DAY / 2).await;
    assert_eq!(world.memory.living("inbox/ann/"), [] as [String; 0]);
    sleep(30 * DAY).await;
    assert_eq!(world.memory.living("inbox/bob/").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_stays_while_its_events_are_not_published() {
    let world = World::new(1);
    let replica = world.replica_with(hasty(), None);
    replica.add(&inbox(), "task").await.unwrap();
    eventually("the outbox is tidied", || world.memory.outbox(&inbox().page(0)) == 0).await;
    replica.fate.broker_is_down(true);
    replica.pages.close_collection(&inbox(), empty).await.unwrap();
    sleep(8 * DAY).await;
    assert_eq!(world.memory.outbox(&inbox().page(0)), 1);
    replica.fate.broker_is_down(false);
    world.deliveries(2).await;
    sleep(8 * DAY).await;
    assert_eq!(world.memory.living("inbox/ann/"), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_second_pass_mends_a_tombstone_that_was_left_without_an_end() {
    let world = World::new(1);
    let replica = world.replica_with(hasty(), None);
    for number in 0..10 {
        replica.add(&inbox(), &format!("task-{number}")).await.unwrap();
    }
    replica.pages.close_collection(&inbox(), empty).await.unwrap();
    eventually("the outboxes are tidied", || {
        (0..2).all(|number| world.memory.outbox(&inbox().page(number)) == 0)
    })
    .await;
    // The store was killed between the value and its time to live.
    let page = world.memory.peek("inbox/ann/1").unwrap();
    world.memory.put("inbox/ann/1", page.value);
    replica.pages.close_collection(&inbox(), empty).await.unwrap();
    world.deliveries(20).await;
    assert_eq!(world.broker.first_payloads().len(), 20);
    sleep(8 * DAY).await;
    assert_eq!(world.memory.living("inbox/ann/"), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_other_processes_have_counted_is_known_after_counting_anew() {
    let world = World::new(1);
    let (one, two) = (world.replica("one"), world.replica("two"));
    for number in 0..8 {
        one.add(&inbox(), &format!("task-{number}")).await.unwrap();
    }
    two.add(&inbox(), "last").await.unwrap();
    for number in 0..4 {
        one.extend(&inbox().page(0), &format!("task-{number}"), "x").await.unwrap();
    }
    eventually("the summary has followed", || stored(&world).tally.contains_key("changed")).await;
    let ask = |edit: &mut PageEdit<'_>| {
        Err::<(), _>((edit.entries_of_collection(), edit.labelled_of_collection("changed")))
    };
    two.pages.recount(&inbox()).await.unwrap();
    let Err(EditError::Rejected(counted)) = two.pages.append(&inbox(), None, ask).await else { panic!() };
    assert_eq!(counted, (9, 4));
}

#[tokio::test(start_paused = true)]
async fn a_closed_page_that_still_has_entries_stays() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&inbox(), "kept").await.unwrap();
    let nothing = |_: &mut PageEdit<'_>| Ok::<_, super::world::Refusal>(());
    replica.pages.close_collection(&inbox(), nothing).await.unwrap();
    sleep(8 * DAY).await;
    assert_eq!(world.memory.page(&inbox().page(0)).entries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pages_and_summaries_of_several_collections_come_with_one_call() {
    let world = World::new(1);
    let one = world.replica("one");
    one.add(&inbox(), "mine").await.unwrap();
    one.add(&collection("inbox/bob"), "his").await.unwrap();
    eventually("the summary is written", || stored(&world).entries == 1).await;
    let two = world.replica("two");
    let mut items = vec![
        Item::Page(collection("inbox/bob").page(0)),
        Item::Summary(inbox()),
        Item::Summary(collection("nothing")),
    ];
    items.extend((0..61).map(|number| Item::Page(inbox().page(number))));
    let before = world.memory.calls_below(Call::GetMany, "inbox/");
    let found = two.pages.read_items(&items).await.unwrap();
    assert_eq!(world.memory.calls_below(Call::GetMany, "inbox/") - before, 1);
    assert_eq!(found.len(), 64);
    let Found::Page(page) = &found[0] else { panic!("{found:?}") };
    assert_eq!(page.entries()[0].id, "his");
    let Found::Summary(summary) = &found[1] else { panic!("{found:?}") };
    assert_eq!(*summary, stored(&world));
    assert!(matches!(&found[2], Found::Summary(summary) if *summary == Summary::default()));
    assert!(matches!(&found[63], Found::Page(page) if page.entries().is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_is_old_does_not_bring_dead_pages_back() {
    let world = World::new(1);
    let one = world.replica("one");
    for number in 0..8 {
        one.add(&inbox(), &format!("task-{number}")).await.unwrap();
    }
    eventually("the summary is written", || stored(&world).entries == 8).await;
    let old = world.memory.peek("inbox/ann/summary").unwrap().value;
    one.pages.edit(&inbox().page(0), empty).await.unwrap();
    eventually("the page is known to be dead", || stored(&world).dead_before == 1).await;
    world.memory.put("inbox/ann/summary", old);
    one.add(&inbox(), "late").await.unwrap();
    eventually("both are known", || (stored(&world).dead_before, stored(&world).entries) == (1, 1)).await;
    let tell = |page: &mut PageEdit<'_>| {
        emit(page, "ann", 1, "told");
        Ok::<_, super::world::Refusal>(())
    };
    one.pages.edit(&inbox().page(0), tell).await.unwrap();
}
