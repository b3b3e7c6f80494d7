//! Registration that is closed, and users who are made by command.

use std::process::{Output, Stdio};
use std::sync::Arc;

use serde_json::json;
use tidemark_acceptance::{Failure, Outcome, http};
use tidemark_stack::{Sidecar, SidecarOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::api::Api;
use super::run::{Topology, Trial};
use super::world::{RECOVERY, SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![where_registration_is_closed_users_are_made_by_command]
}

async fn where_registration_is_closed_users_are_made_by_command(world: Arc<World>) -> Outcome {
    // The very program that serves. An app-id that sees the store and that nobody calls.
    let serving = world.processes("accounts")?.remove(0).pid().ok_or_else(|| Failure::new("no process"))?;
    let program = format!("/proc/{serving}/exe");
    let app_id = match world.topology {
        Topology::Single => "tidemark-accounts",
        Topology::Split => "tidemark",
    };
    let options = SidecarOptions { name: Some("closed-sidecar".to_owned()), ..SidecarOptions::new(app_id) };
    let sidecar = world.stack.start_sidecar(options).await?;

    let mut closed = command(&program, &sidecar, &["serve", "accounts", "--instance", "closed"])
        .args(["--http-address", "127.0.0.1:0", "--app-channel-address", "127.0.0.1:0"])
        .args(["--registration", "closed", "--log-format", "json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(closed.stderr.take().ok_or_else(|| Failure::new("no log"))?).lines();
    let address = timeout(RECOVERY, async {
        while let Some(line) = log.next_line().await? {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == json!("started") {
                return Ok(line["http"].as_str().unwrap_or_default().to_owned());
            }
        }
        Err(Failure::new("it ended before it had started"))
    })
    .await??;

    let (name, password) = (unique("Hedy"), "correct horse 1");
    let credentials = json!({ "username": name, "password": password });
    let there = Api::new(http::client(), format!("http://{address}"), None);
    there.post("/api/auth/register", &credentials).await?.problem(403, "registration-closed");
    // What is wrong with it is not even looked at.
    there.post("/api/auth/register", &json!({ "username": "x" })).await?.problem(403, "registration-closed");
    closed.kill().await?;

    let create = async |name: &str, password: &str| {
        let arguments = ["users", "create", name, "--display-name", "Hedy L.", "--registration", "closed"];
        with_input(command(&program, &sidecar, &arguments), password).await
    };
    let made = create(&name, &format!("{password}\n")).await?;
    let told = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(made.status.success() && told.contains(&format!("created user {name}")), "{made:?}");
    assert!(!told.contains(password), "{told}");
    let session = world.anonymous().post("/api/auth/login", &credentials).await?.expect(200).json();
    let user = session["data"]["_id"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains(&user), "{told}");
    world
        .observer
        .on_ledger("the registration", SOON, |seen| seen.iter().find(|seen| seen.is_of(&user)).cloned())
        .await?;

    for (name, password, wrong) in [
        (name.to_uppercase(), password, "username-taken"),
        (unique("Hedy"), "short", "password must be at least 8 characters long"),
        ("a\u{200b}b".to_owned(), "short", "username must be of letters"),
    ] {
        let refused = create(&name, password).await?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains(wrong), "{told}");
    }
    sidecar.part().stop().await?;
    Ok(())
}

fn command(program: &str, sidecar: &Sidecar, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(["--dapr-grpc-endpoint", &sidecar.grpc_endpoint()])
        .args(["--argon2-memory-kibibytes", "1024", "--argon2-passes", "1"])
        .env("DAPR_API_TOKEN", sidecar.api_token())
        .kill_on_drop(true);
    command
}

async fn with_input(mut command: Command, input: &str) -> Outcome<Output> {
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut standard_input = running.stdin.take().ok_or_else(|| Failure::new("no standard input"))?;
    standard_input.write_all(input.as_bytes()).await?;
    drop(standard_input);
    Ok(timeout(RECOVERY, running.wait_with_output()).await??)
}
