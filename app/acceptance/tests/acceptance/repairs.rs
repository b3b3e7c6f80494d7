//! What was damaged in the store behind everybody's back: what it costs, and how it is mended.

use std::process::Output;
use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome};
use tidemark_stack::SidecarOptions;
use tokio::process::Command;

use super::api::{Api, id, ids};
use super::run::{Topology, Trial};
use super::store;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_damaged_entry_costs_itself_alone_until_it_is_mended,
        of_a_damaged_page_what_can_be_read_is_mended,
    ]
}

/// Puts what no text may hold in the place of a word, wherever it lies in the workspace. Counts the items.
const DAMAGE: &str = "local damaged = 0; for _, kind in ipairs({'groups', 'tasks', 'comments'}) do \
    for _, key in ipairs(redis.call('KEYS', kind .. '/' .. ARGV[1] .. '/*')) do \
    local data = redis.call('HGET', key, 'data'); \
    local found = string.gsub(data, 'fragile', string.rep('\\1', 7)); \
    if found ~= data then redis.call('HSET', key, 'data', found); redis.call('HINCRBY', key, 'version', 1); \
    damaged = damaged + 1 end end end return damaged";

/// Cuts off the second half of an item.
const CUT: &str = "local data = redis.call('HGET', ARGV[1], 'data'); \
    redis.call('HSET', ARGV[1], 'data', string.sub(data, 1, math.floor(#data / 2))); \
    return redis.call('HINCRBY', ARGV[1], 'version', 1)";

