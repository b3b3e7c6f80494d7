//! Talking to the supervisor: one line of JSON each way over a socket in the state folder.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::part::PartStatus;

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

/// Asks the supervisor. `None` when none is running.
pub(super) async fn ask(state: &Path, question: &Question) -> anyhow::Result<Option<Answer>> {
    let stream = match UnixStream::connect(socket(state)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let (reader, mut writer) = stream.into_split();
    let mut text = serde_json::to_string(question)?;
    text.push('\n');
    writer.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).await?;
    if line.is_empty() {
        // It ended while we asked.
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
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
        BufReader::new(&mut stream).read_line(&mut line).await?;
        Ok(Self { question: serde_json::from_str(&line)?, stream })
    }

    pub(super) async fn answer(mut self, answer: &Answer) {
        let mut text = serde_json::to_string(answer).unwrap_or_default();
        text.push('\n');
        // A caller that has gone away needs no answer.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }
}
