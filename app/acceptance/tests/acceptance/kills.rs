//! Killed under load, again and again: nothing acknowledged is lost, nothing is made twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome, eventually};
use tidemark_stack::Part;
use tokio::time::sleep;

use super::api::{Api, id};
use super::outages::{bring_back, take_away};
use super::run::Trial;
use super::world::{RECOVERY, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        an_application_killed_at_any_moment_loses_and_repeats_nothing,
        a_sidecar_killed_at_any_moment_loses_and_repeats_nothing,
    ]
}

/// Groups that are made for each kill: the long run shall not end at what one group may hold.
const GROUPS_A_KILL: u32 = 16;

async fn an_application_killed_at_any_moment_loses_and_repeats_nothing(world: Arc<World>) -> Outcome {
    let victims = world.processes("tasks")?;
    killed_under_load(&world, &victims, world.settings.kills).await
}

async fn a_sidecar_killed_at_any_moment_loses_and_repeats_nothing(world: Arc<World>) -> Outcome {
    let mut victims = Vec::new();
    for process in world.processes("tasks")? {
        victims.push(world.stack.part(&format!("{}-sidecar", process.name()))?);
    }
    killed_under_load(&world, &victims, 1).await
}

/// Clients create tasks, each under a key with which they repeat the request until it is acknowledged, while
/// one victim after the other is killed at a random moment.
async fn killed_under_load(world: &World, victims: &[Part], kills: u32) -> Outcome {
    let api = world.elsewhere()?;
    let mut groups = Vec::new();
    for _ in 0..GROUPS_A_KILL * kills {
        groups.push(api.new_group("load").await?);
    }
    let over = AtomicBool::new(false);
    let clients = (0..world.settings.clients).map(|_| create_tasks(&api, &groups, &over));
    let killing = async {
        let mut killed = Ok(());
        for _ in 0..kills {
            // The moment is what is tested: it must be none that the load decides.
            sleep(Duration::from_millis(rand::random_range(200..1500))).await;
            killed = killed.and(kill_one(victims).await);
        }
        over.store(true, Ordering::Relaxed);
        killed
    };
    let (created, killed) = tokio::join!(join_all(clients), killing);
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    for tasks in created {
        acknowledged.extend(tasks?);
    }
    killed?;
    world.wait_healthy().await?;
    assert!(acknowledged.len() > groups.len(), "there was load: {}", acknowledged.len());
    let count = acknowledged.len();
    eprintln!("measured: {count} tasks were acknowledged during {kills} kills");

    // On the board: each key's task once, and it is the one that was acknowledged.
    let listed = api.all("/api/tasks?limit=200", "tasks").await?;
    let found: BTreeMap<&str, &str> =
        listed.iter().filter_map(|task| Some((task["name"].as_str()?, id(task)))).collect();
    assert_eq!((listed.len(), found.len()), (count, count));
    for (key, task) in &acknowledged {
        assert_eq!(found.get(key.as_str()), Some(&task.as_str()), "{key}");
    }
    let tasks: BTreeSet<&String> = acknowledged.values().collect();
    assert_eq!(tasks.len(), count, "one task for one key");

    // In the log: each created once.
    let sql = "SELECT count(*) AS rows, count(DISTINCT task_id) AS tasks FROM todo_event_logs \
               WHERE event_type = 'created' AND entity = 'Task' \
                 AND group_id IN (SELECT jsonb_array_elements_text($1::text::jsonb))";
    let groups = serde_json::to_string(&groups)?;
    let expected: Value = json!({ "rows": count, "tasks": count });
    eventually("one row for each task", RECOVERY, async || {
        let rows = world.observer.rows(sql, &[&groups]).await.map_err(|failure| failure.to_string())?;
        if rows == [expected.clone()] { Ok(()) } else { Err(format!("{rows:?}, not {expected}")) }
    })
    .await
}

async fn kill_one(victims: &[Part]) -> Outcome {
    let victim = victims.choose(&mut rand::rng()).ok_or_else(|| Failure::new("nobody to kill"))?;
    take_away(victim).await?;
    bring_back(victim).await
}

/// Creates tasks until it is over. Returns the keys, which are the tasks' names too, with the tasks' ids.
async fn create_tasks(api: &Api, groups: &[String], over: &AtomicBool) -> Outcome<Vec<(String, String)>> {
    let mut acknowledged = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let key = unique("key");
        let group = groups.choose(&mut rand::rng()).ok_or_else(|| Failure::new("no group"))?;
        let (path, body) = (format!("/api/groups/{group}/tasks"), json!({ "name": key }));
        let task = api.insist(&path, &key, &body).await?.id("task");
        acknowledged.push((key, task));
    }
    Ok(acknowledged)
}
