//! Building the application from the checkout.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::Command;

use crate::install::find_program;
use crate::progress::Progress;

/// One line of cargo's messages; only finished programs matter.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds the release program `tidemark` and returns where it is. Cargo shows its own progress.
pub(super) async fn build(project: &Path, progress: &Progress) -> anyhow::Result<PathBuf> {
    let cargo = find_program("cargo").context(
        "cargo is missing, which builds the application. Get it from https://rustup.rs, or give a built \
         program with --binary",
    )?;
    progress.say("building the application (cargo build --release)");
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "tidemark", "--bin", "tidemark"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(project)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("start cargo")?;
    if !output.status.success() {
        bail!("the application does not build; nothing was changed");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .next_back()
        .context("cargo built no program named tidemark")
}
