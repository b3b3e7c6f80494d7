//! Stopping, in order and not, and what is there afterwards.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use dapr::client::ApiTokenInterceptor;
use dapr::dapr::proto::common::v1::StateItem;
use dapr::dapr::proto::runtime::v1::{SaveStateRequest, dapr_client::DaprClient};
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome, eventually};
use tidemark_stack::{Part, Phase, ProjectResources, SidecarOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use super::api::{Answer, Api, send};
use super::outages::{answered, bring_back, take_away};
use super::run::Trial;
use super::world::{RECOVERY, SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        everything_is_there_after_restarts_of_the_application_the_sidecars_and_redis,
        a_process_that_is_asked_to_stop_finishes_what_is_under_way_and_its_events,
        a_deletion_whose_process_was_killed_is_finished_or_was_never_made,
        data_of_before_the_first_release_is_refused_with_a_clear_word,
    ]
}

/// Everything that somebody made: paths, and what they answer.
async fn snapshot(api: &Api, paths: &[String]) -> Outcome<Vec<Answer>> {
    let mut answers = try_join_all(paths.iter().map(|path| api.get(path))).await?;
    for answer in &mut answers {
        // The only things that differ from one answer to the next.
        for name in ["date", "x-request-id"] {
            answer.headers.remove(name);
        }
    }
    Ok(answers)
}

async fn everything_is_there_after_restarts_of_the_application_the_sidecars_and_redis(
    world: Arc<World>,
) -> Outcome {
    let api = world.elsewhere()?;
    let group = api.new_group("kept").await?;
    let (key, body) = (unique("key"), json!({ "name": "kept", "status": "Backlog" }));
    let tasks = format!("/api/groups/{group}/tasks");
    let first = api.post_once(&tasks, &key, &body).await?.expect(201);
    let task = format!("/api/tasks/{}", first.id("task"));
    api.post(&format!("{task}/comments"), &json!({ "text": "kept" })).await?.expect(201);
    api.put(&task, &json!({ "name": "changed" })).await?.expect(200);
    let paths = [
        format!("/api/groups/{group}"),
        task.clone(),
        format!("{task}/comments"),
        "/api/groups?include=tasks".to_owned(),
        "/api/tasks".to_owned(),
    ];
    let before = snapshot(&api, &paths).await?;

    // In order; killed; and the same for Redis, whose file must have everything that was acknowledged.
    world.stack.restart_application().await?;
    world.wait_healthy().await?;
    assert_eq!(snapshot(&api, &paths).await?, before);
    let sidecars: Vec<Part> =
        world.stack.parts().into_iter().filter(|part| part.name().ends_with("-sidecar")).collect();
    try_join_all(sidecars.iter().map(Part::kill)).await?;
    world.wait_healthy().await?;
    assert_eq!(snapshot(&api, &paths).await?, before);
    let redis = world.stack.part("redis")?;
    redis.restart().await?;
    world.wait_healthy().await?;
    assert_eq!(snapshot(&api, &paths).await?, before);
    redis.kill().await?;
    world.wait_healthy().await?;
    assert_eq!(snapshot(&api, &paths).await?, before);

    let again = api.post_once(&tasks, &key, &body).await?.expect(201);
    assert_eq!((again.body.clone(), again.header("idempotency-replayed")), (first.body, Some("true")));
    world.member().get("/api/users/me").await?.expect(200);
    let credentials = json!({ "username": world.member.username, "password": world.member.password });
    world.anonymous().post("/api/auth/login", &credentials).await?.expect(200);
    Ok(())
}

/// A request to one process that is under way: all of it is sent but the end of its body.
struct Unfinished {
    connection: TcpStream,
    rest: Vec<u8>,
}

impl Unfinished {
    async fn begin(process: &Part, api: &Api, path: &str, body: &Value) -> Outcome<Self> {
        let address = process.address().ok_or_else(|| Failure::new("the process listens nowhere"))?;
        let body = body.to_string().into_bytes();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            api.token(),
            body.len()
        );
        let (first, rest) = body.split_at(body.len() / 2);
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(&[head.as_bytes(), first].concat()).await?;
        let metrics = api.at(format!("http://{address}"));
        // The request for the number is one itself.
        eventually("the request under way", SOON, async || {
            let text = metrics.get("/metrics").await.map_err(|failure| failure.to_string())?.text();
            let line = text.lines().find(|line| line.starts_with("http_requests_in_flight"));
            if line.is_some_and(|line| !line.ends_with(" 1")) { Ok(()) } else { Err(format!("{line:?}")) }
        })
        .await?;
        Ok(Self { connection, rest: rest.to_vec() })
    }

    /// Sends the rest, and returns the answer as it came.
    async fn finish(mut self) -> Outcome<String> {
        self.connection.write_all(&self.rest).await?;
        let mut answer = Vec::new();
        // The process closes the connection after its answer, since it stops.
        self.connection.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

async fn a_process_that_is_asked_to_stop_finishes_what_is_under_way_and_its_events(
    world: Arc<World>,
) -> Outcome {
    let api = world.elsewhere()?;
    let group = api.new_group("group").await?;
    let path = format!("/api/groups/{group}/tasks");
    let [process, ..] = &world.processes("tasks")?[..] else { return Err(Failure::new("no process")) };
    let address = process.address().ok_or_else(|| Failure::new("the process listens nowhere"))?;
    let direct = api.at(format!("http://{address}"));
    process.set_auto_restart(false).await?;
    let unfinished = Unfinished::begin(process, &api, &path, &json!({ "name": "under way" })).await?;
    // The events must still be waiting when the process is asked to stop.
    let kafka = world.stack.part("kafka")?;
    kafka.pause().await?;
    let mut made = Vec::new();
    for answer in join_all((0..50).map(|_| direct.new_task(&group, "acknowledged"))).await {
        made.push(answer?);
    }
    let pid = process.pid().ok_or_else(|| Failure::new("the process does not run"))?;
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
    eventually("no new connections", SOON, async || match TcpStream::connect(address).await {
        Err(_) => Ok(()),
        Ok(_) => Err("it takes connections"),
    })
    .await?;
    assert!(process.pid() == Some(pid), "it waits for the request that is under way");
    let answer = unfinished.finish().await?;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    kafka.resume().await?;
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default())?;
    made.push(body["task"]["_id"].as_str().unwrap_or_default().to_owned());
    let stopped = process
        .wait_for(RECOVERY, |status| status.phase == Phase::Stopped && status.trouble.is_some())
        .await?;
    assert_eq!(stopped.trouble.as_deref(), Some("it ended with exit status: 0"));
    // The process is gone, so what is on the ledger is what it left there.
    world
        .observer
        .on_ledger("every event of the process that stopped", SOON, |seen| {
            let events = seen.iter().filter_map(|seen| seen.event.as_ref());
            let told: HashSet<&String> = events.filter_map(|event| event.payload.task_id.as_ref()).collect();
            made.iter().all(|task| told.contains(task)).then_some(())
        })
        .await?;
    bring_back(process).await?;
    world.wait_healthy().await
}

