//! Numbers of appended entries: one after the other over all pages and processes, and back to their page.

use std::time::Duration;

use bytes::Bytes;
use tokio::{task::JoinSet, time::sleep};

use super::world::{Call, Refusal, World, add, collection, eventually, remove};
use crate::{CollectionKey, Configuration, EditError, PageEdit};

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

/// The numbers of all entries, page by page.
fn numbers(world: &World) -> Vec<Vec<u64>> {
    let pages = (0..).map(|number| world.memory.page(&tasks().page(number)));
    let numbers = pages.map(|page| page.entries().iter().map(|entry| entry.number).collect::<Vec<u64>>());
    numbers.take_while(|page| !page.is_empty()).collect()
}

#[tokio::test(start_paused = true)]
async fn entries_are_numbered_without_gaps_over_pages_and_processes() {
    let world = World::new(1);
    let replicas = [world.replica("one"), world.replica("two")];
    let mut adds = JoinSet::new();
    for number in 0..40 {
        let replica = replicas[number % 2].clone();
        adds.spawn(async move { replica.add(&tasks(), &format!("task-{number}")).await });
    }
    for added in adds.join_all().await {
        added.unwrap();
    }
    assert_eq!(numbers(&world).concat(), (1..=40).collect::<Vec<u64>>());
    let first = world.memory.page(&tasks().page(3)).first_number();
    assert_eq!(first, numbers(&world)[3][0]);
}

#[tokio::test(start_paused = true)]
async fn a_number_is_told_beforehand_and_never_given_twice() {
    let world = World::new(1);
    let replica = world.replica("one");
    let put = |name: &'static str, refuses: bool| {
        move |page: &mut PageEdit<'_>| {
            let number = page.sequence();
            page.put(name, "new", Bytes::new());
            page.put(name, "changed", Bytes::new());
            if refuses { Err(Refusal::Exists) } else { Ok(number) }
        }
    };
    let append = async |name, refuses| match replica.pages.append(&tasks(), None, put(name, refuses)).await {
        Ok(crate::Once::First(number)) => Some(number),
        Err(EditError::Rejected(_)) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(append("a", false).await, Some(1));
    // A rejected append takes none.
    assert_eq!(append("b", true).await, None);
    assert_eq!(append("b", false).await, Some(2));
    replica.pages.edit(&tasks().page(0), remove("b", None)).await.unwrap();
    assert_eq!(append("c", false).await, Some(3));
    // An edit gives none, and changes none.
    assert_eq!(replica.pages.edit(&tasks().page(0), put("d", false)).await.unwrap(), 0);
    assert_eq!(replica.pages.edit(&tasks().page(0), put("c", false)).await.unwrap(), 0);
    assert_eq!(numbers(&world), [[1, 3, 0]]);
    let entries = world.memory.page(&tasks().page(0));
    assert_eq!(entries.numbered(3).unwrap().id, "c");
    assert_eq!((entries.numbered(0), entries.numbered(2)), (None, None));
}

#[tokio::test(start_paused = true)]
async fn numbers_go_on_after_a_restart_with_one_look_at_the_page_before() {
    for entries in 7..11 {
        let world = World::new(1);
        let one = world.replica("one");
        for number in 0..entries {
            one.add(&tasks(), &format!("task-{number}")).await.unwrap();
        }
        one.crash().await;
        let two = world.replica("two");
        let before = world.memory.calls(Call::Get, "tasks/group/0");
        for number in entries..12 {
            two.add(&tasks(), &format!("task-{number}")).await.unwrap();
        }
        assert!(world.memory.calls(Call::Get, "tasks/group/0") - before <= 2);
        assert_eq!(numbers(&world).concat(), (1..=12).collect::<Vec<u64>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_filled_by_edits_does_not_break_the_numbers() {
    let world = World::new(1);
    let replica = world.replica("one");
    for number in 0..8 {
        replica.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    for number in 0..9 {
        replica.pages.edit(&tasks().page(1), add(&format!("other-{number}"))).await.unwrap();
    }
    assert_eq!(replica.add(&tasks(), "late").await.unwrap(), 2);
    assert_eq!(world.memory.page(&tasks().page(2)).get("late").unwrap().number, 9);
}

#[tokio::test(start_paused = true)]
async fn a_number_leads_to_its_page_also_before_the_summary_has_followed() {
    let world = World::new(1);
    let configuration =
        Configuration { summary_after: Duration::from_mins(10), ..World::configuration("one") };
    let late = world.replica_with(configuration, None);
    for number in 0..20 {
        late.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    // Nobody else has a summary yet; and later, one of the first pages.
    for _ in 0..2 {
        for replica in [&late, &world.replica("reader")] {
            for number in [1, 8, 9, 17, 20] {
                let page = replica.pages.read_numbered(&tasks(), number).await.unwrap().unwrap();
                assert_eq!(page.numbered(number).unwrap().id, format!("task-{}", number - 1));
            }
            for number in [0, 21] {
                assert!(replica.pages.read_numbered(&tasks(), number).await.unwrap().is_none());
            }
        }
        sleep(Duration::from_mins(11)).await;
    }
    late.pages.edit(&tasks().page(1), remove("task-9", None)).await.unwrap();
    assert!(late.pages.read_numbered(&tasks(), 10).await.unwrap().is_none());
    eventually("the summary tells where numbers begin", || {
        let stored = world.memory.peek("tasks/group/summary").map(|stored| stored.value);
        let counts = crate::summary::Counts::decode(&tasks(), stored).unwrap();
        let summary = counts.summary();
        [1, 8, 9, 16, 17].map(|number| summary.page_of(number)) == [0, 0, 1, 1, 2].map(Some)
    })
    .await;
}
