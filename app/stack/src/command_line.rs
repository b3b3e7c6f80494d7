//! The command line: `stack up`, `down`, `status`, `logs`, `restart`, `reset`, `doctor`, `install`.
//!
//! `up` starts a supervisor that lives on in the background; the other commands talk to it through a socket
//! in the state folder, or do without it where it is gone.

mod build;
mod containers;
mod control;
mod doctor;
mod down;
mod installing;
mod logs;
mod request;
mod restart;
mod status;
mod supervise;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::folders::Folders;
use crate::progress::Progress;

/// Tidemark's local stack
#[derive(Debug, Parser)]
#[command(name = "stack", version)]
struct CommandLine {
    #[command(flatten)]
    folders: Folders,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring everything up and wait until it is healthy
    Up(up::Up),
    /// Stop everything in order; data stays
    Down,
    /// Show what runs
    Status(status::Status),
    /// Follow the logs of all parts or some
    Logs(logs::Logs),
    /// Build and restart the application; the infrastructure and all data stay
    Restart(restart::Restart),
    /// Stop everything and remove all data, logs and secrets
    Reset,
    /// Tell what this machine has, what is missing and how to get it
    Doctor,
    /// Install the parts without starting anything
    Install,
    /// Own the parts; started by `up`
    #[command(hide = true)]
    Supervise,
}

impl Command {
    /// What `deploy/compose.sh` is asked instead, where it is containers that run.
    fn for_containers(&self) -> Option<Vec<String>> {
        let (name, services) = match self {
            Self::Down => ("down", Vec::new()),
            Self::Reset => ("reset", Vec::new()),
            Self::Status(_) => ("status", Vec::new()),
            Self::Logs(logs) => ("logs", logs.services()),
            Self::Restart(restart) => ("restart", restart.services()),
            Self::Up(_) | Self::Doctor | Self::Install | Self::Supervise => return None,
        };
        Some([vec![name.to_owned()], services].concat())
    }
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let CommandLine { folders, command } = CommandLine::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let progress = Progress::to_standard_error();
    let result = runtime.block_on(async {
        let state = folders.state();
        if containers::are_running(&state)
            && let Some(arguments) = command.for_containers()
        {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            return containers::run(&state, &arguments).await;
        }
        match command {
            Command::Up(up) => up.run(&folders, &progress).await,
            Command::Down => down::down(&folders, &progress).await,
            Command::Status(status) => status.run(&folders).await,
            Command::Logs(logs) => logs.run(&folders).await,
            Command::Restart(restart) => restart.run(&folders, &progress).await,
            Command::Reset => down::reset(&folders, &progress).await,
            Command::Doctor => doctor::doctor(&folders).await,
            Command::Install => installing::install_all(&folders, &progress).await,
            Command::Supervise => supervise::supervise(&folders).await,
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
