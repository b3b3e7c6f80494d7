//! Bringing the stack up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep};

use super::build::build;
use super::containers::{self, Mode};
use super::control::{self, Answer, Question};
use super::request::Request;
use crate::folders::{Folders, project};
use crate::install::{PartCache, install};
use crate::log::tail_of;
use crate::part::{PartStatus, Phase};
use crate::ports::is_free;
use crate::process::Launch;
use crate::progress::Progress;
use crate::stack::Topology;
use crate::state_folder::StateFolder;

/// The whole stack is up by then or never.
const UP_WITHIN: Duration = Duration::from_mins(3);

/// How often the supervisor is asked while something waits.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Lines of a part's log shown when it does not come up.
const LINES_SHOWN: usize = 15;

/// Says that the sample data was put in.
const SEEDED: &str = "seeded";

/// A developer's own settings, in the checkout but not in its history.
const OWN_SETTINGS: &str = ".env.local";

/// Of those settings the ones that only containers take: the native stack makes its own.
const SECRETS_OF_CONTAINERS: [&str; 2] = ["DAPR_API_TOKEN", "APP_API_TOKEN"];

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Containers or processes
    #[arg(long, env = "MODE", value_enum, default_value_t = Mode::Native)]
    mode: Mode,

    /// One process for all roles, or one for each behind NGINX
    #[arg(long, env = "TOPOLOGY", value_enum, default_value_t = Shape::Single)]
    topology: Shape,

    /// Processes of the role tasks in the split topology
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    tasks_replicas: u16,

    /// Public port of the application
    #[arg(long, env = "PORT", default_value_t = 3001)]
    port: u16,

    /// A built program `tidemark` to run instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,

    /// Start Redis, Kafka and PostgreSQL alone
    #[arg(long, conflicts_with = "binary")]
    infrastructure_only: bool,

    /// A further variable for the application; stronger than a line of .env.local
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_setting)]
    environment: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    Single,
    Split,
}

impl Up {
    pub(super) async fn run(self, folders: &Folders, progress: &Progress) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let state = folders.state();
        // What is asked for beyond the whole application is something only processes can be.
        let mode = if self.infrastructure_only || self.binary.is_some() { Mode::Native } else { self.mode };
        if let Some(code) = containers::up(mode, &state, self.port, progress).await? {
            return Ok(code);
        }
        let topology = match self.topology {
            Shape::Single => Topology::Single,
            Shape::Split => Topology::Split { tasks_replicas: self.tasks_replicas },
        };
        if let Some(parts) = control::ask_status(&state).await? {
            let is_up = parts.iter().all(|part| part.phase == Phase::Healthy);
            let progress = if is_up { Progress::silent() } else { progress.clone() };
            return already_running(&state, topology, self.infrastructure_only, &progress).await;
        }
        // What a killed supervisor has left may still hold the port.
        drop(StateFolder::open(&state, progress).await?);
        let project = project();
        let mut request = Request {
            topology,
            public_port: self.port,
            application: None,
            environment: own_settings(&project)?,
            project,
        };
        request.environment.extend(self.environment);
        if !self.infrastructure_only && !is_free(self.port) {
            bail!(
                "port {} on 127.0.0.1 is taken by another program. Stop it, or choose another port: make dev-up PORT=3005",
                self.port
            );
        }
        let wanted = crate::Installable::of(topology);
        install(&wanted, &PartCache::new(&folders.cache()), progress).await?;
        if !self.infrastructure_only {
            request.application = Some(match self.binary {
                Some(program) => {
                    fs::canonicalize(&program).with_context(|| format!("find {}", program.display()))?
                }
                None => build(&request.project, progress).await?,
            });
        }
        request.write(&state)?;
        progress.say("starting");
        let mut supervisor = start_supervisor(folders)?;
        if let Err(error) = wait_until_up(&state, Some(&mut supervisor), &[], progress).await {
            // Nothing half-started stays behind.
            let _ = control::ask(&state, &Question::Stop).await;
            return Err(error);
        }
        seed(&state, &request, progress).await?;
        progress.say(format!("up after {:.1?}", started.elapsed()));
        print_welcome(&request);
        Ok(ExitCode::SUCCESS)
    }
}

/// A second `up` changes nothing.
async fn already_running(
    state: &Path,
    topology: Topology,
    infrastructure_only: bool,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    let request = Request::read(state).context("something runs, but what was asked for is unknown")?;
    if request.topology != topology && !infrastructure_only {
        bail!("the stack is already running in another topology; run `make dev-down` first");
    }
    if request.application.is_some() == infrastructure_only {
        bail!("the stack is already running with other parts; run `make dev-down` first");
    }
    wait_until_up(state, None, &[], progress).await?;
    println!("Tidemark is already running; nothing was changed. `make dev-restart` runs a new build.");
    print_welcome(&request);
    Ok(ExitCode::SUCCESS)
}

fn start_supervisor(folders: &Folders) -> anyhow::Result<Child> {
    let state = folders.state();
    let path = log_of_supervisor(&state);
    fs::create_dir_all(path.parent().unwrap_or(&state))?;
    let log = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    Command::new(std::env::current_exe()?)
        .arg("supervise")
        .arg("--state-dir")
        .arg(state)
        .arg("--cache-dir")
        .arg(folders.cache())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start the supervisor")
}

