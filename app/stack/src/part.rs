//! One supervised process, as tests and the command line see it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::error::StackError;
use crate::log::RotatingLog;
use crate::supervision::Command;

/// Lines of a part's log that go into an error about it.
const LINES_IN_ERRORS: usize = 20;

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not running, and not meant to.
    Stopped,
    /// Its data folder is being made.
    Preparing,
    /// Waits until what it depends on is healthy.
    Waiting,
    /// Runs and has not answered its probe yet.
    Starting,
    /// Runs and answers its probe.
    Healthy,
    /// Runs and does not answer its probe; it is left alone, since its fault may be another part's.
    Unhealthy,
    /// Frozen by [`Part::pause`].
    Paused,
    /// Ended unexpectedly; will be started again after a wait.
    Restarting,
    /// Ended too often, or could not be prepared; will not be started again by itself.
    Failed,
}

/// What is known about a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartStatus {
    /// The part's name.
    pub name: String,
    /// What it is doing.
    pub phase: Phase,
    /// Its process id while it runs.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Unexpected ends since the stack started.
    pub restarts: u32,
    /// The latest trouble: why the probe fails, or how the process ended.
    pub trouble: Option<String>,
}

/// A handle to one supervised process. Clones are handles to the same one.
///
/// An application and its sidecar are one unit: [`Part::stop`], [`Part::start`], [`Part::restart`] and
/// [`Part::set_auto_restart`] on either act on both, while [`Part::kill`], [`Part::pause`] and
/// [`Part::resume`] hit the one process.
#[derive(Debug, Clone)]
pub struct Part {
    pub(crate) member: usize,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) status: watch::Receiver<PartStatus>,
    pub(crate) log: RotatingLog,
}

impl Part {
    /// The part's name, unique in its stack.
    pub fn name(&self) -> String {
        self.status.borrow().name.clone()
    }

    /// What is known about it now.
    pub fn status(&self) -> PartStatus {
        self.status.borrow().clone()
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.status.borrow().pid
    }

    /// Where it listens; `None` for a sidecar-only helper without a port.
    pub fn address(&self) -> Option<SocketAddr> {
        self.status.borrow().address
    }

    /// Where its output is written.
    pub fn log_path(&self) -> &Path {
        self.log.path()
    }

    /// The last lines of its output.
    pub fn log_tail(&self, lines: usize) -> String {
        self.log.tail(lines)
    }

    /// Ends the process and all its descendants at once, as a crash would (`SIGKILL`). Returns when it is
    /// gone; unless auto-restart is off the supervisor starts it again, however often.
    pub async fn kill(&self) -> Result<(), StackError> {
        self.ask(|reply| Command::Kill(self.member, reply)).await
    }

    /// Freezes the process and its descendants (`SIGSTOP`): its connections stay open and nobody answers.
    pub async fn pause(&self) -> Result<(), StackError> {
        self.ask(|reply| Command::Pause(self.member, reply)).await
    }

    /// Lets a frozen process go on (`SIGCONT`).
    pub async fn resume(&self) -> Result<(), StackError> {
        self.ask(|reply| Command::Resume(self.member, reply)).await
    }

    /// Stops the unit in order and keeps it down. Returns when it has ended.
    pub async fn stop(&self) -> Result<(), StackError> {
        self.ask(Command::Stop).await
    }

    /// Starts the unit, also one that has failed. Returns at once: see [`Part::wait_healthy`].
    pub async fn start(&self) -> Result<(), StackError> {
        self.ask(Command::Start).await
    }

    /// Stops the unit in order and starts it again. Returns when it has ended: see [`Part::wait_healthy`].
    pub async fn restart(&self) -> Result<(), StackError> {
        self.ask(Command::Restart).await
    }

    /// Whether the supervisor starts the unit again when it ends by itself or by [`Part::kill`].
    pub async fn set_auto_restart(&self, enabled: bool) -> Result<(), StackError> {
        self.ask(|reply| Command::SetAutoRestart(enabled, reply)).await
    }

    /// Waits until the part answers its probe.
    ///
    /// # Errors
    /// [`StackError::NotHealthy`], with the end of its log, when it has failed for good or `within` is over.
    pub async fn wait_healthy(&self, within: Duration) -> Result<(), StackError> {
        let status =
            self.wait_for(within, |status| matches!(status.phase, Phase::Healthy | Phase::Failed)).await?;
        if status.phase == Phase::Healthy { Ok(()) } else { Err(self.not_healthy()) }
    }

    /// Waits until `wanted` holds for the part's status, which it returns.
    ///
    /// # Errors
    /// [`StackError::NotHealthy`] when `within` is over.
    pub async fn wait_for(
        &self,
        within: Duration,
        wanted: impl FnMut(&PartStatus) -> bool,
    ) -> Result<PartStatus, StackError> {
        let mut status = self.status.clone();
        match timeout(within, status.wait_for(wanted)).await {
            Ok(Ok(status)) => Ok(status.clone()),
            Ok(Err(_)) => Err(StackError::NotSupervised(self.name())),
            Err(_) => Err(self.not_healthy()),
        }
    }

    fn not_healthy(&self) -> StackError {
        let status = self.status();
        let trouble = status.trouble.unwrap_or_else(|| "it has not answered yet".to_owned());
        StackError::NotHealthy {
            part: status.name,
            reason: format!("{:?}, {trouble}", status.phase),
            log: self.log.tail(LINES_IN_ERRORS),
        }
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> Result<(), StackError> {
        let (reply, answer) = oneshot::channel();
        let gone = || StackError::NotSupervised(self.name());
        self.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}
