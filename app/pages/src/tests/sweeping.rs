//! What a dead process left undone, and processes that only seem dead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use tokio::time::{Instant, sleep};

use super::world::{Call, Refusal, SaveFault, World, add, collection, eventually};
use crate::{
    CollectionKey, Configuration, PageEdit, PageKey, PageWork, Pages,
    bookkeeping::{Directory, Lease, Slot},
};

const PAGE: &str = "tasks/group/0";

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

fn page() -> PageKey {
    tasks().page(0)
}

fn directory(world: &World) -> Directory {
    let stored = world.memory.peek("pages/test/directory");
    stored.map(|stored| Directory::decode(stored.value).unwrap()).unwrap_or_default()
}

fn instances(world: &World) -> Vec<String> {
    directory(world).incarnations.into_iter().map(|incarnation| incarnation.instance).collect()
}

fn registered(world: &World) -> Vec<String> {
    let slots = world.memory.keys("pages/test/register/").into_iter();
    slots.flat_map(|slot| Slot::decode(world.memory.peek(&slot).unwrap().value).unwrap().pages).collect()
}

#[tokio::test(start_paused = true)]
async fn a_page_is_registered_before_it_is_first_saved() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.fate.hold(Call::Save, PAGE);
    let add = tokio::spawn(async move { replica.add(&tasks(), "task").await });
    eventually("it is registered", || registered(&world) == [PAGE]).await;
    assert_eq!(instances(&world), ["one"]);
    assert_eq!(world.memory.peek(PAGE), None);
    add.abort();
}

#[tokio::test(start_paused = true)]
async fn pages_that_begin_at_the_same_time_share_the_saves_of_the_register() {
    let world = World::new(1);
    let replica = world.replica("one");
    let mut adds = tokio::task::JoinSet::new();
    for number in 0..200 {
        let replica = replica.clone();
        adds.spawn(async move { replica.add(&collection(&format!("tasks/g{number}")), "task").await });
    }
    assert!(adds.join_all().await.iter().all(Result::is_ok));
    let saves = world.memory.calls_below(Call::Save, "pages/test/register/");
    assert!(saves <= 10, "{saves} saves for 200 pages");
    assert_eq!(registered(&world).len(), 200);
    // A page that is used again is known already.
    for number in 0..200 {
        replica.add(&collection(&format!("tasks/g{number}")), "more").await.unwrap();
    }
    assert_eq!(world.memory.calls_below(Call::Save, "pages/test/register/"), saves);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_has_been_put_away_leaves_the_register() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    assert_eq!(registered(&world), [PAGE]);
    eventually("it is put away", || replica.pages.engine.live_writers() == 0).await;
    eventually("it is struck out", || registered(&world).is_empty()).await;
    // And comes back when it is used again.
    replica.add(&tasks(), "more").await.unwrap();
    assert_eq!(registered(&world), [PAGE]);
}

