//! What an edit sees and does, and edits that are carried out once.

use std::time::Duration;

use bytes::Bytes;

use super::world::{
    Refusal, Replica, World, add, collection, emit, eventually, extend, key, keyed, remove, text,
};
use crate::{Configuration, EditError, Entry, FirstAnswer, Limit, LimitExceeded, Once, PageEdit, PageKey};

fn users() -> PageKey {
    collection("users").page(7)
}

async fn rename(replica: &Replica, number: u64, word: &str) -> Result<Once<u64>, EditError<Refusal>> {
    replica.pages.edit_once(&users(), key(number), extend("ann", word)).await
}

#[tokio::test(start_paused = true)]
async fn a_put_counts_versions_and_a_removed_entry_begins_again() {
    let world = World::new(1);
    let replica = world.replica("one");
    let edit = |page: &mut PageEdit<'_>| {
        assert_eq!(page.number(), 7);
        let versions = [page.next_version("ann"), page.put("ann", "a", Bytes::from_static(b"1"))];
        let later = [page.next_version("ann"), page.put("ann", "b", Bytes::from_static(b"2"))];
        let removed = page.remove("ann");
        Ok::<_, Refusal>((versions, later, removed, page.remove("ann"), page.put("ann", "c", Bytes::new())))
    };
    let (versions, later, removed, nothing, again) = replica.pages.edit(&users(), edit).await.unwrap();
    assert_eq!((versions, later), ([1, 1], [2, 2]));
    let second = Entry {
        id: "ann".to_owned(),
        version: 2,
        label: "b".to_owned(),
        value: Bytes::from_static(b"2"),
        number: 0,
    };
    assert_eq!((removed, nothing, again), (Some(second), None, 1));
    assert_eq!(world.memory.page(&users()).get("ann").unwrap().label, "c");
}

#[tokio::test(start_paused = true)]
async fn entries_keep_the_order_in_which_they_were_first_put() {
    let world = World::new(1);
    let replica = world.replica("one");
    for name in ["c", "a", "b"] {
        replica.pages.edit(&users(), add(name)).await.unwrap();
    }
    replica.pages.edit(&users(), extend("c", "x")).await.unwrap();
    replica.pages.edit(&users(), remove("a", None)).await.unwrap();
    let order: Vec<String> =
        world.memory.page(&users()).entries().iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(order, ["c", "b"]);
}

