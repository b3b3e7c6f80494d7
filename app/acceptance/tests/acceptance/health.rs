//! How the application says that it is well, and what it counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_acceptance::Outcome;

use super::api::Api;
use super::run::{Topology, Trial};
use super::world::{SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        everything_is_healthy_by_name,
        each_process_is_alive_and_ready,
        each_process_counts_its_requests_by_route_and_status,
        pages_events_and_calls_of_the_sidecar_are_counted,
        the_edge_is_healthy_and_hides_the_metrics,
        the_front_door_says_what_this_is,
    ]
}

const ROLES: [&str; 5] = ["accounts", "tasks", "history", "notifications", "gateway"];

async fn everything_is_healthy_by_name(world: Arc<World>) -> Outcome {
    for path in ["/health", "/api/health"] {
        let health = world.anonymous().get(path).await?.expect(200).json();
        assert_eq!((&health["success"], &health["status"]), (&json!(true), &json!("healthy")), "{health}");
        assert_eq!(health["message"], json!("Todo Manager API is running"));
        assert!(health["timestamp"].as_str().is_some_and(|time| time.len() == 24), "{health}");
        assert!(health.get("error").is_none(), "{health}");
        let mut expected = vec!["kafka", "sidecar", "state", "timescaledb"];
        if world.topology == Topology::Split {
            // The gateway speaks for the others.
            expected.extend(ROLES.iter().filter(|role| **role != "gateway"));
        }
        expected.sort_unstable();
        let services: Vec<&str> =
            health["services"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        assert_eq!(services, expected);
        assert!(
            health["services"].as_object().into_iter().flatten().all(|(_, word)| word == "healthy"),
            "{health}"
        );
    }
    Ok(())
}

/// Every process of the application, past the edge.
fn processes(world: &World) -> Outcome<Vec<Api>> {
    let mut addresses = Vec::new();
    for role in ROLES {
        addresses.extend(world.addresses(role)?);
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses.into_iter().map(|address| world.anonymous().at(format!("http://{address}"))).collect())
}

async fn each_process_is_alive_and_ready(world: Arc<World>) -> Outcome {
    let processes = processes(&world)?;
    assert_eq!(processes.len(), if world.topology == Topology::Single { 1 } else { 6 });
    for process in processes {
        for path in ["/health/live", "/health/ready", "/health", "/api/health"] {
            process.get(path).await?.expect(200);
        }
    }
    Ok(())
}

/// The values of a metric, by its labels as text.
async fn metric(process: &Api, name: &str) -> Outcome<BTreeMap<String, f64>> {
    let text = process.get("/metrics").await?.expect(200).text();
    let mut values = BTreeMap::new();
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (found, labels) = series.split_once('{').unwrap_or((series, ""));
        if found == name {
            values.insert(labels.trim_end_matches('}').to_owned(), value.parse()?);
        }
    }
    Ok(values)
}

/// The value of a metric over all processes of a role and all labels that contain `labels`.
async fn total(world: &World, role: &str, name: &str, labels: &[&str]) -> Outcome<f64> {
    let mut total = 0.0;
    for address in world.addresses(role)? {
        let process = world.anonymous().at(format!("http://{address}"));
        let values = metric(&process, name).await?;
        let fits = |series: &&String| labels.iter().all(|label| series.contains(label));
        total += values.iter().filter(|(series, _)| fits(series)).map(|(_, value)| value).sum::<f64>();
    }
    Ok(total)
}

async fn each_process_counts_its_requests_by_route_and_status(world: Arc<World>) -> Outcome {
    let labels = ["method=\"GET\"", "route=\"/api/tasks/{id}\"", "status=\"404\""];
    let before = total(&world, "tasks", "http_requests_total", &labels).await?;
    for _ in 0..3 {
        world.member().get(&format!("/api/tasks/{}", unique("unknown"))).await?.problem(404, "not-found");
    }
    let after = total(&world, "tasks", "http_requests_total", &labels).await?;
    assert!(after >= before + 3.0, "{before} before, {after} after");
    let durations = total(&world, "tasks", "http_request_duration_seconds_count", &labels[..2]).await?;
    assert!(durations >= 3.0);
    for (role, path) in [("accounts", "/api/users/me"), ("history", "/api/logs/groups")] {
        world.member().get(path).await?.expect(200);
        let labels = ["method=\"GET\"", &format!("route=\"{path}\""), "status=\"200\""];
        assert!(total(&world, role, "http_requests_total", &labels).await? >= 1.0, "{role}");
    }
    world.member().get("/no/such/path").await?.expect(404);
    assert!(
        total(&world, "gateway", "http_requests_total", &["route=\"unmatched\"", "status=\"404\""]).await?
            >= 1.0
    );
    Ok(())
}

async fn pages_events_and_calls_of_the_sidecar_are_counted(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("counted")).await?;
    tidemark_acceptance::eventually("the event in the log", SOON, async || {
        let log = world.log_of_group(world.member(), &group).await.map_err(|failure| failure.to_string())?;
        if log.len() == 1 { Ok(()) } else { Err("nothing") }.map_err(str::to_owned)
    })
    .await?;
    for (role, name, labels) in [
        ("tasks", "pages_saves_total", &[][..]),
        ("tasks", "pages_reads_total", &[]),
        ("tasks", "pages_commands_per_save_count", &[]),
        ("tasks", "relay_published_total", &[]),
        ("tasks", "sidecar_calls_total", &["operation=\"save_state\"", "code=\"Ok\""]),
        ("tasks", "sidecar_calls_total", &["operation=\"bulk_publish_event\"", "code=\"Ok\""]),
        ("tasks", "sidecar_call_duration_seconds_count", &["operation=\"get_state\""]),
        ("history", "consumer_events_total", &["topic=\"todo-history-events\""]),
        ("history", "consumer_events_per_batch_count", &[]),
        ("history", "consumer_batch_duration_seconds_count", &[]),
        ("history", "history_events_total", &["entity=\"Group\"", "type=\"created\""]),
        ("history", "history_event_age_seconds_count", &[]),
        ("history", "sidecar_calls_total", &["operation=\"invoke_binding\"", "code=\"Ok\""]),
        ("accounts", "pages_saves_total", &[]),
    ] {
        assert!(total(&world, role, name, labels).await? >= 1.0, "{role}: {name} {labels:?}");
    }
    Ok(())
}

async fn the_edge_is_healthy_and_hides_the_metrics(world: Arc<World>) -> Outcome {
    if world.topology == Topology::Split {
        let answer = world.anonymous().get("/edge/health").await?.expect(200);
        assert_eq!(
            (answer.text().as_str(), answer.header("content-type")),
            ("healthy\n", Some("text/plain"))
        );
        world.anonymous().get("/metrics").await?.problem(404, "no-such-path");
    }
    Ok(())
}

async fn the_front_door_says_what_this_is(world: Arc<World>) -> Outcome {
    let welcome: Value = world.anonymous().get("/").await?.expect(200).json();
    assert_eq!(welcome["name"], json!("Tidemark"));
    Ok(())
}