/// The program that serves, told to repair the workspace through a sidecar of its own.
async fn repair(world: &World, workspace: &str, arguments: &[&str]) -> Outcome<Output> {
    let serving = world.processes("tasks")?.remove(0).pid().ok_or_else(|| Failure::new("no process"))?;
    // An app-id that sees the store and that nobody calls here: there is no application behind it.
    let app_id = match world.topology {
        Topology::Single => "tidemark-tasks",
        Topology::Split => "tidemark",
    };
    let options = SidecarOptions { name: Some(unique("repair-sidecar")), ..SidecarOptions::new(app_id) };
    let sidecar = world.stack.start_sidecar(options).await?;
    let output = Command::new(format!("/proc/{serving}/exe"))
        .args(["repair", "--workspace", workspace, "--dapr-grpc-endpoint", &sidecar.grpc_endpoint()])
        .args(arguments)
        .env("DAPR_API_TOKEN", sidecar.api_token())
        .kill_on_drop(true)
        .output()
        .await?;
    sidecar.part().stop().await?;
    Ok(output)
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn made(api: &Api, path: &str, member: &str, body: &Value) -> Outcome<String> {
    Ok(id(&api.post(path, body).await?.expect(201).json()[member]).to_owned())
}

async fn a_damaged_entry_costs_itself_alone_until_it_is_mended(world: Arc<World>) -> Outcome {
    let workspace = unique("workspace");
    let api = &world.somebody(&workspace)?;
    let (group, tasks) = ("/api/groups", "/api/tasks");
    let sound = api.new_group("sound").await?;
    let hurt = made(api, group, "group", &json!({ "name": "hurt", "discussion": "fragile" })).await?;
    let first = api.new_task(&sound, "first").await?;
    let body = json!({ "name": "second", "description": "fragile", "groupId": sound, "status": "Backlog" });
    let second = made(api, tasks, "task", &body).await?;
    let third = api.new_task(&sound, "third").await?;
    let comments = format!("{tasks}/{first}/comments");
    for text in ["before", "fragile", "after"] {
        api.post(&comments, &json!({ "text": text })).await?.expect(201);
    }
    let damaged = store::count(&world, DAMAGE, &workspace).await?;
    assert!(damaged >= 3, "{damaged} items were damaged");

    let board = api.get(&format!("{group}/{sound}")).await?.expect(200).json()["group"].clone();
    assert_eq!(ids(board["tasks"].as_array().map_or(&[], Vec::as_slice)), [&first, &third]);
    assert_eq!(ids(&api.all("/api/groups?include=tasks", "groups").await?), [&sound]);
    assert_eq!(ids(&api.all(tasks, "tasks").await?), [&first, &third]);
    let texts = |listed: &[Value]| -> Vec<String> {
        listed.iter().filter_map(|comment| comment["text"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(texts(&api.all(&comments, "comments").await?), ["before", "after"]);
    let shown = api.get(&format!("{tasks}/{first}")).await?.expect(200).json()["task"].clone();
    assert_eq!(texts(shown["comments"].as_array().map_or(&[], Vec::as_slice)), ["before", "after"]);
    assert_eq!(shown["commentsNext"], Value::Null);
    api.get(&format!("{tasks}/{second}")).await?.problem(500, "internal");
    api.get(&format!("{group}/{hurt}")).await?.problem(500, "internal");
    // What lies beside it is changed as ever.
    api.put(&format!("{tasks}/{third}/position"), &json!({ "before": first })).await?.expect(200);
    let bulk = json!({ "ids": [first, second], "status": "Completed" });
    let results = api.post("/api/tasks/bulk", &bulk).await?.expect(200).json()["results"].clone();
    assert_eq!((&results[0]["outcome"], &results[1]["outcome"]), (&json!("done"), &json!("refused")));
    let mut metrics = String::new();
    for address in world.addresses("tasks")? {
        metrics += &api.at(format!("http://{address}")).get("/metrics").await?.expect(200).text();
    }
    assert!(metrics.contains("damaged_entries_total{kind=\"task\"}"), "{metrics}");

    let listed = repair(&world, &workspace, &[]).await?;
    assert!(!listed.status.success(), "{}", told(&listed));
    for kind in ["group", "task", "comment"] {
        assert!(told(&listed).contains(&format!("stored {kind}")), "{}", told(&listed));
    }
    api.get(&format!("{tasks}/{second}")).await?.problem(500, "internal");
    let mended = repair(&world, &workspace, &["--mend"]).await?;
    assert!(mended.status.success(), "{}", told(&mended));
    let after = repair(&world, &workspace, &[]).await?;
    assert!(after.status.success(), "{}", told(&after));

    let back = api.get(&format!("{tasks}/{second}")).await?.expect(200);
    let task = &back.json()["task"];
    assert_eq!(
        (&task["name"], &task["description"], &task["status"]),
        (&json!("second"), &json!(""), &json!("Backlog"))
    );
    assert_eq!(back.version(), "2");
    let board = api.get(&format!("{group}/{sound}")).await?.expect(200).json()["group"].clone();
    assert_eq!(ids(board["tasks"].as_array().map_or(&[], Vec::as_slice)), [&third, &first, &second]);
    let group = api.get(&format!("{group}/{hurt}")).await?.expect(200).json()["group"].clone();
    assert_eq!((&group["name"], &group["discussion"]), (&json!("hurt"), &json!("")));
    assert_eq!(texts(&api.all(&comments, "comments").await?), ["before", "after"]);
    api.put(&format!("{tasks}/{second}"), &json!({ "description": "whole" })).await?.expect(200);
    Ok(())
}

async fn of_a_damaged_page_what_can_be_read_is_mended(world: Arc<World>) -> Outcome {
    let workspace = unique("workspace");
    let api = &world.somebody(&workspace)?;
    let group = api.new_group("cut").await?;
    let mut tasks = Vec::new();
    for number in 0..9 {
        let body = json!({ "name": number.to_string(), "description": "x".repeat(1_000), "groupId": group });
        tasks.push(made(api, "/api/tasks", "task", &body).await?);
    }
    let board = format!("/api/groups/{group}");
    store::count(&world, CUT, &format!("tasks/{workspace}/{group}/0")).await?;
    api.get(&board).await?.problem(500, "internal");
    let mended = repair(&world, &workspace, &["--mend"]).await?;
    assert!(mended.status.success() && told(&mended).contains("cannot be read"), "{}", told(&mended));
    assert!(told(&mended).contains("  it was "), "{}", told(&mended));
    let shown = api.get(&board).await?.expect(200).json()["group"]["tasks"].clone();
    let left = shown.as_array().map_or(&[][..], Vec::as_slice);
    assert!((1..9).contains(&left.len()), "{} tasks are left", left.len());
    assert_eq!(ids(left), &tasks[..left.len()]);
    let later = api.new_task(&group, "later").await?;
    let shown = api.get(&board).await?.expect(200).json()["group"]["tasks"].clone();
    assert_eq!(ids(shown.as_array().map_or(&[], Vec::as_slice)).last(), Some(&later.as_str()));
    Ok(())
}