#[tokio::test(start_paused = true)]
async fn event_ids_are_of_the_time_of_the_commit_and_grow() {
    let world = World::new(1);
    let replica = world.replica("one");
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let edit = |page: &mut PageEdit<'_>| {
        let ids: Vec<uuid::Uuid> = (0..100).map(|_| page.event_id()).collect();
        Ok::<_, Refusal>((page.now(), ids))
    };
    let (now, mut ids) = replica.pages.edit(&users(), edit).await.unwrap();
    let (_, more) = replica.pages.edit(&users(), edit).await.unwrap();
    ids.extend(more);
    assert!(ids.is_sorted_by(|a, b| a < b));
    for id in &ids {
        assert_eq!(id.get_version(), Some(uuid::Version::SortRand));
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    }
    let (seconds, _) = ids[0].get_timestamp().unwrap().to_unix();
    assert_eq!(i64::try_from(seconds).unwrap(), now.as_second());
    assert_eq!(now.as_second(), 1_800_001_000);
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_changes_nothing_saves_nothing() {
    let world = World::new(1);
    let replica = world.replica("one");
    let look = |page: &mut PageEdit<'_>| Ok::<_, Refusal>(page.entries().len());
    assert_eq!(replica.pages.edit(&users(), look).await.unwrap(), 0);
    assert_eq!(world.memory.keys(""), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_under_a_key_is_carried_out_once() {
    let world = World::new(1);
    let one = world.replica("one");
    one.pages.edit_once(&users(), key(1), add("ann")).await.unwrap();
    assert_eq!(rename(&one, 2, "first").await.unwrap(), Once::First(2));
    one.pages.edit(&users(), extend("ann", "second")).await.unwrap();
    for replica in [&one, &world.replica("two")] {
        let Once::Again(first) = rename(replica, 2, "other").await.unwrap() else { panic!("renamed twice") };
        assert_eq!(first.page, users());
        let entry = first.entry.unwrap();
        assert_eq!((entry.version, text(&entry.value)), (2, "ann,first"));
    }
    let reused = one.pages.edit_once(&users(), keyed(2, 9), extend("ann", "other")).await;
    assert!(matches!(reused, Err(EditError::KeyReused)), "{reused:?}");
    assert_eq!(text(&world.memory.page(&users()).get("ann").unwrap().value), "ann,first,second");
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_puts_nothing_is_remembered_too() {
    let world = World::new(1);
    let replica = world.replica("one");
    replica.pages.edit(&users(), add("ann")).await.unwrap();
    let remove_once = remove("ann", None);
    replica.pages.edit_once(&users(), key(1), remove_once.clone()).await.unwrap();
    replica.pages.edit(&users(), add("ann")).await.unwrap();
    let look = |page: &mut PageEdit<'_>| Ok::<_, Refusal>(page.entries().len());
    assert_eq!(replica.pages.edit_once(&users(), key(2), look).await.unwrap(), Once::First(1));
    for replica in [&replica, &world.replica("two")] {
        let again = replica.pages.edit_once(&users(), key(1), remove_once.clone()).await.unwrap();
        let nothing = FirstAnswer { page: users(), entry: None, answer: Bytes::new() };
        assert_eq!(again, Once::Again(nothing.clone()));
        assert_eq!(replica.pages.edit_once(&users(), key(2), look).await.unwrap(), Once::Again(nothing));
    }
    assert_eq!(text(&world.memory.page(&users()).get("ann").unwrap().value), "ann");
}

/// Puts an entry, and answers so many bytes.
fn answering(name: &str, bytes: usize) -> impl Fn(&mut PageEdit<'_>) -> Result<(), Refusal> + Clone + use<> {
    let name = name.to_owned();
    move |page: &mut PageEdit<'_>| {
        page.put(&name, "answered", Bytes::new());
        page.answer(Bytes::from(vec![7; bytes]));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_may_say_what_its_repeats_are_told() {
    let world = World::new(1);
    let one = world.replica("one");
    let collection = users().collection().clone();
    assert_eq!(one.pages.edit_once(&users(), key(1), answering("ann", 4096)).await.unwrap(), Once::First(()));
    one.pages.append(&collection, Some(key(2)), answering("bob", 1)).await.unwrap();
    one.pages.edit(&users(), remove("ann", None)).await.unwrap();
    for replica in [&one, &world.replica("two")] {
        let again = replica.pages.edit_once(&users(), key(1), answering("ann", 4096)).await.unwrap();
        let told = FirstAnswer { page: users(), entry: None, answer: Bytes::from(vec![7; 4096]) };
        assert_eq!(again, Once::Again(told));
        let again = replica.pages.append(&collection, Some(key(2)), answering("bob", 1)).await.unwrap();
        let told = FirstAnswer { page: collection.page(0), entry: None, answer: Bytes::from_static(&[7]) };
        assert_eq!(again, Once::Again(told));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_fails_its_edit() {
    let world = World::new(1);
    let replica = world.replica("one");
    let refused = replica.pages.edit_once(&users(), key(1), answering("ann", 4097)).await;
    let limit = LimitExceeded { limit: Limit::AnswerBytes, allowed: 4096, found: 4097 };
    assert!(matches!(&refused, Err(EditError::LimitExceeded(told)) if *told == limit), "{refused:?}");
    assert_eq!(world.memory.page(&users()).entries(), []);
    replica.pages.edit_once(&users(), key(1), answering("ann", 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_page_remembers_only_so_many_keys_of_edits_and_drops_the_oldest() {
    let world = World::new(1);
    let replica =
        world.replica_with(Configuration { edit_keys_per_page: 3, ..World::configuration("one") }, None);
    replica.pages.append(users().collection(), Some(key(9)), add("bob")).await.unwrap();
    replica.pages.edit(&users(), add("ann")).await.unwrap();
    for number in 1..=4 {
        rename(&replica, number, &format!("w{number}")).await.unwrap();
    }
    for number in 2..=4 {
        assert!(matches!(rename(&replica, number, "x").await.unwrap(), Once::Again(_)));
    }
    assert_eq!(rename(&replica, 1, "x").await.unwrap(), Once::First(6));
    // Those of appends are kept for their time.
    let again = replica.pages.append(users().collection(), Some(key(9)), add("bob")).await.unwrap();
    assert!(matches!(again, Once::Again(_)));
}

#[tokio::test(start_paused = true)]
async fn the_sizes_that_limits_ask_for_stay_true() {
    let world = World::new(1);
    let replica = world.replica("one");
    let page = collection("users").page(0);
    replica.pages.append(page.collection(), Some(key(1)), add("ann")).await.unwrap();
    for number in 0..20 {
        let addition = format!("w{number}");
        replica.pages.edit_once(&page, key(100 + number), extend("ann", &addition)).await.unwrap();
        let rejected = |page: &mut PageEdit<'_>| {
            page.put("ann", "x", Bytes::from_static(b"x"));
            emit(page, "ann", 0, "x");
            Err::<(), _>(Refusal::Exists)
        };
        replica.pages.edit(&page, rejected).await.unwrap_err();
    }
    replica.pages.edit(&page, remove("ann", None)).await.unwrap();
    eventually("the outbox is tidied", || world.memory.outbox(&page) == 0).await;
    // What was counted along the way is what a reading of the stored page counts.
    let stored = world.memory.peek(&page.to_string()).unwrap().value;
    let counted = crate::page::Page::decode(&page, stored.clone()).unwrap();
    let rest = stored.len() - counted.bytes();
    assert!((0..200).contains(&rest), "{rest} bytes beside entries, keys and outbox");
}
