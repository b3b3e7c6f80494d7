//! How a program is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::{Identity, lasting_thread};
use crate::error::StackError;
use crate::install::find_program;

/// What the children may see of the environment that the stack itself runs in: enough to find programs and
/// print text, and nothing that silently changes them (such as `PGPORT` or somebody's `DAPR_API_TOKEN`).
/// A program that was built to count its own lines is told where to write them down.
const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "JAVA_HOME", "LLVM_PROFILE_FILE"];

/// Telemetry settings pass through to every part that understands them.
const INHERITED_PREFIX: &str = "OTEL_";

/// A program with everything it is started with.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) directory: PathBuf,
    /// User and group to become, when the stack runs as root and the program refuses to.
    pub(crate) account: Option<Account>,
    /// For tools that belong to the person's own set-up, such as a compiler with its proxies and caches.
    whole_environment: bool,
}

/// A user of the machine and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// A program that was started.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) identity: Identity,
    /// Its standard output and error, in the order in which it wrote them.
    pub(crate) output: pipe::Receiver,
}

impl Launch {
    pub(crate) fn new(program: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: directory.into(),
            account: None,
            whole_environment: false,
        }
    }

    pub(crate) fn with_whole_environment(mut self) -> Self {
        self.whole_environment = true;
        self
    }

    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// The command with its surroundings, for a run of any kind.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.directory).stdin(Stdio::null());
        if !self.whole_environment {
            command.env_clear();
            command.envs(std::env::vars_os().filter(|(name, _)| {
                name.to_str()
                    .is_some_and(|name| INHERITED.contains(&name) || name.starts_with(INHERITED_PREFIX))
            }));
        }
        command.envs(&self.environment);
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    /// Starts the program in a process group of its own, so that Ctrl-C at the terminal reaches only the
    /// supervisor, which then stops everything in order. If the supervisor dies without that, the kernel asks
    /// the program to end, where util-linux is there to arrange it; elsewhere the next start does.
    pub(crate) fn start(&self) -> Result<Started, StackError> {
        let failed = |source| StackError::Spawn { program: self.program.display().to_string(), source };
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let mut command = match find_program("setpriv").filter(|_| self.program.exists()) {
            Some(setpriv) => self.inside(setpriv, ["--pdeathsig", "TERM", "--"]).command(),
            None => self.command(),
        };
        command
            .stdout(writer.try_clone().map_err(failed)?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true);
        let child = lasting_thread::spawn(command).map_err(failed)?;
        let identity = child
            .id()
            .and_then(Identity::of)
            .ok_or_else(|| failed(std::io::Error::other("it ended before it could be looked at")))?;
        let output = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?;
        Ok(Started { child, identity, output })
    }

    /// The same program started by `outer`, which replaces itself by it.
    fn inside<'word>(&self, outer: PathBuf, words: impl IntoIterator<Item = &'word str>) -> Self {
        let words = words.into_iter().map(OsString::from);
        let arguments = words.chain([self.program.clone().into()]).chain(self.arguments.clone()).collect();
        Self { program: outer, arguments, ..self.clone() }
    }

    /// Runs the program to its end and returns what it printed on standard output.
    ///
    /// # Errors
    /// [`StackError::Command`] with the end of its output when it did not succeed.
    pub(crate) async fn run(&self) -> Result<String, StackError> {
        let output = self.finish(None).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Like [`Launch::run`], with `input` on standard input.
    pub(crate) async fn run_with_input(&self, input: &str) -> Result<String, StackError> {
        let output = self.finish(Some(input)).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Like [`Launch::run`], and returns what it printed on standard error as well.
    pub(crate) async fn run_all(&self) -> Result<String, StackError> {
        Ok(all_output(&self.finish(None).await?))
    }

    async fn finish(&self, input: Option<&str>) -> Result<Output, StackError> {
        let failed = |source| StackError::Spawn { program: self.program.display().to_string(), source };
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().map_err(failed)?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(text.as_bytes()).await.map_err(failed)?;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if output.status.success() {
            return Ok(output);
        }
        let printed = all_output(&output);
        let lines: Vec<&str> = printed.lines().collect();
        Err(StackError::Command {
            program: self.program.display().to_string(),
            status: output.status,
            output: lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n"),
        })
    }
}

fn all_output(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
