//! Each entity's events are in order, without gap and without repeat, whichever replicas made them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use tidemark_acceptance::{Outcome, eventually};
use tidemark_protocol::ledger::HistoryEvent;

use super::api::Api;
use super::observer::Seen;
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

const WITHIN: Duration = Duration::from_secs(30);

const GROUPS: usize = 12;
const TASKS: usize = 36;
const CHANGES: usize = 600;
const AT_ONCE: usize = 24;

pub fn trials() -> Vec<Trial> {
    trials![events_of_each_entity_are_in_order_over_partitions_and_replicas]
}

/// The versions of each of `entities`, by entity, in the order of their first delivery. Comments, which change
/// nothing, are left out.
pub fn versions(seen: &[Arc<Seen>], entities: &HashSet<String>) -> BTreeMap<String, Vec<i64>> {
    let mut known = HashSet::new();
    let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for HistoryEvent { event_id, event_type, payload, .. } in
        seen.iter().filter_map(|seen| seen.event.as_ref())
    {
        if event_type != "commented" && entities.contains(&payload.entity_id) && known.insert(event_id) {
            versions.entry(payload.entity_id.clone()).or_default().push(payload.entity_version);
        }
    }
    versions
}

/// Changes by everybody of everything, the same things at the same time, through every replica.
async fn events_of_each_entity_are_in_order_over_partitions_and_replicas(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let replicas: Vec<Api> =
        world.addresses("tasks")?.into_iter().map(|address| api.at(format!("http://{address}"))).collect();
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        groups.push(replicas[number % replicas.len()].new_group(&unique("group")).await?);
    }
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        tasks.push(replicas[number % replicas.len()].new_task(&groups[number % GROUPS], "task").await?);
    }
    let changes = (0..CHANGES).map(|number| {
        let replica = replicas[(number / 2) % replicas.len()].clone();
        let name = json!({ "name": format!("change {number}") });
        // Every task is hit by several changes that are under way at the same time.
        let (task, group) = (tasks[(number / 3) % TASKS].clone(), groups[(number / 7) % GROUPS].clone());
        async move {
            if number % 7 == 0 {
                replica.put(&format!("/api/groups/{group}"), &name).await?.expect(200);
            } else {
                replica.put(&format!("/api/tasks/{task}"), &name).await?.expect(200);
            }
            Outcome::Ok(())
        }
    });
    stream::iter(changes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;

    let mut current: BTreeMap<String, i64> = BTreeMap::new();
    for (path, entities) in [("/api/groups", &groups), ("/api/tasks", &tasks)] {
        for entity in entities {
            let answer = api.get(&format!("{path}/{entity}")).await?.expect(200);
            current.insert(entity.clone(), answer.version().parse()?);
        }
    }
    assert_eq!(
        current.values().sum::<i64>(),
        i64::try_from(CHANGES + GROUPS + TASKS)?,
        "each change is a version"
    );
    let expected: BTreeMap<String, Vec<i64>> =
        current.iter().map(|(entity, current)| (entity.clone(), (1..=*current).collect())).collect();

    let entities: HashSet<String> = current.into_keys().collect();
    let delivered = world
        .observer
        .on_ledger("every version of every entity", WITHIN, |seen| {
            let versions = versions(seen, &entities);
            let count =
                |versions: &BTreeMap<String, Vec<i64>>| versions.values().map(Vec::len).sum::<usize>();
            (count(&versions) >= count(&expected)).then_some(versions)
        })
        .await?;
    assert_eq!(delivered, expected, "in order of first delivery");
    let partitions: HashSet<String> = world
        .observer
        .ledger()
        .iter()
        .filter(|seen| seen.event.as_ref().is_some_and(|event| entities.contains(&event.payload.entity_id)))
        .map(|seen| seen.partition.clone())
        .collect();
    assert!(partitions.len() > 1, "several partitions took part: {partitions:?}");

    // And in the log: one row for each version.
    let total = expected.values().map(Vec::len).sum::<usize>();
    let workspace_of = "workspace = (SELECT workspace FROM todo_event_logs WHERE entity_id = $1 LIMIT 1)";
    let sql = format!(
        "SELECT count(*) AS rows, count(DISTINCT (entity_id, event_data #>> '{{payload,entityVersion}}')) AS versions \
         FROM todo_event_logs WHERE {workspace_of}"
    );
    eventually("all rows", WITHIN, async || {
        let rows = world.observer.rows(&sql, &[&groups[0]]).await.map_err(|failure| failure.to_string())?;
        if rows == [json!({ "rows": total, "versions": total })] { Ok(()) } else { Err(format!("{rows:?}")) }
    })
    .await
}