fn log_of_supervisor(state: &Path) -> PathBuf {
    state.join("logs").join("supervisor.log")
}

/// Follows the parts until all are healthy, saying what changes from what is `known`.
///
/// # Errors
/// When a part has failed for good, the supervisor has ended, or time is over.
pub(super) async fn wait_until_up(
    state: &Path,
    mut supervisor: Option<&mut Child>,
    known: &[PartStatus],
    progress: &Progress,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut known: BTreeMap<String, (Phase, u32)> =
        known.iter().map(|part| (part.name.clone(), (part.phase, part.restarts))).collect();
    loop {
        let parts = control::ask_status(state).await?;
        for part in parts.iter().flatten() {
            let before = known.insert(part.name.clone(), (part.phase, part.restarts));
            report_change(part, before, started, progress);
            if part.phase == Phase::Failed {
                bail!("{}\n{}", describe_trouble(part), tail_of(&log_of(state, &part.name), LINES_SHOWN));
            }
        }
        match &parts {
            Some(parts) if !parts.is_empty() && parts.iter().all(|part| part.phase == Phase::Healthy) => {
                return Ok(());
            }
            None => {
                let ended = match supervisor.as_deref_mut() {
                    Some(supervisor) => supervisor.try_wait()?.is_some(),
                    None => true,
                };
                if ended {
                    bail!("the supervisor has ended:\n{}", tail_of(&log_of_supervisor(state), LINES_SHOWN));
                }
            }
            Some(_) => {}
        }
        if started.elapsed() > UP_WITHIN {
            let late: Vec<String> = parts
                .iter()
                .flatten()
                .filter(|part| part.phase != Phase::Healthy)
                .map(|part| {
                    format!(
                        "{}\n{}",
                        describe_trouble(part),
                        tail_of(&log_of(state, &part.name), LINES_SHOWN)
                    )
                })
                .collect();
            bail!("not up after {} s:\n{}", UP_WITHIN.as_secs(), late.join("\n"));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn report_change(part: &PartStatus, before: Option<(Phase, u32)>, started: Instant, progress: &Progress) {
    let healthy_before = before.is_some_and(|(phase, _)| phase == Phase::Healthy);
    if part.phase == Phase::Healthy && !healthy_before {
        progress.say(format!("  {} is healthy after {:.1?}", part.name, started.elapsed()));
    }
    if before.is_some_and(|(_, restarts)| part.restarts > restarts) {
        progress.say(format!("  {}, starting it again", describe_trouble(part)));
    }
}

fn describe_trouble(part: &PartStatus) -> String {
    format!("{}: {}", part.name, part.trouble.as_deref().unwrap_or("no answer yet"))
}

fn log_of(state: &Path, part: &str) -> PathBuf {
    state.join("logs").join(format!("{part}.log"))
}

/// Puts in the demo users and sample data, once for the life of the data.
async fn seed(state: &Path, request: &Request, progress: &Progress) -> anyhow::Result<()> {
    let note = state.join(SEEDED);
    let Some(application) = request.application.as_ref().filter(|_| !note.exists()) else { return Ok(()) };
    progress.say("putting in the demo users and sample data");
    Launch::new(application, &request.project).arguments(["seed", "--url", &request.url()]).run().await?;
    fs::write(&note, "")?;
    Ok(())
}

fn print_welcome(request: &Request) {
    let url = request.url();
    if request.application.is_none() {
        println!("The infrastructure is running. Addresses: make dev-status");
        return;
    }
    println!(
        "
Tidemark is running.

  REST               {url}/api  (docs/api.md)
  Health             {url}/api/health
  Metrics            {url}/metrics

  Log in as Avinash, Dhaya, Ashok, Arun or Cathrine; the password is the name followed by 123.

  make dev-status    what runs, and where
  make dev-logs      follow all logs; ROLE=tasks or PART=kafka for some
  make dev-restart   build and run your changes
  make dev-down      stop; data stays
"
    );
}

/// Reads the developer's own settings: lines `NAME=VALUE`, blank lines and comments.
fn own_settings(project: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(project.join(OWN_SETTINGS)).unwrap_or_default();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| parse_setting(line).map_err(|reason| anyhow::anyhow!("{OWN_SETTINGS}: {reason}")))
        .filter(|setting| !matches!(setting, Ok((name, _)) if SECRETS_OF_CONTAINERS.contains(&name.as_str())))
        .collect()
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text} is not NAME=VALUE"))?;
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    Ok((name.trim().to_owned(), unquoted.to_owned()))
}

/// What a restart waits for.
pub(super) async fn restart(state: &Path, part: Option<String>, progress: &Progress) -> anyhow::Result<()> {
    match control::ask(state, &Question::Restart { part }).await? {
        None => bail!("nothing is running; start it with `make dev-up`"),
        Some(Answer::Refused { reason }) => bail!(reason),
        Some(Answer::Parts { parts }) => wait_until_up(state, None, &parts, progress).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_may_be_quoted_and_must_have_a_value() {
        assert_eq!(parse_setting("A = \"b c\""), Ok(("A".to_owned(), "b c".to_owned())));
        assert_eq!(parse_setting("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(parse_setting("A").is_err());
    }
}
