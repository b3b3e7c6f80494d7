//! The history's tables, brought up to date by a command of their own.

use std::sync::Arc;
use std::time::Duration;

use tidemark_acceptance::{Failure, Outcome};
use tidemark_stack::SidecarOptions;
use tokio::process::Command;

use super::run::{Topology, Trial};
use super::world::World;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![a_migration_ends_well_with_a_sidecar_and_fails_in_time_without]
}

async fn a_migration_ends_well_with_a_sidecar_and_fails_in_time_without(world: Arc<World>) -> Outcome {
    // The very program that serves.
    let serving = world.processes("history")?.remove(0).pid().ok_or_else(|| Failure::new("no process"))?;
    let program = format!("/proc/{serving}/exe");
    // An app-id that sees the database and that nobody calls here: there is no application behind it.
    let app_id = match world.topology {
        Topology::Single => "tidemark-history",
        Topology::Split => "tidemark",
    };
    let options = SidecarOptions { name: Some("migrate-sidecar".to_owned()), ..SidecarOptions::new(app_id) };
    let sidecar = world.stack.start_sidecar(options).await?;

    let migrate = |endpoint: String, within: &str| {
        let mut command = Command::new(&program);
        command.args(["migrate", "--within", within, "--dapr-grpc-endpoint", &endpoint]);
        command.env("DAPR_API_TOKEN", sidecar.api_token()).kill_on_drop(true);
        command
    };
    let done = migrate(sidecar.grpc_endpoint(), "30s").output().await?;
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{told}");
    assert!(told.contains("history tables are ready"), "{told}");

    sidecar.part().stop().await?;
    let failed = migrate(sidecar.grpc_endpoint(), "700ms").output();
    let failed = tokio::time::timeout(Duration::from_secs(20), failed).await??;
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success(), "{told}");
    assert!(told.contains("not ready within 700ms"), "{told}");
    Ok(())
}
