//! What cannot become a line of the log is put aside, and holds nothing up.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidemark_acceptance::{Outcome, eventually};

use super::observer::Seen;
use super::run::Trial;
use super::world::{World, sentences, unique};
use crate::trials;

const WITHIN: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    trials![
        what_is_no_event_goes_to_the_dead_letters_and_later_events_go_on,
        an_event_that_the_database_never_takes_goes_to_the_dead_letters,
        an_event_that_comes_twice_adds_no_line,
    ]
}

/// An event by hand, in the form for probes.
fn probe(group: &str, changes: &str) -> Value {
    let event_id =
        format!("{:08x}-0000-7000-8000-{:012x}", rand::random::<u32>(), rand::random::<u64>() >> 16);
    json!({
        "eventId": event_id,
        "eventType": "updated",
        "timestamp": 1_780_000_000_000_i64,
        "payload": {
            "entity": "Group", "entityId": group, "entityVersion": 7, "groupId": group, "groupName": "probed",
            "changes": changes, "user": "probe", "userId": "u", "workspace": "default",
            "timestamp": 1_780_000_000_000_i64,
        },
    })
}

/// Waits until the log of the group says this.
async fn logged(world: &World, group: &str, changes: &str) -> Outcome {
    eventually(changes, WITHIN, async || {
        let log = world.log_of_group(world.member(), group).await.map_err(|failure| failure.to_string())?;
        if sentences(&log).contains(&changes) { Ok(()) } else { Err(format!("{:?}", sentences(&log))) }
    })
    .await
}

/// Publishes poison between two probes. All of it must arrive where it belongs.
async fn put_aside(world: &World, poison: Vec<(Vec<u8>, &str)>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    let mut payloads = vec![probe(&group, "before the poison").to_string().into_bytes()];
    payloads.extend(poison.iter().map(|(bytes, _)| bytes.clone()));
    payloads.push(probe(&group, "after the poison").to_string().into_bytes());
    world.observer.publish(&group, payloads).await?;
    logged(world, &group, "before the poison").await?;
    logged(world, &group, "after the poison").await?;
    for (bytes, reason) in poison {
        let letter: Arc<Seen> = world
            .observer
            .in_dead_letters(reason, WITHIN, |seen| seen.iter().find(|seen| seen.payload == bytes).cloned())
            .await?;
        let told = letter.metadata.get("reason").map(String::as_str).unwrap_or_default();
        assert!(told.contains(reason), "{told:?} does not say {reason:?}");
        assert_eq!(letter.metadata.get("originTopic").map(String::as_str), Some("todo-history-events"));
        for place in ["originPartition", "originOffset"] {
            let place = letter.metadata.get(place).map(|place| place.parse::<u64>());
            assert!(matches!(place, Some(Ok(_))), "{:?}", letter.metadata);
        }
    }
    Ok(())
}

async fn what_is_no_event_goes_to_the_dead_letters_and_later_events_go_on(world: Arc<World>) -> Outcome {
    let mark = unique("poison").into_bytes();
    let with_mark = |start: &[u8]| [start, &mark].concat();
    put_aside(
        &world,
        vec![
            (with_mark(b"\xff\xfegarbage "), "starts neither"),
            (with_mark(b"\x00\x00\x00\x03\xe7"), "schema 999"),
            (with_mark(b"\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff"), "does not fit the schema"),
            (json!({ "mark": unique("poison") }).to_string().into_bytes(), "is not an event"),
            (with_mark(b"{"), "is not an event"),
        ],
    )
    .await
}

async fn an_event_that_the_database_never_takes_goes_to_the_dead_letters(world: Arc<World>) -> Outcome {
    let zero = probe("g00000000000000000g00", &format!("a\u{0}b {}", unique("poison")));
    let mut no_id = probe("g00000000000000000g00", "no id");
    no_id["eventId"] = json!(unique("no id"));
    let mut too_long = probe("g00000000000000000g00", "too long");
    too_long["payload"]["groupName"] = json!("x".repeat(256));
    let mut no_time = probe("g00000000000000000g00", "no time");
    no_time["timestamp"] = json!(i64::MAX);
    put_aside(
        &world,
        vec![
            (zero.to_string().into_bytes(), "Unicode"),
            (no_id.to_string().into_bytes(), "no UUID"),
            (too_long.to_string().into_bytes(), "too long"),
            (no_time.to_string().into_bytes(), ""),
        ],
    )
    .await
}

async fn an_event_that_comes_twice_adds_no_line(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "once").await?;
    let created = world
        .observer
        .on_ledger("the task's creation", WITHIN, |seen| seen.iter().find(|seen| seen.is_of(&task)).cloned())
        .await?;
    let again = created.payload.to_vec();
    // A batch with two of the same, and the same once more by itself; then something new on the same partition.
    world.observer.publish(&group, [again.clone(), again.clone()]).await?;
    world.observer.publish(&group, [again]).await?;
    world.observer.publish(&group, [probe(&group, "later").to_string().into_bytes()]).await?;
    logged(&world, &group, "later").await?;
    let log = world.log_of_task(api, &task).await?;
    assert_eq!(sentences(&log), ["Task 'once' was created"]);
    let sql = "SELECT count(*)::text AS rows FROM todo_event_logs WHERE task_id = $1";
    assert_eq!(world.observer.rows(sql, &[&task]).await?, [json!({ "rows": "1" })]);
    Ok(())
}
