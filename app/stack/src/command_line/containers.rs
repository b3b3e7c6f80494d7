//! The same system in containers. `deploy/compose.sh` does the work; what is here decides between the two ways
//! and remembers which one runs.

use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;
use tokio::process::Command;

use super::control;
use crate::folders::project;
use crate::progress::Progress;

/// Lies in the state folder while containers are what runs.
const NOTE: &str = "containers";

/// How the system is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// Containers where an engine answers and can have the images, processes elsewhere
    Auto,
    /// Containers, by the compose file
    Docker,
    /// Processes, without containers
    Native,
}

/// Whether containers were started, and not stopped since.
pub(super) fn are_running(state: &Path) -> bool {
    state.join(NOTE).exists()
}

/// Brings the containers up, if it is they that are wanted; `None` when it is to be processes.
pub(super) async fn up(
    mode: Mode,
    state: &Path,
    port: u16,
    progress: &Progress,
) -> anyhow::Result<Option<ExitCode>> {
    let is_native_running = control::ask_status(state).await?.is_some();
    match mode {
        Mode::Native if are_running(state) => {
            bail!("Tidemark is running in containers; run `make dev-down` first")
        }
        Mode::Docker if is_native_running => {
            bail!("Tidemark is running without containers; run `make dev-down` first")
        }
        Mode::Native => return Ok(None),
        Mode::Auto if is_native_running => return Ok(None),
        Mode::Auto | Mode::Docker => {}
    }
    if !are_running(state) && !script(&["can-run"]).status().await.context(SCRIPT)?.success() {
        if mode == Mode::Docker {
            bail!("containers cannot be run here; MODE=native does without");
        }
        progress.say("going on without containers");
        return Ok(None);
    }
    fs::create_dir_all(state)?;
    fs::write(state.join(NOTE), "")?;
    let status = script(&["up"]).env("PORT", port.to_string()).status().await.context(SCRIPT)?;
    if !status.success() {
        bail!(
            "the containers did not all come up; `make dev-logs` shows why, `make dev-down` stops the others"
        );
    }
    Ok(Some(ExitCode::SUCCESS))
}

/// Does something with the containers that run.
pub(super) async fn run(state: &Path, arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let status = script(arguments).status().await.context(SCRIPT)?;
    if !status.success() {
        return Ok(ExitCode::FAILURE);
    }
    if matches!(arguments, ["down" | "reset", ..]) {
        fs::remove_file(state.join(NOTE))?;
    }
    Ok(ExitCode::SUCCESS)
}

const SCRIPT: &str = "run deploy/compose.sh";

fn script(arguments: &[&str]) -> Command {
    let project = project();
    let mut command = Command::new(project.join("deploy").join("compose.sh"));
    command.args(arguments).current_dir(project).stdin(Stdio::null());
    command
}
