//! State: one key, one compare-and-set.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Outcome, eventually, trials};
use tonic::{Code, Status};

use super::contract::Contract;
use super::sidecar::client;
use super::store::{Item, Store, expiring, first_write, item, last_write};

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        an_etag_counts_the_saves_of_a_key_from_one,
        a_save_with_a_stale_etag_is_aborted_and_writes_nothing,
        an_etag_on_a_missing_key_is_no_obstacle,
        the_etag_minus_one_inserts_only_what_is_missing,
        of_many_saves_with_one_etag_exactly_one_wins,
        an_etag_holds_with_first_write_and_without_options_but_not_with_last_write,
        a_save_without_etag_is_refused_once_a_key_was_saved_with_first_write,
        items_saved_in_one_call_are_each_on_their_own,
        an_etag_that_is_no_number_is_an_invalid_argument,
        refused_saves_do_not_close_the_store,
        a_circuit_breaker_would_take_refused_saves_for_an_outage,
        a_missing_key_has_an_empty_etag,
        a_bulk_get_answers_every_key_and_missing_ones_with_an_empty_etag,
        an_item_with_time_to_live_vanishes_even_if_it_is_saved_again_without,
        a_delete_is_refused_unless_its_etag_is_right,
        deleting_what_is_missing_succeeds,
        a_transaction_that_fails_is_not_rolled_back,
        a_value_of_three_mebibytes_passes,
        a_value_beyond_the_configured_body_size_is_refused,
    ]
}

fn refusal(result: Result<(), Status>) -> Option<Code> {
    result.err().map(|status| status.code())
}

async fn an_etag_counts_the_saves_of_a_key_from_one(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    let mut etag = "-1".to_owned();
    for number in 1..=12 {
        store.save("counted", format!("{number}"), &etag).await?;
        etag = store.get("counted").await?.etag;
        assert_eq!(etag, number.to_string());
    }
    Ok(())
}

async fn a_save_with_a_stale_etag_is_aborted_and_writes_nothing(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("stale", "one", "-1").await?;
    store.save("stale", "two", "1").await?;
    assert_eq!(refusal(store.save("stale", "three", "1").await), Some(Code::Aborted));
    assert_eq!(store.get("stale").await?, Item::new("two", "2"));
    Ok(())
}

/// A page is never removed while it can be written: the save of a writer that knew it would bring it back.
async fn an_etag_on_a_missing_key_is_no_obstacle(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("removed", "before", "41").await?;
    assert_eq!(store.get("removed").await?, Item::new("before", "1"));
    store.delete("removed", Some("1")).await?;
    store.save("removed", "after", "1").await?;
    assert_eq!(store.get("removed").await?, Item::new("after", "1"));
    Ok(())
}

async fn the_etag_minus_one_inserts_only_what_is_missing(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("inserted", "first", "-1").await?;
    assert_eq!(refusal(store.save("inserted", "second", "-1").await), Some(Code::Aborted));
    assert_eq!(store.get("inserted").await?, Item::new("first", "1"));
    Ok(())
}

async fn of_many_saves_with_one_etag_exactly_one_wins(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    for round in 0..10_u32 {
        let etag = if round == 0 { "-1".to_owned() } else { round.to_string() };
        let save = |writer: usize| {
            let (store, etag) = (&store, &etag);
            async move { store.save("contended", format!("{round} by {writer}"), etag).await }
        };
        let outcomes = join_all((0..32).map(save)).await;
        let winners: Vec<usize> =
            (0..).zip(&outcomes).filter(|(_, it)| it.is_ok()).map(|(it, _)| it).collect();
        let [winner] = winners[..] else { panic!("winners in round {round}: {winners:?}") };
        assert!(outcomes.into_iter().filter_map(refusal).all(|code| code == Code::Aborted));
        let etag = (round + 1).to_string();
        assert_eq!(store.get("contended").await?, Item::new(format!("{round} by {winner}"), &etag));
    }
    Ok(())
}

async fn an_etag_holds_with_first_write_and_without_options_but_not_with_last_write(
    contract: Arc<Contract>,
) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save_item(item("optional", "one", None)).await?;
    let stale = || item("optional", "two", Some("7"));
    assert_eq!(refusal(store.save_item(first_write(stale())).await), Some(Code::Aborted));
    assert_eq!(refusal(store.save_item(stale()).await), Some(Code::Aborted));
    assert_eq!(store.get("optional").await?, Item::new("one", "1"));
    store.save_item(last_write(stale())).await?;
    assert_eq!(store.get("optional").await?, Item::new("two", "2"));
    Ok(())
}

/// Every item of Tidemark is saved with first-write: nothing can overwrite it by forgetting the `ETag`.
async fn a_save_without_etag_is_refused_once_a_key_was_saved_with_first_write(
    contract: Arc<Contract>,
) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("branded", "one", "-1").await?;
    for careless in [item("branded", "two", None), last_write(item("branded", "two", Some("1")))] {
        let refused = store.save_item(careless).await;
        assert!(refused.is_err(), "a save without ETag has overwritten a first-write item");
    }
    assert_eq!(store.get("branded").await?, Item::new("one", "1"));
    Ok(())
}

/// The error does not say which item failed: Tidemark reads each of them again.
async fn items_saved_in_one_call_are_each_on_their_own(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("joined-b", "before", "-1").await?;
    let joined = |etag: &str| {
        let items = ["joined-a", "joined-b", "joined-c"];
        items.map(|key| first_write(item(key, "after", Some(etag)))).to_vec()
    };
    assert_eq!(refusal(store.save_items(joined("-1")).await), Some(Code::Aborted));
    assert_eq!(store.get("joined-a").await?, Item::new("after", "1"));
    assert_eq!(store.get("joined-b").await?, Item::new("before", "1"));
    assert_eq!(store.get("joined-c").await?, Item::new("after", "1"));
    store.save_items(joined("1")).await?;
    assert_eq!(store.get("joined-b").await?, Item::new("after", "2"));
    Ok(())
}