#[tokio::test(start_paused = true)]
async fn a_register_of_more_pages_than_a_slot_holds_goes_on_in_the_next() {
    let world = World::new(1);
    let replica = world.replica("one");
    for round in 0..3 {
        let mut adds = tokio::task::JoinSet::new();
        for number in 0..200 {
            let replica = replica.clone();
            let name = format!("tasks/g{}", round * 200 + number);
            adds.spawn(async move { replica.add(&collection(&name), "task").await });
        }
        assert!(adds.join_all().await.iter().all(Result::is_ok));
    }
    assert_eq!(registered(&world).len(), 600);
    let slots = world.memory.keys("pages/test/register/");
    assert!((2..=3).contains(&slots.len()), "{slots:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_process_leaves_when_it_dies_at_any_save_goes_out_by_the_sweep_of_another() {
    for fault in [SaveFault::CrashBefore, SaveFault::CrashAfter] {
        let world = World::new(1);
        let (one, two) = (world.replica("one"), world.replica("two"));
        one.add(&tasks(), "task").await.unwrap();
        eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
        one.fate.next_save(PAGE, fault);
        let edit = tokio::spawn({
            let one = one.clone();
            async move { one.extend(&page(), "task", "a").await }
        });
        eventually("it dies", || !one.fate.is_alive()).await;
        edit.abort();
        one.crash().await;
        eventually("it is swept", || instances(&world) == ["two"]).await;
        eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
        let told = world.broker.first_payloads();
        if fault == SaveFault::CrashAfter {
            assert_eq!(told, ["task 1 added", "task 2 a"]);
        } else {
            assert_eq!(told, ["task 1 added"]);
        }
        assert_eq!(two.pages.health().unpublished, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_only_the_sweep_has_made_is_not_taken_for_the_end_of_its_collection() {
    let world = World::new(1);
    let one = world.replica("one");
    for number in 0..5 {
        one.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    // The next page is registered, since it will be wanted soon.
    eventually("it is expected", || registered(&world).contains(&"tasks/group/1".to_owned())).await;
    one.crash().await;
    let two = world.replica("two");
    eventually("it is swept", || instances(&world) == ["two"]).await;
    assert!(world.memory.peek("tasks/group/1").is_some());
    // Whatever the summary says of it.
    for name in ["three", "four"] {
        assert_eq!(world.replica(name).add(&tasks(), name).await.unwrap(), 0);
        let counts = "\u{12}\u{4}\u{8}\u{1}\u{10}\u{1}";
        world.memory.put("tasks/group/summary", Bytes::from(counts));
    }
    assert_eq!(two.pages.read_collection(&tasks(), 0, 9).await.unwrap().pages[0].entries().len(), 7);
    for number in 7..9 {
        two.add(&tasks(), &format!("task-{number}")).await.unwrap();
    }
    assert_eq!(world.memory.page(&tasks().page(1)).entries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_again_under_its_name_sweeps_its_former_life_at_once() {
    let world = World::new(1);
    let one = world.replica("one");
    one.fate.broker_is_down(true);
    one.add(&tasks(), "task").await.unwrap();
    one.crash().await;
    let started = Instant::now();
    let _again = world.replica("one");
    world.deliveries(1).await;
    // Its old lease still ran.
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
    assert_eq!(directory(&world).incarnations.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_sweep_takes_over_even_while_the_broker_is_down() {
    let world = World::new(1);
    let (one, two) = (world.replica("one"), world.replica("two"));
    one.fate.broker_is_down(true);
    two.fate.broker_is_down(true);
    one.add(&tasks(), "task").await.unwrap();
    one.crash().await;
    eventually("it is swept", || instances(&world) == ["two"]).await;
    assert!(registered(&world).contains(&PAGE.to_owned()), "nobody is responsible for the page");
    two.fate.broker_is_down(false);
    world.deliveries(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_the_store_never_lets_expire_does_not_keep_a_dead_process_alive() {
    let world = World::new(1);
    let (one, _two) = (world.replica("one"), world.replica("two"));
    one.fate.broker_is_down(true);
    one.add(&tasks(), "task").await.unwrap();
    one.crash().await;
    // The save went through, the time to live did not.
    let lease = world.memory.keys("pages/test/lease/").pop().unwrap();
    let value = world.memory.peek(&lease).unwrap().value;
    world.memory.put(&lease, value);
    world.deliveries(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_lives_is_not_swept() {
    let world = World::new(1);
    let (one, _two) = (world.replica("one"), world.replica("two"));
    one.fate.broker_is_down(true);
    one.add(&tasks(), "task").await.unwrap();
    let before = directory(&world).incarnations;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(directory(&world).incarnations, before);
    assert_eq!(world.broker.deliveries(), []);
}

#[tokio::test(start_paused = true)]
async fn a_process_cut_off_for_longer_than_its_lease_goes_on_as_a_new_incarnation() {
    let world = World::new(1);
    let (one, _two) = (world.replica("one"), world.replica("two"));
    one.add(&tasks(), "task").await.unwrap();
    let former = directory(&world).incarnations[0].id;
    one.fate.broker_is_down(true);
    one.extend(&page(), "task", "a").await.unwrap();
    one.fate.store_is_down(true);
    // The other takes over, while this one still believes to be the page's writer.
    world.deliveries(2).await;
    eventually("it is swept", || directory(&world).incarnations.iter().all(|known| known.id != former)).await;
    one.fate.store_is_down(false);
    assert_eq!(one.extend(&page(), "task", "b").await.unwrap(), 3);
    assert!(instances(&world).contains(&"one".to_owned()), "it writes unregistered");
    one.crash().await;
    world.deliveries(3).await;
    assert_eq!(world.broker.first_payloads(), ["task 1 added", "task 2 a", "task 3 b"]);
}

#[tokio::test(start_paused = true)]
async fn a_save_that_slept_through_the_sweep_is_refused_and_made_again_under_a_new_note() {
    let world = World::new(1);
    let (one, _two) = (world.replica("one"), world.replica("two"));
    one.add(&tasks(), "task").await.unwrap();
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
    let former = directory(&world).incarnations[0].id;
    // The process stops in the very moment before its save: nothing of it runs any more.
    one.fate.hold(Call::Save, "");
    let edit = tokio::spawn({
        let one = one.clone();
        async move { one.extend(&page(), "task", "a").await }
    });
    eventually("it is swept", || directory(&world).incarnations.iter().all(|known| known.id != former)).await;
    one.fate.broker_is_down(true);
    one.fate.let_go();
    assert_eq!(edit.await.unwrap().unwrap(), 2);
    one.crash().await;
    // Whoever was responsible for the page then has told of it.
    world.deliveries(2).await;
    assert_eq!(world.broker.first_payloads(), ["task 1 added", "task 2 a"]);
}

#[tokio::test(start_paused = true)]
async fn a_note_that_slept_through_the_sweep_is_refused() {
    let world = World::new(1);
    let (one, _two) = (world.replica("one"), world.replica("two"));
    one.add(&tasks(), "task").await.unwrap();
    let former = directory(&world).incarnations[0].id;
    one.fate.hold(Call::Save, "");
    let add = tokio::spawn({
        let one = one.clone();
        async move { one.add(&collection("tasks/other"), "late").await }
    });
    eventually("it is swept", || directory(&world).incarnations.iter().all(|known| known.id != former)).await;
    one.fate.broker_is_down(true);
    one.fate.let_go();
    add.await.unwrap().unwrap();
    one.crash().await;
    eventually("the late event goes out", || {
        world.broker.first_payloads().contains(&"late 1 added".to_owned())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_noted_where_a_sweep_has_been() {
    let world = World::new(1);
    let one = world.replica("one");
    one.add(&tasks(), "task").await.unwrap();
    let former = directory(&world).incarnations[0].id;
    // Another process by the same name takes it for its own former life.
    let _twin = world.replica("one");
    eventually("it is swept", || directory(&world).incarnations.iter().all(|known| known.id != former)).await;
    // Before it has looked at its lease again.
    one.add(&collection("tasks/other"), "late").await.unwrap();
    let noted_by_living = directory(&world).incarnations.iter().any(|living| {
        let slots = world.memory.keys(&format!("pages/test/register/{:016x}/", living.id));
        let notes = |slot: &String| Slot::decode(world.memory.peek(slot).unwrap().value).unwrap().pages;
        slots.iter().flat_map(notes).any(|page| page == "tasks/other/0")
    });
    assert!(noted_by_living, "nobody would look there");
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_lease_is_revoked_notices_by_itself() {
    let world = World::new(1);
    let one = world.replica("one");
    one.add(&tasks(), "task").await.unwrap();
    let former = directory(&world).incarnations[0].id;
    let lease = world.memory.keys("pages/test/lease/").pop().unwrap();
    let revoked = Lease { holder: former, beat: 0, revoked: true };
    world.memory.put(&lease, Bytes::from(revoked.encode_to_vec()));
    sleep(Duration::from_secs(4)).await;
    one.extend(&page(), "task", "a").await.unwrap();
    assert!(directory(&world).incarnations.iter().any(|known| known.id != former), "it goes on as before");
}

#[tokio::test(start_paused = true)]
async fn one_process_sweeps_at_a_time_and_another_takes_over_when_it_dies() {
    let world = World::new(1);
    let mut replicas = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let replica = world.replica(name);
        replica.add(&collection(&format!("tasks/{name}")), "task").await.unwrap();
        replicas.push(replica);
    }
    sleep(Duration::from_mins(5)).await;
    assert_eq!(directory(&world).fencing, 1, "the sweep's lease has changed hands");
    // Whoever sweeps dies, then the next one.
    for round in 2..4 {
        let stored = world.memory.peek("pages/test/sweeper").unwrap();
        let holder = Lease::decode(stored.value).unwrap().holder;
        let index = replicas.iter().position(|replica| replica.pages.engine.process == holder).unwrap();
        let dead = replicas.swap_remove(index);
        let name = dead.pages.engine.configuration.instance.clone();
        dead.crash().await;
        eventually("it is swept", || !instances(&world).contains(&name)).await;
        assert_eq!(directory(&world).fencing, round);
    }
}

/// Work that is done at the second call, or never while it is blocked.
#[derive(Default)]
struct Cascade {
    calls: AtomicUsize,
    blocked: AtomicBool,
}

#[async_trait]
impl PageWork for Cascade {
    async fn resume(&self, pages: &Pages, page: &PageKey, marker: &str) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.blocked.load(Ordering::Relaxed) || call == 0 {
            return;
        }
        let marker = marker.to_owned();
        let clear = move |page: &mut PageEdit<'_>| Ok::<_, Refusal>(page.clear_pending(&marker));
        assert!(pages.edit(page, clear).await.unwrap());
    }
}

async fn leave_work(replica: &super::world::Replica) {
    let edit = |page: &mut PageEdit<'_>| {
        page.set_pending("cascade:1");
        page.set_pending("cascade:1");
        Ok::<_, Refusal>(())
    };
    replica.pages.edit(&page(), edit).await.unwrap();
}

fn replica_with_work(world: &World, name: &str) -> (super::world::Replica, Arc<Cascade>) {
    let cascade = Arc::new(Cascade::default());
    (world.replica_with(World::configuration(name), Some(cascade.clone())), cascade)
}

#[tokio::test(start_paused = true)]
async fn work_left_by_a_commit_is_called_until_its_marker_is_gone() {
    let world = World::new(1);
    let (one, cascade) = replica_with_work(&world, "one");
    leave_work(&one).await;
    assert_eq!(world.memory.page(&page()).pending(), ["cascade:1"]);
    eventually("it is done", || world.memory.page(&page()).pending().is_empty()).await;
    sleep(Duration::from_mins(5)).await;
    assert_eq!(cascade.calls.load(Ordering::Relaxed), 2);
    assert_eq!(one.pages.engine.live_writers(), 0);
}

#[tokio::test(start_paused = true)]
async fn work_that_a_crash_has_cut_short_is_resumed_by_the_process_that_sweeps_and_by_no_other() {
    let world = World::new(1);
    let (one, first) = replica_with_work(&world, "one");
    first.blocked.store(true, Ordering::Relaxed);
    let (two, second) = replica_with_work(&world, "two");
    leave_work(&one).await;
    // Merely using the page does not make its work one's own.
    two.pages.edit(&page(), add("task")).await.unwrap();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(second.calls.load(Ordering::Relaxed), 0);
    assert!(first.calls.load(Ordering::Relaxed) > 3);
    eventually("a page that only waits for another is put away", || two.pages.engine.live_writers() == 0)
        .await;
    one.crash().await;
    eventually("it is done", || world.memory.page(&page()).pending().is_empty()).await;
    assert_eq!(second.calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn namespaces_in_one_store_do_not_sweep_each_other() {
    let world = World::new(1);
    let one = world.replica("one");
    let _other = world.replica_with(
        Configuration { namespace: "accounts".to_owned(), ..World::configuration("two") },
        None,
    );
    one.fate.broker_is_down(true);
    one.add(&tasks(), "task").await.unwrap();
    one.crash().await;
    sleep(Duration::from_mins(5)).await;
    assert_eq!(world.broker.deliveries(), []);
}

/// Two processes that die with one event unpublished in each of three collections.
async fn two_that_die(world: &World) {
    for name in ["one", "two"] {
        let replica = world.replica(name);
        replica.fate.broker_is_down(true);
        for group in ["a", "b", "c"] {
            replica
                .add(&collection(&format!("tasks/{name}-{group}")), &format!("{name}-{group}"))
                .await
                .unwrap();
        }
        replica.crash().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_cannot_be_read_stops_the_sweep_of_no_other_and_is_swept_once_it_can() {
    let world = World::new(1);
    two_that_die(&world).await;
    let damaged = world.memory.peek("tasks/one-b/0").unwrap().value;
    world.memory.put("tasks/one-b/0", Bytes::from_static(b"\xff"));
    let _three = world.replica("three");
    world.deliveries(5).await;
    eventually("the other process is swept", || !instances(&world).contains(&"two".to_owned())).await;
    // Longer than a tombstone stays.
    sleep(Duration::from_hours(3)).await;
    assert_eq!(instances(&world), ["one", "three"]);
    let kept = world.memory.keys("pages/test/register/").into_iter().filter_map(|slot| {
        let slot = Slot::decode(world.memory.peek(&slot)?.value).unwrap();
        (slot.swept && !slot.pages.is_empty()).then_some(slot.pages)
    });
    assert_eq!(kept.collect::<Vec<_>>(), [["tasks/one-b/0"]]);
    world.memory.put("tasks/one-b/0", damaged);
    world.deliveries(6).await;
    eventually("it is swept", || instances(&world) == ["three"]).await;
}

#[tokio::test(start_paused = true)]
async fn bookkeeping_that_cannot_be_read_stops_the_sweep_of_no_other_process() {
    for item in ["register", "lease"] {
        let world = World::new(1);
        two_that_die(&world).await;
        let first = directory(&world).incarnations[0].id;
        let damaged = world.memory.keys(&format!("pages/test/{item}/{first:016x}")).pop().unwrap();
        world.memory.put(&damaged, Bytes::from_static(b"\xff"));
        let _three = world.replica("three");
        eventually("the other process is swept", || !instances(&world).contains(&"two".to_owned())).await;
        world.deliveries(3).await;
        assert!(instances(&world).contains(&"one".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_own_former_life_cannot_be_swept_sweeps_others_all_the_same() {
    let world = World::new(1);
    two_that_die(&world).await;
    world.memory.put("tasks/one-b/0", Bytes::from_static(b"\xff"));
    let _again = world.replica("one");
    world.deliveries(5).await;
    eventually("the other process is swept", || !instances(&world).contains(&"two".to_owned())).await;
}

#[tokio::test(start_paused = true)]
async fn a_note_that_was_saved_is_found_whatever_the_store_has_answered() {
    for fault in [SaveFault::AnswerLost, SaveFault::RefusedByOwnEffect] {
        for item in ["lease", "directory", "register"] {
            let world = World::new(1);
            let replica = world.replica("one");
            for _ in 0..4 {
                replica.fate.next_save(&format!("pages/test/{item}"), fault);
            }
            replica.add(&tasks(), "task").await.unwrap();
            assert_eq!(registered(&world), [PAGE]);
        }
    }
}
