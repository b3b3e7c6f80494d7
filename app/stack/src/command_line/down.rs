//! Stopping the stack, and removing what it keeps.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

use super::control::{self, Answer, Question};
use crate::error::StackError;
use crate::folders::Folders;
use crate::progress::Progress;
use crate::state_folder::StateFolder;

/// Longest wait for a supervisor that has answered and is about to end, or has just been started.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn down(folders: &Folders, progress: &Progress) -> anyhow::Result<ExitCode> {
    let state = folders.state();
    if !state.exists() {
        println!("Nothing is running.");
        return Ok(ExitCode::SUCCESS);
    }
    let stopped = stop(&state, progress).await?;
    println!("{}", if stopped.was_running { "Stopped; the data stays." } else { "Nothing is running." });
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn reset(folders: &Folders, progress: &Progress) -> anyhow::Result<ExitCode> {
    let state = folders.state();
    let stopped = stop(&state, progress).await?;
    stopped.folder.clear()?;
    println!("Stopped, and removed all data, logs and secrets in {}.", state.display());
    Ok(ExitCode::SUCCESS)
}

struct Stopped {
    was_running: bool,
    /// Held, so that nothing starts in between.
    folder: StateFolder,
}

/// Stops the supervisor in order, or ends what a killed one has left.
async fn stop(state: &Path, progress: &Progress) -> anyhow::Result<Stopped> {
    let mut was_running = false;
    let began = Instant::now();
    loop {
        if control::ask_status(state).await?.is_some() {
            progress.say("stopping");
            was_running = true;
            if let Some(Answer::Refused { reason }) = control::ask(state, &Question::Stop).await? {
                bail!(reason);
            }
        }
        match StateFolder::open(state, progress).await {
            Ok(folder) => {
                was_running |= !folder.orphans_ended.is_empty();
                return Ok(Stopped { was_running, folder });
            }
            Err(StackError::InUse(_)) if began.elapsed() < HANDED_OVER_WITHIN => sleep(LOOK_EVERY).await,
            Err(error) => return Err(error.into()),
        }
    }
}