async fn an_etag_that_is_no_number_is_an_invalid_argument(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    assert_eq!(refusal(store.save("worded", "one", "latest").await), Some(Code::InvalidArgument));
    assert_eq!(store.get("worded").await?, Item::missing());
    Ok(())
}

async fn refused_saves_do_not_close_the_store(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("popular", "one", "-1").await?;
    for _ in 0..50 {
        assert_eq!(refusal(store.save("popular", "two", "-1").await), Some(Code::Aborted));
    }
    store.save("popular", "two", "1").await?;
    assert_eq!(store.get("popular").await?, Item::new("two", "2"));
    Ok(())
}

/// Why `dapr/resiliency.yaml` gives the state store none.
async fn a_circuit_breaker_would_take_refused_saves_for_an_outage(contract: Arc<Contract>) -> Outcome {
    let (sidecar, _calm) = contract.guarded().await?;
    let store = Store::new(client(sidecar)?);
    store.save("guarded", "one", "-1").await?;
    for _ in 0..5 {
        assert_eq!(refusal(store.save("guarded", "two", "-1").await), Some(Code::Aborted));
    }
    let closed = store.get("guarded").await.err();
    assert!(
        closed.as_ref().is_some_and(|status| status.message().contains("circuit breaker is open")),
        "{closed:?}"
    );
    Ok(())
}

async fn a_missing_key_has_an_empty_etag(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    assert_eq!(store.get("never saved").await?, Item::missing());
    Ok(())
}

async fn a_bulk_get_answers_every_key_and_missing_ones_with_an_empty_etag(
    contract: Arc<Contract>,
) -> Outcome {
    let (store, _calm) = contract.store().await?;
    let keys: Vec<String> = (0..40).map(|number| format!("bulk {number}")).collect();
    for key in keys.iter().step_by(2) {
        store.save(key, key.as_bytes(), "-1").await?;
    }
    let items = store.get_many(&keys).await?;
    assert_eq!(items.len(), keys.len());
    let mut found: HashMap<String, Item> = HashMap::new();
    for answer in items {
        assert_eq!(answer.error, "");
        found.insert(answer.key, Item { value: answer.data, etag: answer.etag });
    }
    for (number, key) in keys.iter().enumerate() {
        let expected = if number % 2 == 0 { Item::new(key.as_bytes(), "1") } else { Item::missing() };
        assert_eq!(found.get(key), Some(&expected), "{key}");
    }
    let twice = store.get_many(&["bulk 0".to_owned(), "bulk 0".to_owned()]).await?;
    assert_eq!(twice.len(), 2, "a key that is asked for twice is answered twice");
    Ok(())
}

async fn an_item_with_time_to_live_vanishes_even_if_it_is_saved_again_without(
    contract: Arc<Contract>,
) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save_item(expiring(first_write(item("lease", "one", Some("-1"))), 2)).await?;
    assert_eq!(store.get("lease").await?, Item::new("one", "1"));
    store.save("lease", "two", "1").await?;
    eventually("the lease has vanished", Duration::from_secs(5), async || match store.get("lease").await {
        Ok(item) if item == Item::missing() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    store.save("lease", "three", "-1").await?;
    assert_eq!(store.get("lease").await?, Item::new("three", "1"));
    Ok(())
}

async fn a_delete_is_refused_unless_its_etag_is_right(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("kept", "one", "-1").await?;
    store.save("kept", "two", "1").await?;
    assert_eq!(refusal(store.delete("kept", Some("1")).await), Some(Code::Aborted));
    assert_eq!(store.get("kept").await?, Item::new("two", "2"));
    store.delete("kept", Some("2")).await?;
    assert_eq!(store.get("kept").await?, Item::missing());
    Ok(())
}

async fn deleting_what_is_missing_succeeds(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.delete("never there", None).await?;
    store.delete("never there", Some("3")).await?;
    Ok(())
}

/// Why what must change together is in one key, and transactions are not used.
async fn a_transaction_that_fails_is_not_rolled_back(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    store.save("second of three", "before", "-1").await?;
    let failed = store
        .save_together(vec![
            first_write(item("first of three", "after", Some("-1"))),
            first_write(item("second of three", "after", Some("-1"))),
            first_write(item("third of three", "after", Some("-1"))),
        ])
        .await;
    assert_eq!(refusal(failed), Some(Code::Internal));
    assert_eq!(store.get("first of three").await?.value, b"after");
    assert_eq!(store.get("second of three").await?.value, b"before");
    assert_eq!(store.get("third of three").await?.value, b"after");
    Ok(())
}

async fn a_value_of_three_mebibytes_passes(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    let value: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    store.save("large", value.clone(), "-1").await?;
    assert!(store.get("large").await? == Item::new(value, "1"), "the value has changed on its way");
    Ok(())
}

async fn a_value_beyond_the_configured_body_size_is_refused(contract: Arc<Contract>) -> Outcome {
    let (store, _calm) = contract.store().await?;
    let value = vec![b'x'; 17 << 20];
    assert_eq!(refusal(store.save("too large", value, "-1").await), Some(Code::ResourceExhausted));
    assert_eq!(store.get("too large").await?, Item::missing());
    Ok(())
}
