//! Talking to the supervisor: one line of JSON each way over a socket in the state folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::part::PartStatus;

/// A caller that does not say what it wants by then holds up the others.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

/// What the supervisor can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub(super) enum Question {
    /// How the parts are.
    Status,
    /// Restart the application, or one part.
    Restart { part: Option<String> },
    /// Stop everything and end.
    Stop,
}

/// Its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub(super) enum Answer {
    Parts { parts: Vec<PartStatus> },
    Refused { reason: String },
}

/// Where the supervisor listens.
pub(super) fn socket(state: &Path) -> PathBuf {
    state.join("control")
}

/// Asks the supervisor. `None` when none is running, or it ends before it has answered.
pub(super) async fn ask(state: &Path, question: &Question) -> anyhow::Result<Option<Answer>> {
    let line = match exchange(state, &serde_json::to_string(question)?).await {
        Ok(line) => line,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
}

async fn exchange(state: &Path, question: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket(state)).await?;
    stream.write_all(format!("{question}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

/// Whether nobody is at the other end: no socket, one left by a dead supervisor, or one that is just dying.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | BrokenPipe)
}

/// The status of the running parts. `None` when no supervisor is running.
pub(super) async fn ask_status(state: &Path) -> anyhow::Result<Option<Vec<PartStatus>>> {
    match ask(state, &Question::Status).await? {
        None => Ok(None),
        Some(Answer::Parts { parts }) => Ok(Some(parts)),
        Some(Answer::Refused { reason }) => anyhow::bail!(reason),
    }
}

/// A caller that waits for an answer.
pub(super) struct Caller {
    pub(super) question: Question,
    stream: UnixStream,
}

impl Caller {
    /// Reads the question of the next caller.
    pub(super) async fn accept(listener: &UnixListener) -> io::Result<Self> {
        let (mut stream, _) = listener.accept().await?;
        let mut line = String::new();
        timeout(ASKED_WITHIN, BufReader::new(&mut stream).read_line(&mut line)).await??;
        Ok(Self { question: serde_json::from_str(&line)?, stream })
    }

    pub(super) async fn answer(mut self, answer: &Answer) {
        let mut text = serde_json::to_string(answer).unwrap_or_default();
        text.push('\n');
        // A caller that has gone away needs no answer.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }
}
