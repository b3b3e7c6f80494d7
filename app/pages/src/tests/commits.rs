//! One save for all who wait, and what became of a save that failed.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::world::{
    Call, Refusal, Replica, SaveFault, TRACE, Trace, World, add, collection, emit, eventually, extend,
    remove, text,
};
use crate::{CollectionKey, Configuration, EditError, PageKey};

const PAGE: &str = "tasks/group/0";

fn tasks() -> CollectionKey {
    collection("tasks/group")
}

fn page() -> PageKey {
    tasks().page(0)
}

/// A world with one replica that has added `task`, and has nothing left to tidy.
async fn settled() -> (World, Replica) {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.add(&tasks(), "task").await.unwrap();
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
    (world, replica)
}

fn value(world: &World, name: &str) -> String {
    text(&world.memory.page(&page()).get(name).unwrap().value).to_owned()
}

fn saves(world: &World) -> usize {
    world.memory.calls(Call::Save, PAGE)
}

#[tokio::test(start_paused = true)]
async fn a_save_belongs_to_the_trace_of_its_command_if_that_is_recorded() {
    let (world, replica) = settled().await;
    let [unrecorded, recorded] = [false, true].map(|is_recorded| Trace { number: 1, is_recorded });
    TRACE.scope(unrecorded, replica.extend(&page(), "task", "quietly")).await.unwrap();
    TRACE.scope(recorded, replica.extend(&page(), "task", "seen")).await.unwrap();
    replica.extend(&page(), "task", "later").await.unwrap();
    assert_eq!(world.memory.traces(PAGE), [recorded]);
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_while_a_save_is_under_way_share_the_next_one() {
    let (world, replica) = settled().await;
    let before = saves(&world);
    replica.fate.hold(Call::Save, PAGE);
    let first = tokio::spawn({
        let replica = replica.clone();
        async move { replica.extend(&page(), "task", "first").await }
    });
    replica.fate.waiting.notified().await;
    let others: Vec<_> = (0..50)
        .map(|number| {
            let replica = replica.clone();
            tokio::spawn(async move { replica.extend(&page(), "task", &format!("w{number}")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    replica.fate.let_go();
    assert_eq!(first.await.unwrap().unwrap(), 2);
    let mut versions = Vec::new();
    for other in others {
        versions.push(other.await.unwrap().unwrap());
    }
    assert_eq!(versions, (3..53).collect::<Vec<u64>>());
    assert_eq!(saves(&world) - before, 2);
}

#[tokio::test(start_paused = true)]
async fn commands_that_come_while_their_page_waits_for_its_turn_share_a_save() {
    let world = World::new(1);
    let configuration = Configuration {
        batches_at_once: 1,
        longest_wait: Duration::from_mins(1),
        ..World::configuration("one")
    };
    let replica = world.replica_with(configuration, None);
    replica.add(&tasks(), "task").await.unwrap();
    replica.add(&collection("tasks/other"), "task").await.unwrap();
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
    let before = saves(&world);
    replica.fate.hold(Call::Save, "tasks/other/0");
    let extend = |page: PageKey, word: String| {
        let replica = replica.clone();
        tokio::spawn(async move { replica.extend(&page, "task", &word).await })
    };
    let other = extend(collection("tasks/other").page(0), "slow".to_owned());
    replica.fate.waiting.notified().await;
    let mut commands = Vec::new();
    for number in 0..10 {
        commands.push(extend(page(), format!("w{number}")));
        // Each is with the writer before the next one begins.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    replica.fate.let_go();
    other.await.unwrap().unwrap();
    for command in commands {
        command.await.unwrap().unwrap();
    }
    assert_eq!(saves(&world) - before, 1);
}

#[tokio::test(start_paused = true)]
async fn a_page_goes_ahead_when_its_turn_does_not_come() {
    let world = World::new(1);
    let configuration = Configuration { batches_at_once: 1, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.add(&tasks(), "task").await.unwrap();
    replica.fate.hold(Call::Save, "tasks/other/0");
    let stuck = tokio::spawn({
        let replica = replica.clone();
        async move { replica.add(&collection("tasks/other"), "task").await }
    });
    replica.fate.waiting.notified().await;
    replica.extend(&page(), "task", "a").await.unwrap();
    assert_eq!(value(&world, "task"), "task,a");
    replica.fate.let_go();
    stuck.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_save_after_a_save_needs_no_read() {
    let (world, replica) = settled().await;
    let reads = world.memory.calls(Call::Get, PAGE);
    for word in ["a", "b", "c"] {
        replica.extend(&page(), "task", word).await.unwrap();
    }
    assert_eq!(world.memory.calls(Call::Get, PAGE), reads);
    assert_eq!(value(&world, "task"), "task,a,b,c");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_count_is_read_before_every_save() {
    let world = World::new(1);
    let replica = world.replica_without_guesses("one");
    replica.add(&tasks(), "task").await.unwrap();
    let reads = world.memory.calls(Call::Get, PAGE);
    for word in ["a", "b", "c"] {
        replica.extend(&page(), "task", word).await.unwrap();
    }
    assert_eq!((world.memory.calls(Call::Get, PAGE), saves(&world)), (reads + 3, 4));
    assert_eq!(value(&world, "task"), "task,a,b,c");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_guess_costs_a_reload_and_loses_nothing() {
    let (world, replica) = settled().await;
    let stored = world.memory.peek(PAGE).unwrap();
    world.memory.put(PAGE, stored.value);
    let reads = world.memory.calls(Call::Get, PAGE);
    replica.extend(&page(), "task", "a").await.unwrap();
    assert_eq!(world.memory.calls(Call::Get, PAGE), reads + 1);
    assert_eq!(value(&world, "task"), "task,a");
}

#[tokio::test(start_paused = true)]
async fn a_save_whose_answer_is_lost_is_found_and_not_repeated() {
    for fault in [SaveFault::AnswerLost, SaveFault::RefusedByOwnEffect] {
        let (world, replica) = settled().await;
        let before = saves(&world);
        replica.fate.next_save(PAGE, fault);
        assert_eq!(replica.extend(&page(), "task", "a").await.unwrap(), 2);
        assert_eq!(saves(&world) - before, 1);
        assert_eq!(value(&world, "task"), "task,a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_did_not_happen_is_made_again() {
    for fault in [SaveFault::Lost, SaveFault::FalselyRefused] {
        let (world, replica) = settled().await;
        replica.fate.next_save(PAGE, fault);
        assert_eq!(replica.extend(&page(), "task", "a").await.unwrap(), 2);
        assert_eq!(value(&world, "task"), "task,a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_arrives_after_its_repeat_does_no_harm() {
    for delay in 1..80 {
        let (world, replica) = settled().await;
        replica.fate.next_save(PAGE, SaveFault::Delayed(Duration::from_millis(delay)));
        assert_eq!(replica.extend(&page(), "task", "a").await.unwrap(), 2);
        assert_eq!(replica.extend(&page(), "task", "b").await.unwrap(), 3);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(value(&world, "task"), "task,a,b");
        let payloads = world.broker.first_payloads();
        assert_eq!(payloads, ["task 1 added", "task 2 a", "task 3 b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn edits_of_two_processes_on_one_page_all_happen() {
    let (world, one) = settled().await;
    let two = world.replica("two");
    let mut edits = tokio::task::JoinSet::new();
    for number in 0..20 {
        let replica = if number % 2 == 0 { one.clone() } else { two.clone() };
        edits.spawn(async move { replica.extend(&page(), "task", &format!("w{number}")).await });
    }
    let mut versions: Vec<u64> = edits.join_all().await.into_iter().map(Result::unwrap).collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..22).collect::<Vec<u64>>());
    assert_eq!(value(&world, "task").split(',').count(), 21);
}

/// Loses the answer to a save of `one`, and lets others save before `one` can look what became of it.
async fn edit_with_others_in_between(others: usize) -> (World, Result<u64, EditError<Refusal>>) {
    let (world, one) = settled().await;
    one.fate.next_save(PAGE, SaveFault::AnswerLost);
    one.fate.hold(Call::Get, PAGE);
    let edit = tokio::spawn({
        let one = one.clone();
        async move { one.extend(&page(), "task", "mine").await }
    });
    one.fate.waiting.notified().await;
    for number in 0..others {
        let other = world.replica(&format!("other-{number}"));
        other.extend(&page(), "task", &format!("w{number}")).await.unwrap();
        other.crash().await;
    }
    one.fate.let_go();
    let answer = edit.await.unwrap();
    (world, answer)
}

#[tokio::test(start_paused = true)]
async fn a_save_is_recognised_under_the_saves_of_others() {
    let (world, answer) = edit_with_others_in_between(7).await;
    assert_eq!(answer.unwrap(), 2);
    assert_eq!(value(&world, "task"), "task,mine,w0,w1,w2,w3,w4,w5,w6");
}

#[tokio::test(start_paused = true)]
async fn a_save_under_too_many_others_has_an_unknown_outcome() {
    let (world, answer) = edit_with_others_in_between(8).await;
    assert!(matches!(answer, Err(EditError::OutcomeUnknown(_))), "{answer:?}");
    assert_eq!(value(&world, "task").matches("mine").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_before_anything_was_tried_is_unavailable() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.fate.store_is_down(true);
    assert!(matches!(replica.add(&tasks(), "task").await, Err(EditError::Unavailable(_))));
    let edited = replica.extend(&page(), "task", "a").await;
    assert!(matches!(edited, Err(EditError::Unavailable(_))), "{edited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_down_with_a_save_under_way_leaves_an_unknown_outcome_and_never_a_conflict() {
    let (world, replica) = settled().await;
    replica.fate.next_save(PAGE, SaveFault::AnswerLost);
    replica.fate.hold(Call::Get, PAGE);
    let edit = tokio::spawn({
        let replica = replica.clone();
        async move { replica.extend(&page(), "task", "a").await }
    });
    replica.fate.waiting.notified().await;
    replica.fate.store_is_down(true);
    replica.fate.let_go();
    let answer = timeout(Duration::from_secs(7), edit).await.unwrap().unwrap();
    assert!(matches!(answer, Err(EditError::OutcomeUnknown(_))), "{answer:?}");
    // Its event goes out all the same, without anybody asking for the page again.
    replica.fate.store_is_down(false);
    world.deliveries(2).await;
    assert_eq!(world.broker.first_payloads(), ["task 1 added", "task 2 a"]);
    eventually("the outbox is tidied", || world.memory.outbox(&page()) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_keeps_changing_is_a_conflict_after_the_last_attempt() {
    let (world, replica) = settled().await;
    let memory = world.memory.clone();
    let edit = move |page: &mut crate::PageEdit<'_>| {
        // Somebody else is faster, each time.
        let stored = memory.peek(PAGE).unwrap();
        memory.put(PAGE, stored.value);
        extend("task", "a")(page)
    };
    let answer = replica.pages.edit(&page(), edit).await;
    assert!(matches!(answer, Err(EditError::Conflict { attempts: 8 })), "{answer:?}");
    assert_eq!(value(&world, "task"), "task");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_rejected_for_a_page_that_has_moved_on() {
    let (world, one) = settled().await;
    let two = world.replica("two");
    assert_eq!(two.extend(&page(), "task", "a").await.unwrap(), 2);
    // `one` still has version 1 in memory.
    let stale = one.pages.edit(&page(), remove("task", Some(1))).await;
    assert!(matches!(stale, Err(EditError::Rejected(Refusal::Stale { current: 2 }))), "{stale:?}");
    one.extend(&page(), "task", "b").await.unwrap();
    two.pages.edit(&page(), remove("task", Some(3))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_needs_no_save_costs_one_look_at_the_page() {
    let (world, replica) = settled().await;
    let before = (world.memory.calls(Call::Get, PAGE), saves(&world));
    let rejected = replica.pages.edit(&page(), remove("task", Some(9))).await;
    assert!(matches!(rejected, Err(EditError::Rejected(_))), "{rejected:?}");
    replica.pages.edit(&page(), |_: &mut crate::PageEdit<'_>| Ok::<_, Refusal>(())).await.unwrap();
    assert_eq!((world.memory.calls(Call::Get, PAGE), saves(&world)), (before.0 + 2, before.1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_edit_leaves_nothing_behind() {
    let (world, replica) = settled().await;
    replica.fate.hold(Call::Save, PAGE);
    let first = tokio::spawn({
        let replica = replica.clone();
        async move { replica.extend(&page(), "task", "a").await }
    });
    replica.fate.waiting.notified().await;
    let rejected = tokio::spawn({
        let replica = replica.clone();
        async move {
            let edit = |page: &mut crate::PageEdit<'_>| {
                page.put("task", "spoilt", Bytes::from_static(b"spoilt"));
                page.put("other", "spoilt", Bytes::from_static(b"spoilt"));
                page.remove("task");
                page.set_pending("spoilt");
                page.close();
                emit(page, "task", 99, "spoilt");
                Err::<(), _>(Refusal::Exists)
            };
            replica.pages.edit(&page(), edit).await
        }
    });
    let last = tokio::spawn({
        let replica = replica.clone();
        async move { replica.extend(&page(), "task", "b").await }
    });
    tokio::task::yield_now().await;
    replica.fate.let_go();
    assert_eq!(first.await.unwrap().unwrap(), 2);
    assert!(matches!(rejected.await.unwrap(), Err(EditError::Rejected(Refusal::Exists))));
    assert_eq!(last.await.unwrap().unwrap(), 3);
    let view = world.memory.page(&page());
    assert_eq!(view.entries().len(), 1);
    assert_eq!(text(&view.get("task").unwrap().value), "task,a,b");
    assert_eq!(view.pending(), [] as [String; 0]);
    assert!(!view.is_closed());
    world.deliveries(3).await;
    assert_eq!(world.broker.first_payloads(), ["task 1 added", "task 2 a", "task 3 b"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_edit_is_its_callers_alone() {
    let (world, replica) = settled().await;
    let panicking = tokio::spawn({
        let replica = replica.clone();
        async move {
            let edit = |page: &mut crate::PageEdit<'_>| -> Result<(), Refusal> {
                page.put("task", "spoilt", Bytes::new());
                panic!("on purpose");
            };
            replica.pages.edit(&page(), edit).await
        }
    });
    let other = replica.extend(&page(), "task", "a").await;
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(other.unwrap(), 2);
    assert_eq!(value(&world, "task"), "task,a");
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_caller_has_gone_away_is_not_carried_out() {
    let (world, replica) = settled().await;
    replica.fate.hold(Call::Save, PAGE);
    let first = tokio::spawn({
        let replica = replica.clone();
        async move { replica.extend(&page(), "task", "a").await }
    });
    replica.fate.waiting.notified().await;
    let abandoned = tokio::spawn({
        let replica = replica.clone();
        async move { replica.extend(&page(), "task", "abandoned").await }
    });
    tokio::task::yield_now().await;
    abandoned.abort();
    tokio::task::yield_now().await;
    replica.fate.let_go();
    first.await.unwrap().unwrap();
    assert_eq!(replica.extend(&page(), "task", "b").await.unwrap(), 3);
    assert_eq!(value(&world, "task"), "task,a,b");
}

#[tokio::test(start_paused = true)]
async fn more_commands_than_may_wait_are_refused_at_once() {
    let world = World::new(1);
    let configuration =
        crate::Configuration { mailbox: 2, commands_per_save: 1, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.add(&tasks(), "task").await.unwrap();
    replica.fate.hold(Call::Save, PAGE);
    let edit = |word: &'static str| {
        let replica = replica.clone();
        tokio::spawn(async move { replica.extend(&page(), "task", word).await })
    };
    let saving = edit("first");
    replica.fate.waiting.notified().await;
    let waiting = [edit("second"), edit("third")];
    tokio::task::yield_now().await;
    let refused = replica.pages.append(&tasks(), None, add("more")).await;
    assert!(matches!(refused, Err(EditError::Overloaded)), "{refused:?}");
    replica.fate.let_go();
    saving.await.unwrap().unwrap();
    for one in waiting {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_is_lost_every_time_is_given_up_after_a_while() {
    let world = World::new(1);
    let configuration = Configuration { attempts: 10_000, ..World::configuration("one") };
    let replica = world.replica_with(configuration, None);
    replica.add(&tasks(), "task").await.unwrap();
    for _ in 0..10_000 {
        replica.fate.next_save(PAGE, SaveFault::Lost);
    }
    let patience = replica.pages.engine.configuration.resolve_within;
    let started = Instant::now();
    let given_up = replica.extend(&page(), "task", "a").await;
    assert!(matches!(given_up, Err(EditError::OutcomeUnknown(_))), "{given_up:?}");
    assert!(started.elapsed() < patience + Duration::from_millis(100), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_page_that_cannot_be_had_are_told_at_once() {
    let world = World::new(1);
    let replica =
        world.replica_with(Configuration { commands_per_save: 4, ..World::configuration("one") }, None);
    replica.fate.hold(Call::Get, PAGE);
    let edits: Vec<_> = (0..50)
        .map(|number| {
            let replica = replica.clone();
            tokio::spawn(async move { replica.extend(&page(), "task", &format!("w{number}")).await })
        })
        .collect();
    replica.fate.waiting.notified().await;
    replica.fate.store_is_down(true);
    let started = Instant::now();
    replica.fate.let_go();
    for edit in edits {
        let failed = edit.await.unwrap();
        assert!(matches!(failed, Err(EditError::Unavailable(_))), "{failed:?}");
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}
