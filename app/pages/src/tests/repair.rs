//! What is damaged behind everybody's back, and mended beside the replicas that use it.

use std::sync::Mutex;

use bytes::Bytes;
use proptest::{prelude::*, sample::Index};
use prost::Message;

use super::world::{SaveFault, World, add, collection, eventually, text};
use crate::{
    Damage, Entry, Examined, PageKey, Repair, Use, Verdict,
    page::{FORMAT, Page},
};

fn page(number: u32) -> PageKey {
    collection("tasks/group").page(number)
}

/// An owner whose entries are words: what does not end with "!" is fine, and "lost!" cannot be saved.
fn judge(entry: &Entry) -> Verdict {
    match text(&entry.value) {
        "lost!" => Verdict::Remove,
        word if word.ends_with('!') => Verdict::Replace(word.trim_end_matches('!').to_owned().into()),
        _ => Verdict::Sound,
    }
}

async fn examine(world: &World, number: u32, mends: bool) -> Examined {
    let store = world.store();
    Repair::new(&store, mends).page(&page(number), Use::Appended, judge, |_| ()).await.unwrap().unwrap()
}

fn stored(world: &World, number: u32) -> Bytes {
    world.memory.peek(&page(number).to_string()).unwrap().value
}

fn names(world: &World, number: u32) -> Vec<String> {
    world.memory.page(&page(number)).entries().iter().map(|entry| entry.id.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn entries_that_their_owner_cannot_read_are_mended_or_removed_and_the_others_stay() {
    let world = World::new(1);
    let replica = world.replica("one");
    for name in ["fine", "hurt!", "lost!"] {
        replica.add(&collection("tasks/group"), name).await.unwrap();
    }
    world.deliveries(3).await;
    let before = stored(&world, 0);
    let found = examine(&world, 0, false).await;
    assert!(!found.is_sound() && found.damage.is_empty());
    assert_eq!(stored(&world, 0), before, "looking changes nothing");
    assert_eq!(examine(&world, 0, true).await, found);
    assert!(examine(&world, 0, true).await.is_sound());
    let view = world.memory.page(&page(0));
    let mended = view.get("hurt!").unwrap();
    assert_eq!((text(&mended.value), mended.version), ("hurt", 2));
    assert_eq!(names(&world, 0), ["fine", "hurt!"]);
    // The replica that knew the page as it was meets the mend as it meets another replica's save.
    assert_eq!(replica.extend(&page(0), "hurt!", "again").await.unwrap(), 3);
    assert_eq!(replica.add(&collection("tasks/group"), "later").await.unwrap(), 0);
    assert_eq!(names(&world, 0), ["fine", "hurt!", "later"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_page_that_cannot_be_decoded_every_part_that_can_is_kept() {
    let world = World::new(1);
    let replica = world.replica("one");
    for number in 0..20 {
        replica.add(&collection("tasks/group"), &format!("entry-{number}")).await.unwrap();
    }
    world.deliveries(20).await;
    replica.crash().await;
    // In the middle of the fourth entry.
    let mut bytes = stored(&world, 1).to_vec();
    let place = bytes.windows(8).position(|part| part == b"entry-11").unwrap();
    bytes.truncate(place + 2);
    world.memory.put(&page(1).to_string(), bytes.into());
    let replica = world.replica("two");
    assert!(replica.pages.read(&page(1)).await.unwrap_err().is_unreadable());
    let found = examine(&world, 1, true).await;
    assert_eq!(found.damage.len(), 1, "{:?}", found.damage);
    assert_eq!(names(&world, 1), ["entry-8", "entry-9", "entry-10"]);
    let view = replica.pages.read(&page(1)).await.unwrap();
    assert_eq!((view.is_sealed(), view.format(), view.first_number()), (true, Some(FORMAT), 9));
    // The collection goes on where it went on before.
    assert_eq!(replica.add(&collection("tasks/group"), "later").await.unwrap(), 2);
    let last = world.memory.page(&page(2));
    assert_eq!(last.entries().iter().map(|entry| entry.number).collect::<Vec<_>>(), [17, 18, 19, 20, 21]);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_which_nothing_is_left_does_not_end_its_collection() {
    let world = World::new(1);
    let replica = world.replica("one");
    for number in 0..20 {
        replica.add(&collection("tasks/group"), &format!("entry-{number}")).await.unwrap();
    }
    world.deliveries(20).await;
    world.memory.put(&page(1).to_string(), Bytes::from_static(&[0xff; 20]));
    assert!(examine(&world, 1, true).await.is_sealed);
    let read = replica.pages.read_collection(&collection("tasks/group"), 0, 9).await.unwrap();
    let numbers: Vec<u32> = read.pages.iter().map(|view| view.key().number()).collect();
    assert_eq!((numbers, read.next), (vec![0, 1, 2], None));
    eventually_counts(&world, 12).await;
}

async fn eventually_counts(world: &World, entries: usize) {
    let stored = || world.memory.peek("tasks/group/summary").map(|stored| stored.value);
    let counted = || {
        let counts = crate::summary::Counts::decode(page(0).collection(), stored()).unwrap();
        counts.summary().entries == entries as u64
    };
    eventually("the summary follows the mended page", counted).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_decoded_holds_up_its_page_until_it_is_taken_out() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.fate.broker_is_down(true);
    for name in ["a", "b"] {
        replica.add(&collection("tasks/group"), name).await.unwrap();
    }
    replica.crash().await;
    let mut body = crate::page::Body::decode_stored(&page(0), stored(&world, 0)).unwrap();
    body.outbox[0] = Bytes::from_static(&[0xff, 0xff]);
    world.memory.put(&page(0).to_string(), body.encode_to_vec().into());
    let replica = world.replica("two");
    assert!(replica.extend(&page(0), "a", "word").await.is_err());
    let fault = "event 0 of the page cannot be decoded".to_owned();
    let damage = Damage { fault, stored: Bytes::from_static(&[0xff, 0xff]) };
    assert_eq!(examine(&world, 0, true).await.damage, [damage]);
    assert_eq!(replica.extend(&page(0), "a", "word").await.unwrap(), 2);
    assert_eq!(world.deliveries(2).await[0].entity, "b");
}

#[tokio::test(start_paused = true)]
async fn what_a_mend_leaves_out_is_told_before_it_is_saved_also_if_the_answer_to_the_save_is_lost() {
    for fault in [SaveFault::AnswerLost, SaveFault::RefusedByOwnEffect, SaveFault::FalselyRefused] {
        let world = World::new(1);
        let damaged = crate::page::Body { outbox: vec![Bytes::from_static(&[0xff])], ..Default::default() };
        let damaged = Bytes::from(damaged.encode_to_vec());
        world.memory.put(&page(0).to_string(), damaged.clone());
        let store = world.failing_store(fault);
        let told = Mutex::new(Vec::new());
        let tell = |found: &Examined| told.lock().unwrap().push((found.damage.clone(), stored(&world, 0)));
        Repair::new(&store, true).page(&page(0), Use::Appended, judge, tell).await.unwrap();
        let told = told.into_inner().unwrap();
        assert_eq!((&told[0].0[0].stored[..], &told[0].1), (&[0xff][..], &damaged), "{fault:?}");
        assert_ne!(stored(&world, 0), damaged, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_cannot_be_decoded_is_found_anew() {
    let world = World::new(1);
    let replica = world.replica("one");
    for number in 0..20 {
        replica.add(&collection("tasks/group"), &format!("entry-{number}")).await.unwrap();
    }
    eventually_counts(&world, 20).await;
    replica.crash().await;
    world.memory.put("tasks/group/summary", Bytes::from_static(&[0xff; 20]));
    let replica = world.replica("two");
    assert!(replica.pages.summary(page(0).collection()).await.unwrap_err().is_unreadable());
    let store = world.store();
    let damage = Repair::new(&store, true).summary(page(0).collection()).await.unwrap();
    assert!(damage.is_some());
    let read = replica.pages.read_collection(page(0).collection(), 0, 9).await.unwrap();
    assert_eq!(read.pages.len(), 3);
    eventually_counts(&world, 20).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_later_program_wrote_is_not_mended() {
    let world = World::new(1);
    let later = Bytes::from(crate::page::Body { format: FORMAT + 1, ..Default::default() }.encode_to_vec());
    world.memory.put(&page(0).to_string(), later.clone());
    let store = world.store();
    assert!(Repair::new(&store, true).page(&page(0), Use::Appended, judge, |_| ()).await.is_err());
    assert_eq!(stored(&world, 0), later);
}

fn a_page() -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(1);
        let replica = world.replica("one");
        replica.fate.broker_is_down(true);
        for number in 0..8 {
            replica
                .pages
                .append(&collection("tasks/group"), Some(super::world::key(number)), add(&number.to_string()))
                .await
                .unwrap();
        }
        stored(&world, 0).to_vec()
    })
}

proptest! {
    #[test]
    fn any_damage_is_mended_to_a_page_that_can_be_used(changes in prop::collection::vec(any::<(Index, u8)>(), 0..4), cut in any::<Option<Index>>()) {
        let mut bytes = a_page();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let world = World::new(1);
            world.memory.put(&page(0).to_string(), bytes.into());
            let store = world.store();
            let sound = |_: &Entry| Verdict::Sound;
            let examine = async || {
                Repair::new(&store, true).page(&page(0), Use::Appended, sound, |_| ()).await
            };
            match examine().await {
                Ok(_) => {
                    Page::decode(&page(0), stored(&world, 0)).unwrap();
                    assert!(examine().await.unwrap().unwrap().is_sound());
                }
                // The damage made a later format of it.
                Err(fault) => assert!(fault.is_unreadable()),
            }
        });
    }
}
