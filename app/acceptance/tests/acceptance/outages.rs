//! What callers see while a part is gone, and that all is well again when it is back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome, eventually};
use tidemark_stack::{Part, Phase};
use tokio::time::Instant;

use super::api::{Answer, Api};
use super::run::Trial;
use super::world::{RECOVERY, World, sentences, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        without_redis_callers_are_told_to_come_back_and_are_served_when_it_is_back,
        a_frozen_redis_is_told_in_time_and_a_repeated_request_finds_out_what_was_done,
        without_kafka_the_board_works_and_events_arrive_in_order_when_it_is_back,
        without_postgres_the_board_works_and_events_arrive_when_it_is_back,
    ]
}

/// No answer may take longer, whatever is broken.
const LONGEST_ANSWER: Duration = Duration::from_secs(12);

/// Takes a part away as a crash would, and keeps it away.
pub async fn take_away(part: &Part) -> Outcome {
    part.set_auto_restart(false).await?;
    part.kill().await?;
    part.wait_for(RECOVERY, |status| status.phase == Phase::Stopped).await?;
    Ok(())
}

pub async fn bring_back(part: &Part) -> Outcome {
    part.set_auto_restart(true).await?;
    part.start().await?;
    part.wait_healthy(RECOVERY).await?;
    Ok(())
}

/// The process ids of the whole application: the same before and after if nothing was restarted.
fn application(world: &World) -> Outcome<Vec<Option<u32>>> {
    let mut pids = Vec::new();
    for role in ["accounts", "tasks", "history", "notifications", "gateway"] {
        pids.extend(world.processes(role)?.iter().map(Part::pid));
    }
    Ok(pids)
}

/// Waits until the health of the installation is as `wanted`, and returns it.
async fn health(world: &World, status: u16, wanted: &str, service: &str) -> Outcome<Value> {
    let health = eventually(&format!("health {status} {wanted}"), RECOVERY, async || {
        let answer = world.anonymous().get("/api/health").await.map_err(|failure| failure.to_string())?;
        let document = answer.json();
        let is_wanted = answer.status.as_u16() == status
            && document["status"] == json!(wanted)
            && document["services"][service] == json!("unhealthy");
        if is_wanted { Ok(document) } else { Err(answer.text()) }
    })
    .await?;
    assert!(health["error"].as_str().is_some_and(|error| error.contains(service)), "{health}");
    assert_eq!(health["success"], json!(status == 200));
    Ok(health)
}

/// The answer, and that it came in time.
async fn in_time(request: impl Future<Output = Outcome<Answer>>) -> Outcome<Answer> {
    let started = Instant::now();
    let answer = request.await?;
    let elapsed = started.elapsed();
    assert!(elapsed < LONGEST_ANSWER, "the answer took {elapsed:?}: {}", answer.text());
    Ok(answer)
}

#[track_caller]
fn come_back(answer: &Answer) {
    answer.problem(503, "unavailable");
    let pause = answer.header("retry-after").and_then(|pause| pause.parse::<u64>().ok());
    assert!(pause.is_some_and(|seconds| (1..=60).contains(&seconds)), "{pause:?}");
}

/// Repeats a request until it is answered so.
pub async fn answered(
    awaited: &str,
    status: u16,
    mut request: impl AsyncFnMut() -> Outcome<Answer>,
) -> Outcome<Answer> {
    eventually(awaited, RECOVERY, async || match request().await {
        Ok(answer) if answer.status.as_u16() == status => Ok(answer),
        Ok(other) => Err(format!("{} {}", other.status, other.text())),
        Err(failure) => Err(failure.to_string()),
    })
    .await
}

async fn without_redis_callers_are_told_to_come_back_and_are_served_when_it_is_back(
    world: Arc<World>,
) -> Outcome {
    let (api, redis, before) = (world.member(), world.stack.part("redis")?, application(&world)?);
    let group = api.new_group(&unique("group")).await?;
    let path = format!("/api/groups/{group}");
    take_away(&redis).await?;
    health(&world, 503, "unhealthy", "state").await?;
    come_back(&in_time(api.get(&path)).await?);
    come_back(&in_time(api.post("/api/groups", &json!({ "name": "x" }))).await?);
    come_back(&in_time(api.put(&path, &json!({ "name": "x" }))).await?);
    come_back(&in_time(api.delete(&path)).await?);
    let credentials = json!({ "username": world.member.username, "password": world.member.password });
    come_back(&in_time(world.anonymous().post("/api/auth/login", &credentials)).await?);
    for address in world.addresses("tasks")? {
        let process = world.anonymous().at(format!("http://{address}"));
        process.get("/health/live").await?.expect(200);
        process.get("/health/ready").await?.expect(503);
    }
    bring_back(&redis).await?;
    answered("a new group", 201, async || api.post("/api/groups", &json!({ "name": unique("back") })).await)
        .await?;
    answered("the group from before", 200, async || api.get(&path).await).await?;
    answered("a log-in", 200, async || world.anonymous().post("/api/auth/login", &credentials).await).await?;
    world.wait_healthy().await?;
    assert_eq!(application(&world)?, before, "nothing was restarted");
    Ok(())
}

