//! Showing what runs.

use std::process::ExitCode;

use clap::Args;

use super::control;
use super::request::Request;
use crate::folders::Folders;
use crate::part::{PartStatus, Phase};

/// Nothing is running; 1 means that something is, and is not healthy.
const NOT_RUNNING: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct Status {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, folders: &Folders) -> anyhow::Result<ExitCode> {
        let state = folders.state();
        let Some(parts) = control::ask_status(&state).await? else {
            println!("{}", if self.json { "[]" } else { "Nothing is running. Start it with `make dev-up`." });
            return Ok(ExitCode::from(NOT_RUNNING));
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&parts)?);
        } else {
            print_table(&parts);
            if let Some(request) = Request::read(&state).filter(|request| request.application.is_some()) {
                println!("\n{}   logs: {}", request.url(), state.join("logs").display());
            }
        }
        let healthy = parts.iter().all(|part| part.phase == Phase::Healthy);
        Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print_table(parts: &[PartStatus]) {
    println!("{:<24} {:<11} {:>8} {:<22} {:>8}", "PART", "STATE", "PID", "ADDRESS", "RESTARTS");
    for part in parts {
        let phase = format!("{:?}", part.phase).to_lowercase();
        let pid = part.pid.map(|pid| pid.to_string()).unwrap_or_default();
        let address = part.address.map(|address| address.to_string()).unwrap_or_default();
        println!("{:<24} {phase:<11} {pid:>8} {address:<22} {:>8}", part.name, part.restarts);
        if let Some(trouble) = part.trouble.as_ref().filter(|_| part.phase != Phase::Healthy) {
            println!("    {trouble}");
        }
    }
}
