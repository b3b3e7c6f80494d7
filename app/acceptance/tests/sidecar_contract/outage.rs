//! Redis gone, frozen and killed: what the sidecar says, and what is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{self, join_all, try_join_all};
use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Failure, Outcome, eventually, trials};
use tidemark_stack::Part;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::contract::Contract;
use super::store::{Item, Store, first_write, item};

const SOON: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        while_redis_is_down_calls_fail_fast_and_saves_with_an_etag_look_like_conflicts,
        a_save_to_a_frozen_redis_fails_for_its_caller_and_may_happen_all_the_same,
        what_was_saved_survives_a_kill_of_redis,
    ]
}

fn code<T>(result: &Result<T, Status>) -> Option<Code> {
    result.as_ref().err().map(Status::code)
}

/// Waits until the sidecar has found Redis again by itself.
async fn reachable(store: &Store) -> Outcome {
    eventually("the store answers again", SOON, async || store.get("anything").await).await?;
    Ok(())
}

/// An outage is not told apart from a conflict by the code: the application reads before it says "conflict".
async fn while_redis_is_down_calls_fail_fast_and_saves_with_an_etag_look_like_conflicts(
    contract: Arc<Contract>,
) -> Outcome {
    let (store, _alone) = contract.store_to_disturb().await?;
    let (sidecar, redis) = (contract.tidemark().await?.part(), contract.stack.part("redis")?);
    store.save("kept through an outage", "one", "-1").await?;
    let before = sidecar.pid();

    redis.stop().await?;
    let started = Instant::now();
    let get = store.get("kept through an outage").await;
    let get_many = store.get_many(&["kept through an outage".to_owned()]).await;
    let save = store.save("kept through an outage", "two", "1").await;
    let insert = store.save("new", "one", "-1").await;
    let save_without_etag = store.save_item(item("new", "one", None)).await;
    let delete = store.delete("kept through an outage", Some("1")).await;
    let elapsed = started.elapsed();
    redis.start().await?;
    redis.wait_healthy(SOON).await?;
    reachable(&store).await?;

    assert_eq!(code(&get), Some(Code::Internal), "{get:?}");
    assert_eq!(code(&save), Some(Code::Aborted), "{save:?}");
    assert_eq!(code(&insert), Some(Code::Aborted), "{insert:?}");
    assert_eq!(code(&save_without_etag), Some(Code::Internal), "{save_without_etag:?}");
    assert_eq!(code(&delete), Some(Code::Aborted), "{delete:?}");
    let errors: Vec<String> = get_many?.into_iter().map(|answer| answer.error).collect();
    assert!(errors.len() == 1 && errors.iter().all(|error| !error.is_empty()), "{errors:?}");
    assert!(elapsed < Duration::from_secs(2), "six calls took {elapsed:?}");

    store.save("kept through an outage", "two", "1").await?;
    assert_eq!(store.get("kept through an outage").await?, Item::new("two", "2"));
    assert_eq!(sidecar.pid(), before, "the sidecar went on");
    Ok(())
}

/// Why no failed save may be taken for one that did not happen, whatever its code.
async fn a_save_to_a_frozen_redis_fails_for_its_caller_and_may_happen_all_the_same(
    contract: Arc<Contract>,
) -> Outcome {
    let (store, _alone) = contract.store_to_disturb().await?;
    let redis = contract.stack.part("redis")?;

    // The caller's own client gives up first and says so with `Cancelled`, unless the sidecar, which gives
    // up at the same moment, has answered before: with `Aborted`, or with `Internal` if it told the end of the time
    // from a conflict.
    let given_up = [Code::Cancelled, Code::DeadlineExceeded, Code::Aborted, Code::Internal];
    let keys = saved_many(&store, "given up by the caller").await?;
    let impatient = store.with_deadline(Duration::from_secs(1));
    let saves = join_all(keys.iter().map(|key| impatient.save(key, "two", "1")));
    let calls = future::join(saves, impatient.get("anything"));
    let ((by_caller, read), elapsed) = while_frozen(&redis, calls).await?;
    let has_given_up = |code: Option<Code>| code.is_some_and(|code| given_up.contains(&code));
    assert!(by_caller.iter().all(|save| has_given_up(code(save))), "{by_caller:?}");
    assert!(has_given_up(code(&read)), "{read:?}");
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    some_happened(&store, &keys).await?;

    // The component's `readTimeout` ends before the sidecar's policy, and looks like a conflict.
    let keys = saved_many(&store, "given up by the sidecar").await?;
    let saves = join_all(keys.iter().map(|key| store.save(key, "two", "1")));
    let (by_sidecar, elapsed) = while_frozen(&redis, saves).await?;
    assert!(by_sidecar.iter().all(|save| code(save) == Some(Code::Aborted)), "{by_sidecar:?}");
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
    some_happened(&store, &keys).await
}

/// Makes the calls while the part stands still, and tells how long they took.
async fn while_frozen<T>(part: &Part, calls: impl Future<Output = T>) -> Outcome<(T, Duration)> {
    part.pause().await?;
    let started = Instant::now();
    let answers = calls.await;
    let elapsed = started.elapsed();
    part.resume().await?;
    part.wait_healthy(SOON).await?;
    Ok((answers, elapsed))
}

/// Keys with a first value. So many that one of the saves that come next takes a connection that has been used: the
/// spare ones (`minIdleConns`, four) still have to introduce themselves to Redis, and a save that waits for that is
/// never sent.
async fn saved_many(store: &Store, name: &str) -> Outcome<Vec<String>> {
    let keys: Vec<String> = (0..8).map(|number| format!("{name} {number}")).collect();
    reachable(store).await?;
    try_join_all(keys.iter().map(|key| store.save(key, "one", "-1"))).await?;
    Ok(keys)
}

async fn some_happened(store: &Store, keys: &[String]) -> Outcome {
    eventually("a save that was given up happens", SOON, async || {
        let items =
            try_join_all(keys.iter().map(|key| store.get(key))).await.map_err(|status| status.to_string())?;
        if items.contains(&Item::new("two", "2")) { Ok(()) } else { Err(format!("{items:?}")) }
    })
    .await?;
    Ok(())
}

async fn what_was_saved_survives_a_kill_of_redis(contract: Arc<Contract>) -> Outcome {
    let (store, _alone) = contract.store_to_disturb().await?;
    let redis = contract.stack.part("redis")?;
    let keys: Vec<String> = (0..200).map(|number| format!("durable {number}")).collect();
    for key in &keys {
        store.save_item(first_write(item(key, key.as_bytes(), Some("-1")))).await?;
    }
    eventually("Redis has handed its log to the operating system", SOON, async || {
        let state = persistence(&contract).await.map_err(|failure| failure.to_string())?;
        let is_written = |field: &str| state.lines().any(|line| line == field);
        if is_written("aof_buffer_length:0") && is_written("aof_pending_bio_fsync:0") {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await?;

    redis.kill().await?;
    redis.wait_healthy(SOON).await?;
    reachable(&store).await?;
    for key in &keys {
        assert_eq!(store.get(key).await?, Item::new(key.as_bytes(), "1"));
    }
    Ok(())
}

/// What Redis itself says of its log.
async fn persistence(contract: &Contract) -> Outcome<String> {
    let address = contract.stack.redis_address().ok_or_else(|| Failure::new("there is no Redis"))?;
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("AUTH {}\r\nINFO persistence\r\nQUIT\r\n", contract.stack.secrets().redis_password);
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}
