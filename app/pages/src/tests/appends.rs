//! Where new entries go, and how a repeated request finds what the first one did.

use std::time::Duration;

use bytes::Bytes;
use tokio::{task::JoinSet, time::Instant};

use super::world::{
    Call, Refusal, Replica, World, add, collection, eventually, extend, key, keyed, remove, text,
};
use crate::{CollectionKey, Configuration, EditError, Limit, LimitExceeded, Once};

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

fn sizes(world: &World) -> Vec<usize> {
    let pages = (0..).map(|number| world.memory.page(&tasks().page(number)));
    pages.map(|page| page.entries().len()).take_while(|&entries| entries > 0).collect()
}

async fn fill(replica: &Replica, from: usize, count: usize) {
    let mut adds = JoinSet::new();
    for number in from..from + count {
        let replica = replica.clone();
        adds.spawn(async move { replica.add(&tasks(), &format!("task-{number}")).await });
    }
    for added in adds.join_all().await {
        added.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fills_up_is_sealed_by_the_same_save_and_the_next_one_goes_on() {
    let world = World::new(1);
    let replica = world.replica("one");
    fill(&replica, 0, 1).await;
    fill(&replica, 1, 19).await;
    assert_eq!(sizes(&world), [8, 8, 4]);
    let sealed = [0, 1, 2].map(|number| world.memory.page(&tasks().page(number)).is_sealed());
    assert_eq!(sealed, [true, true, false]);
    // Nineteen waited: one save for each page, and none only to seal.
    let saves = [0, 1, 2].map(|number| world.memory.calls(Call::Save, &tasks().page(number).to_string()));
    assert_eq!(saves, [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_full_by_its_bytes_too() {
    let world = World::new(1);
    let replica =
        world.replica_with(Configuration { full_page_bytes: 100, ..World::configuration("one") }, None);
    for name in ["a", "b", "c"] {
        let long = format!("{name}{}", "x".repeat(60));
        replica.add(&tasks(), &long).await.unwrap();
    }
    assert_eq!(sizes(&world), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn removing_entries_does_not_open_a_sealed_page_again() {
    let world = World::new(1);
    let replica = world.replica("one");
    fill(&replica, 0, 8).await;
    let removed = replica.pages.edit(&tasks().page(0), remove("task-3", None)).await;
    removed.unwrap();
    assert_eq!(replica.add(&tasks(), "late").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_found_with_a_summary_that_is_old_or_missing() {
    for stored in [None, Some(8), Some(24)] {
        let world = World::new(1);
        let replica = world.replica("one");
        let mut summary = None;
        for count in 0..45 {
            replica.add(&tasks(), &format!("task-{count}")).await.unwrap();
            if Some(count) == stored {
                tokio::time::sleep(Duration::from_secs(1)).await;
                summary = world.memory.peek("tasks/group/summary");
            }
        }
        replica.pages.drain(Duration::from_secs(10)).await;
        world.memory.put("tasks/group/summary", summary.map_or(Bytes::new(), |summary| summary.value));
        assert_eq!(world.replica("two").add(&tasks(), "late").await.unwrap(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_append_to_a_new_collection_reads_its_page_once() {
    let world = World::new(1);
    world.replica("one").add(&tasks(), "task").await.unwrap();
    assert_eq!(world.memory.calls(Call::Get, "tasks/group/0"), 1);
    assert_eq!(world.memory.calls(Call::Save, "tasks/group/0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_page_at_the_end_is_not_read_at_all() {
    let world = World::new(1);
    let replica = world.replica("one");
    fill(&replica, 0, 9).await;
    assert_eq!(sizes(&world), [8, 1]);
    assert_eq!(world.memory.calls(Call::Get, "tasks/group/1"), 0);
    // And nobody goes by the sealed page any more, also when it is changed.
    replica.extend(&tasks().page(0), "task-0", "x").await.unwrap();
    fill(&replica, 9, 8).await;
    replica.extend(&tasks().page(0), "task-0", "y").await.unwrap();
    let reads_of_next = world.memory.calls(Call::Get, "tasks/group/1");
    let reads = world.memory.calls(Call::Get, "tasks/group/0");
    assert_eq!(replica.add(&tasks(), "late").await.unwrap(), 2);
    assert_eq!(world.memory.calls(Call::Get, "tasks/group/0"), reads);
    assert_eq!(world.memory.calls(Call::Get, "tasks/group/1"), reads_of_next);
}

async fn assert_repeats(replica: &Replica, page: u32, name: &str) {
    let again = replica.add_once(&tasks(), "another", key(1)).await.unwrap();
    let Once::Again(first) = again else { panic!("carried out twice: {again:?}") };
    assert_eq!(first.page, tasks().page(page));
    let entry = first.entry.unwrap();
    assert_eq!(entry.id, name);
    assert_eq!(entry.version, 1);
    assert_eq!(entry.label, "new");
    assert_eq!(text(&entry.value), name);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_key_gets_the_first_answer_whatever_has_happened_since() {
    let world = World::new(1);
    let one = world.replica("one");
    assert_eq!(one.add_once(&tasks(), "task", key(1)).await.unwrap(), Once::First(0));
    assert_repeats(&one, 0, "task").await;
    // Changed.
    one.extend(&tasks().page(0), "task", "changed").await.unwrap();
    assert_repeats(&one, 0, "task").await;
    // From another process.
    let two = world.replica("two");
    assert_repeats(&two, 0, "task").await;
    // The page was filled, and two more.
    fill(&one, 0, 20).await;
    assert_repeats(&one, 0, "task").await;
    assert_repeats(&two, 0, "task").await;
    assert_repeats(&world.replica("three"), 0, "task").await;
    // Changed again, then removed.
    one.extend(&tasks().page(0), "task", "again").await.unwrap();
    one.pages.edit(&tasks().page(0), remove("task", None)).await.unwrap();
    for replica in [one, two, world.replica("four")] {
        assert_repeats(&replica, 0, "task").await;
    }
    assert_eq!(sizes(&world), [7, 8, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_another_body_is_refused() {
    let world = World::new(1);
    let one = world.replica("one");
    one.add_once(&tasks(), "task", keyed(1, 1)).await.unwrap();
    let other = one.add_once(&tasks(), "task", keyed(1, 2)).await;
    assert!(matches!(other, Err(EditError::KeyReused)), "{other:?}");
    fill(&one, 0, 8).await;
    let other = one.add_once(&tasks(), "task", keyed(1, 2)).await;
    assert!(matches!(other, Err(EditError::KeyReused)), "{other:?}");
}

#[tokio::test(start_paused = true)]
async fn one_key_used_on_two_processes_at_the_same_time_yields_one_entry() {
    for seed in 0..50 {
        let world = World::new(seed);
        let (one, two) = (world.replica("one"), world.replica("two"));
        // Some start with a page that is about to be full, so that the two meet on different pages.
        fill(&one, 0, usize::try_from(seed % 9).unwrap()).await;
        let to = tasks();
        let (a, b, c) = tokio::join!(
            one.add_once(&to, "a", key(1)),
            two.add_once(&to, "b", key(1)),
            one.add_once(&to, "c", key(1))
        );
        let entries = [a, b, c].map(|answer| match answer.unwrap() {
            Once::First(page) => (page, None),
            Once::Again(first) => (first.page.number(), first.entry.map(|entry| entry.id)),
        });
        let firsts = entries.iter().filter(|(_, id)| id.is_none()).count();
        assert_eq!(firsts, 1, "{entries:?}");
        assert_eq!(sizes(&world).iter().sum::<usize>(), usize::try_from(seed % 9).unwrap() + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_process_used_in_a_page_sealed_since_is_found() {
    let world = World::new(1);
    let (one, two) = (world.replica("one"), world.replica("two"));
    // `one` knows the keys of all sealed pages: there is none.
    one.add_once(&tasks(), "first", key(9)).await.unwrap();
    two.add_once(&tasks(), "task", key(1)).await.unwrap();
    fill(&two, 0, 18).await;
    assert_repeats(&one, 0, "task").await;
    one.add(&tasks(), "last").await.unwrap();
    assert_repeats(&one, 0, "task").await;
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_long_collection_are_loaded_as_far_back_as_they_are_remembered() {
    let world = World::new(1);
    let one = world.replica("one");
    one.add_once(&tasks(), "old", key(2)).await.unwrap();
    tokio::time::sleep(Duration::from_hours(23)).await;
    one.add_once(&tasks(), "task", key(1)).await.unwrap();
    fill(&one, 0, 50 * 8).await;
    tokio::time::sleep(Duration::from_mins(90)).await;
    // The older key is forgotten, though its page still has the record; the younger one is not.
    let two = world.replica("two");
    assert_repeats(&two, 0, "task").await;
    tokio::time::sleep(Duration::from_hours(24)).await;
    let three = world.replica("three");
    assert_eq!(three.add_once(&tasks(), "another", key(1)).await.unwrap(), Once::First(50));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_found_behind_a_page_that_a_sweep_has_made_long_before_it_was_wanted() {
    let world = World::new(1);
    let one = world.replica("one");
    // It expects the next page, and dies: the sweep makes that page, empty.
    fill(&one, 0, 5).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    one.crash().await;
    let two = world.replica("two");
    eventually("the next page is swept", || world.memory.peek("tasks/group/1").is_some()).await;
    tokio::time::sleep(Duration::from_hours(30)).await;
    two.add_once(&tasks(), "task", key(1)).await.unwrap();
    fill(&two, 5, 12).await;
    assert_eq!(sizes(&world), [8, 8, 2]);
    assert_repeats(&world.replica("three"), 0, "task").await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_when_its_time_is_over() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add_once(&tasks(), "task", key(1)).await.unwrap();
    tokio::time::sleep(Duration::from_hours(25)).await;
    // The next save of the page drops it.
    replica.add(&tasks(), "other").await.unwrap();
    assert_eq!(replica.add_once(&tasks(), "third", key(1)).await.unwrap(), Once::First(0));
    assert_eq!(sizes(&world), [3]);
    // So does one of a sealed page, whose keys this process has in memory.
    fill(&replica, 0, 6).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(matches!(replica.add_once(&tasks(), "third", key(1)).await.unwrap(), Once::Again(_)));
    for _ in 0..25 * 60 * 12 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        replica.pages.edit(&tasks().page(1), |_| Ok::<(), Refusal>(())).await.unwrap();
    }
    replica.extend(&tasks().page(0), "task", "later").await.unwrap();
    assert_eq!(replica.add_once(&tasks(), "fourth", key(1)).await.unwrap(), Once::First(1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_append_does_not_use_up_its_key() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    let rejected = replica.add_once(&tasks(), "task", key(1)).await;
    assert!(matches!(rejected, Err(EditError::Rejected(Refusal::Exists))));
    assert_eq!(replica.add_once(&tasks(), "other", key(1)).await.unwrap(), Once::First(0));
}

#[tokio::test(start_paused = true)]
async fn limits_are_enforced_and_told_with_their_numbers() {
    let world = World::new(1);
    let limited = |change: fn(&mut Configuration)| {
        let mut configuration = World::configuration("one");
        change(&mut configuration);
        configuration
    };
    let exceeded = |limit, allowed, found| LimitExceeded { limit, allowed, found };

    let replica = world.replica_with(limited(|to| to.entries_per_collection = 10), None);
    fill(&replica, 0, 10).await;
    let refused = replica.add(&tasks(), "more").await;
    let limit = exceeded(Limit::EntriesPerCollection, 10, 11);
    assert!(matches!(&refused, Err(EditError::LimitExceeded(told)) if *told == limit), "{refused:?}");
    // Who addresses pages directly bounds them by their bytes.
    replica.pages.edit(&tasks().page(9), add("elsewhere")).await.unwrap();
    replica.pages.edit(&tasks().page(9), remove("elsewhere", None)).await.unwrap();
    replica.pages.edit(&tasks().page(0), remove("task-0", None)).await.unwrap();
    replica.add(&tasks(), "more").await.unwrap();

    let world = World::new(1);
    let replica = world.replica_with(limited(|to| to.pages_per_collection = 2), None);
    // The last ones wait for the second page while it fills up.
    let mut adds = JoinSet::new();
    for number in 0..20 {
        let replica = replica.clone();
        adds.spawn(async move { replica.add(&tasks(), &format!("task-{number}")).await });
    }
    let answers = adds.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 16);
    for refused in answers.into_iter().filter(Result::is_err).chain([replica.add(&tasks(), "more").await]) {
        let limit = exceeded(Limit::PagesPerCollection, 2, 3);
        assert!(matches!(&refused, Err(EditError::LimitExceeded(told)) if *told == limit), "{refused:?}");
    }

    let world = World::new(1);
    let replica = world.replica_with(limited(|to| to.page_bytes = 400), None);
    replica.add(&tasks(), "task").await.unwrap();
    let long = "x".repeat(400);
    let refused = replica.pages.edit(&tasks().page(0), extend("task", &long)).await;
    let Err(EditError::LimitExceeded(told)) = refused else { panic!("{refused:?}") };
    assert_eq!((told.limit, told.allowed), (Limit::PageBytes, 400));
    assert!(told.found > 800);
    replica.extend(&tasks().page(0), "task", "short").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_page_that_an_edit_has_filled_is_sealed_before_the_next_one_begins() {
    let world = World::new(1);
    let configuration = Configuration { full_page_bytes: 100, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.add(&tasks(), "task").await.unwrap();
    replica.extend(&tasks().page(0), "task", &"x".repeat(100)).await.unwrap();
    assert!(!world.memory.page(&tasks().page(0)).is_sealed());
    assert_eq!(replica.add(&tasks(), "next").await.unwrap(), 1);
    assert!(world.memory.page(&tasks().page(0)).is_sealed());
}

#[tokio::test(start_paused = true)]
async fn a_page_may_have_just_as_many_bytes_as_are_allowed() {
    let add_one = async |page_bytes: usize| {
        let world = World::new(1);
        let replica = world.replica_with(Configuration { page_bytes, ..World::configuration("one") }, None);
        replica.add(&tasks(), "task").await
    };
    let Err(EditError::LimitExceeded(LimitExceeded { found, .. })) = add_one(0).await else { panic!() };
    assert!(add_one(found).await.is_ok());
    assert!(matches!(add_one(found - 1).await, Err(EditError::LimitExceeded(_))));
}

#[tokio::test(start_paused = true)]
async fn a_collection_that_is_too_full_refuses_only_what_adds_to_it() {
    let world = World::new(1);
    fill(&world.replica("one"), 0, 10).await;
    let configuration = Configuration { entries_per_collection: 5, ..World::configuration("two") };
    let two = world.replica_with(configuration, None);
    let nothing = |_: &mut crate::PageEdit<'_>| Ok::<(), Refusal>(());
    assert_eq!(two.pages.append(&tasks(), None, nothing).await.unwrap(), Once::First(()));
    let refused = two.add(&tasks(), "more").await;
    assert!(matches!(refused, Err(EditError::LimitExceeded(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_added_to_a_closed_collection_by_anyone() {
    let world = World::new(1);
    let (one, two) = (world.replica("one"), world.replica("two"));
    fill(&one, 0, 20).await;
    two.add(&tasks(), "two").await.unwrap();
    let empty = |page: &mut crate::PageEdit<'_>| {
        let names: Vec<String> = page.entries().iter().map(|entry| entry.id.clone()).collect();
        names.iter().try_for_each(|name| remove(name, None)(page))
    };
    one.pages.close_collection(&tasks(), empty).await.unwrap();
    for replica in [&one, &two, &world.replica("three")] {
        let refused = replica.add(&tasks(), "late").await;
        assert!(matches!(refused, Err(EditError::Closed)), "{refused:?}");
        let refused = replica.pages.edit(&tasks().page(0), add("late")).await;
        assert!(matches!(refused, Err(EditError::Closed)), "{refused:?}");
    }
    // Not even by an edit that adds nothing.
    let nothing = |_: &mut crate::PageEdit<'_>| Ok::<(), Refusal>(());
    let refused = one.pages.append(&tasks(), None, nothing).await;
    assert!(matches!(refused, Err(EditError::Closed)), "{refused:?}");
    // All 21 were removed, told, and repeating it removes nothing more.
    one.pages.close_collection(&tasks(), empty).await.unwrap();
    world.deliveries(42).await;
    let removed = world.broker.first_payloads().iter().filter(|told| told.ends_with("removed")).count();
    assert_eq!(removed, 21);
    eventually("the counts are zero", || {
        let stored = world.memory.peek("tasks/group/summary").map(|stored| stored.value);
        let counts = crate::summary::Counts::decode(&tasks(), stored).unwrap().summary();
        (counts.pages, counts.entries) == (3, 0)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_collection_is_closed_by_a_tombstone() {
    let world = World::new(1);
    let replica = world.replica("one");
    let nothing = |_: &mut crate::PageEdit<'_>| Ok::<(), Refusal>(());
    replica.pages.close_collection(&tasks(), nothing).await.unwrap();
    assert!(world.memory.page(&tasks().page(0)).is_closed());
    let refused = world.replica("two").add(&tasks(), "late").await;
    assert!(matches!(refused, Err(EditError::Closed)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_the_end_of_a_collection_are_told_of_an_outage_together() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.fate.store_is_down(true);
    let appends: Vec<_> = (0..100)
        .map(|number| {
            let replica = replica.clone();
            tokio::spawn(async move { replica.add_once(&tasks(), "task", key(number)).await })
        })
        .collect();
    let started = Instant::now();
    for append in appends {
        let failed = append.await.unwrap();
        assert!(matches!(failed, Err(EditError::Unavailable(_))), "{failed:?}");
    }
    // One read takes up to three milliseconds.
    assert!(started.elapsed() < Duration::from_millis(10), "{:?}", started.elapsed());
    replica.fate.store_is_down(false);
    replica.add_once(&tasks(), "task", key(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_very_many_keys_the_newest_are_remembered() {
    let world = World::new(1);
    let configuration =
        |instance| Configuration { append_keys_per_collection: 20, ..World::configuration(instance) };
    let one = world.replica_with(configuration("one"), None);
    for number in 0..80 {
        one.add_once(&tasks(), &format!("task-{number}"), key(number)).await.unwrap();
    }
    let two = world.replica_with(configuration("two"), None);
    for (replica, older) in [(&one, 55), (&two, 54)] {
        // Those of the pages that it takes to have twenty.
        for number in 56..80 {
            let again = replica.add_once(&tasks(), "another", key(number)).await.unwrap();
            assert!(matches!(again, Once::Again(_)), "{number}: {again:?}");
        }
        let forgotten = replica.add_once(&tasks(), &format!("late-{older}"), key(older)).await.unwrap();
        assert!(matches!(forgotten, Once::First(10)), "{forgotten:?}");
    }
}