async fn a_frozen_redis_is_told_in_time_and_a_repeated_request_finds_out_what_was_done(
    world: Arc<World>,
) -> Outcome {
    let (api, redis, before) = (world.elsewhere()?, world.stack.part("redis")?, application(&world)?);
    let group = api.new_group(&unique("group")).await?;
    let (path, key, body) = (format!("/api/groups/{group}/tasks"), unique("key"), json!({ "name": "once" }));
    redis.pause().await?;
    come_back(&in_time(api.post_once(&path, &key, &body)).await?);
    redis.resume().await?;
    let made = answered("the task", 201, async || api.post_once(&path, &key, &body).await).await?;
    let tasks = api.all("/api/tasks", "tasks").await?;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!(tasks[0]["_id"], made.json()["task"]["_id"]);
    world.wait_healthy().await?;
    assert_eq!(application(&world)?, before, "nothing was restarted");
    Ok(())
}

/// A task with its whole life so far, each change acknowledged at once.
async fn busy_task(api: &Api, group: &str, changes: usize) -> Outcome<(String, Vec<String>)> {
    let path = format!("/api/groups/{group}/tasks");
    let task = in_time(api.post(&path, &json!({ "name": "0" }))).await?.expect(201).id("task");
    let mut words = vec!["Task '0' was created".to_owned()];
    for number in 1..=changes {
        let change = json!({ "name": number.to_string() });
        in_time(api.put(&format!("/api/tasks/{task}"), &change)).await?.expect(200);
        words.push(format!("Task '{}' was renamed to '{number}'", number - 1));
    }
    Ok((task, words))
}

async fn log_says(world: &World, api: &Api, task: &str, words: &[String]) -> Outcome {
    eventually("the whole log", RECOVERY, async || {
        let log = world.log_of_task(api, task).await.map_err(|failure| failure.to_string())?;
        if sentences(&log) == words { Ok(()) } else { Err(format!("{:?}", sentences(&log))) }
    })
    .await
}

async fn without_kafka_the_board_works_and_events_arrive_in_order_when_it_is_back(
    world: Arc<World>,
) -> Outcome {
    let (api, kafka, before) = (world.member(), world.stack.part("kafka")?, application(&world)?);
    let group = api.new_group(&unique("group")).await?;
    take_away(&kafka).await?;
    let (task, words) = busy_task(api, &group, 20).await?;
    health(&world, 200, "degraded", "kafka").await?;
    for address in world.addresses("tasks")? {
        world.anonymous().at(format!("http://{address}")).get("/health/ready").await?.expect(200);
    }
    in_time(api.get(&format!("/api/groups/{group}"))).await?.expect(200);
    assert!(world.log_of_task(api, &task).await?.is_empty());
    bring_back(&kafka).await?;
    log_says(&world, api, &task, &words).await?;
    world.wait_healthy().await?;
    assert_eq!(application(&world)?, before, "nothing was restarted");
    Ok(())
}

async fn without_postgres_the_board_works_and_events_arrive_when_it_is_back(world: Arc<World>) -> Outcome {
    let (api, postgres, before) = (world.member(), world.stack.part("postgres")?, application(&world)?);
    let group = api.new_group(&unique("group")).await?;
    take_away(&postgres).await?;
    let (task, words) = busy_task(api, &group, 20).await?;
    health(&world, 200, "degraded", "timescaledb").await?;
    for path in [
        format!("/api/logs/group/{group}"),
        format!("/api/logs/task/{task}"),
        format!("/api/logs/group/{group}/tasks"),
    ] {
        come_back(&in_time(api.get(&path)).await?);
    }
    bring_back(&postgres).await?;
    log_says(&world, api, &task, &words).await?;
    world.wait_healthy().await?;
    if application(&world)? != before {
        return Err(Failure::new("something was restarted"));
    }
    Ok(())
}