async fn a_deletion_whose_process_was_killed_is_finished_or_was_never_made(world: Arc<World>) -> Outcome {
    // At once; when the deletion is just committed; and later.
    for pause in [0, 10, 40] {
        let api = world.elsewhere()?;
        let group = api.new_group("goes").await?;
        let (path, tasks) = (format!("/api/groups/{group}"), 150);
        let (tasks_path, body) = (format!("{path}/tasks"), json!({ "name": "goes too" }));
        let made: Vec<String> = stream::iter(0..tasks)
            .map(|_| async { Outcome::Ok(api.insist(&tasks_path, &unique("key"), &body).await?.id("task")) })
            .buffer_unordered(16)
            .try_collect()
            .await?;
        let processes = world.processes("tasks")?;
        let request = api.request(reqwest::Method::DELETE, &path);
        let deletion =
            tokio::spawn(
                async move { send(request).await.is_ok_and(|answer| answer.status.as_u16() == 204) },
            );
        sleep(Duration::from_millis(pause)).await;
        try_join_all(processes.iter().map(take_away)).await?;
        let acknowledged = deletion.await?;
        try_join_all(processes.iter().map(bring_back)).await?;
        world.wait_healthy().await?;

        let is_there = api.get(&path).await?.status.is_success();
        if is_there {
            assert!(!acknowledged, "an acknowledged deletion is made");
            assert_eq!(api.all("/api/tasks?limit=200", "tasks").await?.len(), tasks);
            answered("the deletion", 204, async || api.delete(&path).await).await?;
        }
        eventually("all tasks gone", RECOVERY, async || {
            for task in [&made[0], &made[tasks / 2], &made[tasks - 1]] {
                let answer =
                    api.get(&format!("/api/tasks/{task}")).await.map_err(|failure| failure.to_string())?;
                if answer.status.as_u16() != 404 {
                    return Err(answer.text());
                }
            }
            Ok(())
        })
        .await?;
        let sql =
            "SELECT count(*) AS rows FROM todo_event_logs WHERE group_id = $1 AND event_type = 'deleted'";
        eventually("one mark for all", RECOVERY, async || {
            let rows = world.observer.rows(sql, &[&group]).await.map_err(|failure| failure.to_string())?;
            if rows == [json!({ "rows": 1 })] { Ok(()) } else { Err(format!("{rows:?}")) }
        })
        .await?;
    }
    Ok(())
}

async fn data_of_before_the_first_release_is_refused_with_a_clear_word(world: Arc<World>) -> Outcome {
    let store = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: { name: statestore }\n\
                 spec: { type: state.in-memory, version: v1, metadata: [] }\n";
    let sidecar = world
        .stack
        .start_sidecar(SidecarOptions {
            name: Some("early-sidecar".to_owned()),
            project_resources: ProjectResources::Nothing,
            inline_resources: BTreeMap::from([("statestore.yaml".to_owned(), store.to_owned())]),
            ..SidecarOptions::new("early")
        })
        .await?;
    // A page that was saved once, by a program whose layouts had no numbers.
    let page =
        StateItem { key: "groups/default/0".to_owned(), value: vec![0x08, 0x01], ..StateItem::default() };
    let save = SaveStateRequest { store_name: "statestore".to_owned(), states: vec![page] };
    let channel = Endpoint::from_shared(sidecar.grpc_endpoint())?.connect().await?;
    let token = ApiTokenInterceptor::try_new(Some(sidecar.api_token().to_owned()))?;
    DaprClient::new(InterceptedService::new(channel, token)).save_state(save).await?;

    let serving = world.processes("tasks")?.remove(0).pid().ok_or_else(|| Failure::new("no process"))?;
    let serve = Command::new(format!("/proc/{serving}/exe"))
        .args(["serve", "tasks", "--instance", "early", "--kafka-enabled", "false"])
        .args(["--http-address", "127.0.0.1:0", "--app-channel-address", "127.0.0.1:0"])
        .args(["--dapr-grpc-endpoint", &sidecar.grpc_endpoint()])
        .env("DAPR_API_TOKEN", sidecar.api_token())
        .kill_on_drop(true)
        .output();
    let ended = timeout(RECOVERY, serve).await??;
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("make dev-reset"), "{told}");
    sidecar.part().stop().await?;
    Ok(())
}
