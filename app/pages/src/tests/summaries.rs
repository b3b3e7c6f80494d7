//! Counts: derived, late by a moment, and true in the end.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use tokio::{task::JoinSet, time::sleep};

use super::world::{Call, SaveFault, World, collection, eventually, remove};
use crate::{CollectionKey, Summary, summary::Counts};

const SUMMARY: &str = "tasks/group/summary";

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

type Totals = (u32, u64, BTreeMap<String, u64>);

fn totals(summary: Summary) -> Totals {
    (summary.pages, summary.entries, summary.tally)
}

fn stored(world: &World) -> Totals {
    let stored = world.memory.peek(SUMMARY).map(|stored| stored.value);
    totals(Counts::decode(&tasks(), stored).unwrap().summary())
}

fn counted(pages: u32, tally: &[(&str, u64)]) -> Totals {
    let tally: BTreeMap<String, u64> =
        tally.iter().map(|&(label, entries)| (label.to_owned(), entries)).collect();
    (pages, tally.values().sum(), tally)
}

#[tokio::test(start_paused = true)]
async fn counts_follow_the_pages_and_many_changes_share_a_save() {
    let world = World::new(1);
    let replica = world.replica("one");
    for number in 0..20 {
        replica.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    replica.extend(&tasks().page(0), "task-0", "x").await.unwrap();
    replica.pages.edit(&tasks().page(1), remove("task-9", None)).await.unwrap();
    // This process knows at once; the store, and so everybody, a moment later.
    let expected = counted(3, &[("changed", 1), ("new", 18)]);
    assert_eq!(totals(replica.pages.summary(&tasks()).await.unwrap()), expected);
    eventually("the summary is written", || stored(&world) == expected).await;
    let other = world.replica("two");
    let summaries = other.pages.summaries(&[collection("nothing"), tasks()]).await.unwrap();
    let summaries: Vec<Totals> = summaries.into_iter().map(totals).collect();
    assert_eq!(summaries, [totals(Summary::default()), expected]);
    assert!(world.memory.calls(Call::Save, SUMMARY) < 5);
    let saves = world.memory.calls(Call::Save, SUMMARY);
    sleep(Duration::from_mins(5)).await;
    assert_eq!(world.memory.calls(Call::Save, SUMMARY), saves);
}

#[tokio::test(start_paused = true)]
async fn two_processes_merge_what_they_count() {
    let world = World::new(1);
    let replicas = [world.replica("one"), world.replica("two")];
    let mut adds = JoinSet::new();
    for number in 0..40 {
        let replica = replicas[number % 2].clone();
        adds.spawn(async move {
            sleep(Duration::from_millis(50 * u64::try_from(number).unwrap())).await;
            replica.add(&tasks(), &format!("task-{number}")).await
        });
    }
    assert!(adds.join_all().await.iter().all(Result::is_ok));
    eventually("all are counted", || stored(&world) == counted(5, &[("new", 40)])).await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_cannot_be_written_is_written_later() {
    let world = World::new(1);
    let replica = world.replica("one");
    for fault in
        [SaveFault::Lost, SaveFault::AnswerLost, SaveFault::FalselyRefused, SaveFault::RefusedByOwnEffect]
    {
        replica.fate.next_save(SUMMARY, fault);
    }
    replica.add(&tasks(), "task").await.unwrap();
    sleep(Duration::from_millis(200)).await;
    replica.fate.store_is_down(true);
    sleep(Duration::from_secs(10)).await;
    replica.fate.store_is_down(false);
    eventually("it is written", || stored(&world) == counted(1, &[("new", 1)])).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_finds_the_counts_behind_corrects_them() {
    let world = World::new(1);
    let one = world.replica("one");
    one.add(&tasks(), "task-0").await.unwrap();
    eventually("it is written", || stored(&world).1 == 1).await;
    let old = world.memory.peek(SUMMARY).unwrap().value;
    for number in 1..12 {
        one.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    one.pages.drain(Duration::from_secs(10)).await;
    world.memory.put(SUMMARY, old);
    assert_eq!(stored(&world).1, 1);
    let two = world.replica("two");
    two.pages.read_collection(&tasks(), 0, 10).await.unwrap();
    eventually("it is healed", || stored(&world) == counted(2, &[("new", 12)])).await;
}

#[tokio::test(start_paused = true)]
async fn counts_that_a_crash_has_kept_from_being_written_are_healed_by_the_sweep() {
    let world = World::new(1);
    let (one, _two) = (world.replica("one"), world.replica("two"));
    for number in 0..12 {
        one.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    one.crash().await;
    assert_eq!(stored(&world).1, 0);
    eventually("the sweep counts", || stored(&world) == counted(2, &[("new", 12)])).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_reading_of_a_page_does_not_undo_a_newer_count() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "a").await.unwrap();
    replica.add(&tasks(), "b").await.unwrap();
    let old =
        crate::page::Body::decode_stored(&tasks().page(0), world.memory.peek("tasks/group/0").unwrap().value)
            .unwrap();
    replica.pages.edit(&tasks().page(0), remove("a", None)).await.unwrap();
    let engine = &replica.pages.engine;
    engine.heal(&tasks().page(0), &old);
    assert_eq!(totals(replica.pages.summary(&tasks()).await.unwrap()), counted(1, &[("new", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_late_reading_does_not_undo_a_newer_one_that_counted_the_same() {
    let world = World::new(1);
    let (one, two) = (world.replica("one"), world.replica("two"));
    let page = tasks().page(0);
    one.add(&tasks(), "a").await.unwrap();
    two.pages.edit(&page, super::world::add("b")).await.unwrap();
    let stored = world.memory.peek("tasks/group/0").unwrap().value;
    let old = crate::page::Body::decode_stored(&page, stored).unwrap();
    two.pages.edit(&page, remove("b", None)).await.unwrap();
    // Nothing new to `one`, which never saw the other entry.
    one.pages.read(&page).await.unwrap();
    one.pages.engine.heal(&page, &old);
    assert_eq!(totals(one.pages.summary(&tasks()).await.unwrap()), counted(1, &[("new", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_cannot_be_decoded_is_an_error_of_its_readers() {
    let world = World::new(1);
    world.memory.put(SUMMARY, Bytes::from_static(b"\xffspoilt"));
    let replica = world.replica("one");
    replica.pages.summary(&tasks()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_a_later_program_wrote_is_not_written_over_and_asked_for_ever_more_rarely() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    eventually("the summary is written", || stored(&world) == counted(1, &[("new", 1)])).await;
    // Of format 9.
    world.memory.put("tasks/group/summary", bytes::Bytes::from_static(&[0x50, 9]));
    let before = world.memory.calls(Call::Get, "tasks/group/summary");
    replica.add(&tasks(), "more").await.unwrap();
    sleep(Duration::from_mins(5)).await;
    assert_eq!(&*world.memory.peek("tasks/group/summary").unwrap().value, [0x50, 9]);
    let asked = world.memory.calls(Call::Get, "tasks/group/summary") - before;
    assert!((2..30).contains(&asked), "{asked} times");
}
