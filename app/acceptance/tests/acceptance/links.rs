//! What is linked into the application.

use std::process::Command;
use std::sync::Arc;

use tidemark_acceptance::{Failure, Outcome};
use tidemark_stack::project;

use super::run::Trial;
use super::world::World;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![no_client_of_a_store_a_broker_or_a_database_is_linked]
}

/// Names of such clients, or how their names begin.
const CLIENTS: [&str; 28] = [
    "redis",
    "fred",
    "rustis",
    "bb8",
    "deadpool",
    "r2d2",
    "mobc",
    "rdkafka",
    "rskafka",
    "kafka",
    "samsa",
    "tokio-postgres",
    "postgres",
    "sqlx",
    "diesel",
    "sea-orm",
    "pq-sys",
    "libpq",
    "cornucopia",
    "lapin",
    "amq",
    "amiquip",
    "fe2o3-amqp",
    "mongodb",
    "rusqlite",
    "libsqlite3",
    "mysql",
    "elasticsearch",
];

/// Redis and Kafka are reached through Dapr alone.
async fn no_client_of_a_store_a_broker_or_a_database_is_linked(_: Arc<World>) -> Outcome {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "tidemark", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(project())
        .output()?;
    if !output.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&output.stderr)));
    }
    let tree = String::from_utf8(output.stdout)?;
    let linked: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(linked.contains(&"dapr") && linked.len() > 50, "the tree is read: {tree}");
    let forbidden: Vec<&&str> =
        linked.iter().filter(|name| CLIENTS.iter().any(|client| name.starts_with(client))).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
    Ok(())
}
