//! What can go wrong, in words for the person at the terminal.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// A failure of the local stack.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A program or library the stack needs is not on this machine and could not be installed.
    #[error("{what} is missing. {remedy}")]
    Missing {
        /// The thing, as a person would call it.
        what: String,
        /// How to get it.
        remedy: String,
    },

    /// The state folder belongs to a stack that runs now.
    #[error("a stack is already running in {}", .0.display())]
    InUse(PathBuf),

    /// A fixed port that the user asked for is taken.
    #[error("port {port} on 127.0.0.1 is taken by another program: stop it or choose another port")]
    PortTaken {
        /// The port.
        port: u16,
    },

    /// No free port was found in the range that the stack uses.
    #[error("found no free port between {first} and {last}")]
    NoFreePort {
        /// Lowest port tried.
        first: u16,
        /// Highest port tried.
        last: u16,
    },

    /// A file operation failed.
    #[error("{action} {}", path.display())]
    File {
        /// What was being done, such as "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },

    /// A program could not be started.
    #[error("start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },

    /// A helper program ended with an error.
    #[error("{program} ended with {status}: {output}")]
    Command {
        /// The program and what it was to do.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
    },

    /// A part did not become healthy.
    #[error("{part} is not healthy: {reason}\n{log}")]
    NotHealthy {
        /// The part.
        part: String,
        /// What the supervisor knows.
        reason: String,
        /// The last lines that it logged.
        log: String,
    },

    /// No part has this name in this stack.
    #[error("there is no part named {name}; the parts are {known}")]
    UnknownPart {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },

    /// The supervising task has ended.
    #[error("{0} is no longer supervised")]
    NotSupervised(String),

    /// A stored document cannot be understood.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl StackError {
    /// For `map_err` after a file operation on `path`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// The message with all its causes, on one line, for a status display.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
