//! The whole suite, once for each topology, each time on a stack of its own.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use libtest_mimic::{Arguments, Failed};
use tidemark_acceptance::{Failure, Outcome, program};
use tidemark_stack::{Attachment, Progress, Stack, StackOptions};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::world::World;

/// Trials mostly wait for answers, so more of them than there are cores go on at the same time.
const TRIALS_AT_ONCE: usize = 8;

/// No trial may keep the suite waiting for ever.
const LONGEST_TRIAL: Duration = Duration::from_mins(3);

/// What each kill that is asked for adds to that.
const LONGEST_KILL: Duration = Duration::from_secs(10);

/// How many of the slowest trials are named at the end.
const SLOWEST: usize = 5;

/// How a run differs from what `cargo test` does by itself.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// One topology only.
    #[arg(long, env, value_enum)]
    topology: Option<Topology>,
    /// The cargo profile of the application.
    #[arg(long, env = "APPLICATION_PROFILE", default_value = "dev")]
    profile: String,
    /// How often the application is killed under load.
    #[arg(long, env, default_value_t = 3)]
    pub kills: u32,
    /// How many clients create tasks meanwhile.
    #[arg(long, env, default_value_t = 40)]
    pub clients: u32,
    /// How long strangers send garbage [s].
    #[arg(long, env, default_value_t = 20)]
    pub garbage_seconds: u64,
    /// Repeats the random requests of an earlier run.
    #[arg(long, env)]
    pub seed: Option<u64>,
    /// Writes down the answers to the requests of the sources anew, instead of comparing them.
    #[arg(long, env, value_parser = clap::builder::FalseyValueParser::new())]
    pub update: bool,
    /// A running system to test instead of one of our own, as a description in JSON: see `Attachment`. It is in the
    /// split topology, and nothing of it is broken on purpose.
    #[arg(long, env)]
    attach: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Topology {
    Single,
    Split,
}

impl Topology {
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Split => "split",
        }
    }
}

/// A trial stays on its own thread, so its future need not be `Send`.
type Body = dyn Fn(Arc<World>) -> Pin<Box<dyn Future<Output = Outcome>>> + Send + Sync;

/// One test, run in every topology.
#[derive(Clone)]
pub struct Trial {
    name: String,
    body: Arc<Body>,
}

impl Trial {
    /// A trial by the path of its function, from which the binary's and its folder's names are left out. See
    /// [`trials!`](crate::trials).
    pub fn new<F>(path: &str, body: fn(Arc<World>) -> F) -> Self
    where
        F: Future<Output = Outcome> + 'static,
    {
        let name = path.splitn(3, "::").last().unwrap_or(path).to_owned();
        Self { name, body: Arc::new(move |world| Box::pin(body(world))) }
    }
}

/// The list of a module's trials, by the names of their functions.
#[macro_export]
macro_rules! trials {
    ($($trial:ident),+ $(,)?) => {
        vec![$($crate::acceptance::run::Trial::new(concat!(module_path!(), "::", stringify!($trial)), $trial)),+]
    };
}

/// Runs what the command line asks for; accepts the arguments that `cargo test` does.
///
/// In each topology `calm` trials run side by side, and then, one by one, those that break parts or measure and
/// so need the stack `alone`. The stack starts when the first trial needs it, and is stopped after the last,
/// also when trials failed.
pub fn run(calm: &[Trial], alone: &[Trial]) -> ExitCode {
    let mut side_by_side = Arguments::from_args();
    side_by_side.test_threads.get_or_insert(TRIALS_AT_ONCE);
    let mut one_by_one = side_by_side.clone();
    one_by_one.test_threads = Some(1);
    // From the environment alone: the command line belongs to the test harness.
    let settings = Settings::parse_from(["acceptance"]);
    let topologies = match settings.topology {
        _ if settings.attach.is_some() => vec![Topology::Split],
        Some(topology) => vec![topology],
        None => vec![Topology::Single, Topology::Split],
    };
    let alone = if settings.attach.is_some() { &[] } else { alone };
    let program = Arc::new(OnceCell::new());
    let runtime = Runtime::new().expect("the machine gives a few threads");

    let mut failed = false;
    for topology in topologies {
        let stage = Arc::new(Stage {
            topology,
            options: World::options(topology),
            settings: settings.clone(),
            program: Arc::clone(&program),
            stack: OnceCell::new(),
            world: OnceCell::new(),
            durations: Mutex::default(),
        });
        let watch = runtime.spawn(stop_on_signal(Arc::clone(&stage)));
        for (arguments, trials) in [(&side_by_side, calm), (&one_by_one, alone)] {
            let trials = trials.iter().map(|trial| stage.trial(trial, &runtime)).collect();
            failed |= libtest_mimic::run(arguments, trials).has_failed();
        }
        watch.abort();
        runtime.block_on(stage.stop(failed));
    }
    // What cargo's own harness answers.
    if failed { ExitCode::from(101) } else { ExitCode::SUCCESS }
}

/// The suite in one topology.
struct Stage {
    topology: Topology,
    options: StackOptions,
    settings: Settings,
    program: Arc<OnceCell<Result<PathBuf, String>>>,
    /// Kept as soon as there is a process that would have to be stopped.
    stack: OnceCell<Arc<Stack>>,
    /// What could not start is not tried again for every trial.
    world: OnceCell<Result<Arc<World>, String>>,
    durations: Mutex<Vec<(Duration, String)>>,
}

impl Stage {
    fn trial(self: &Arc<Self>, trial: &Trial, runtime: &Runtime) -> libtest_mimic::Trial {
        let (stage, handle, body) = (Arc::clone(self), runtime.handle().clone(), Arc::clone(&trial.body));
        let name = format!("{}::{}", self.topology.name(), trial.name);
        libtest_mimic::Trial::test(name.clone(), move || handle.block_on(stage.attempt(name, &*body)))
    }

    async fn attempt(&self, name: String, body: &Body) -> Result<(), Failed> {
        let start = || async { self.start().await.map_err(|failure| failure.to_string()) };
        let world = Arc::clone(self.world.get_or_init(start).await.as_ref()?);
        // A trial that failed may have left something broken.
        world.mend().await?;
        let started = Instant::now();
        let Settings { kills, garbage_seconds, .. } = self.settings;
        let longest = LONGEST_TRIAL + LONGEST_KILL * kills + Duration::from_secs(garbage_seconds);
        let outcome = timeout(longest, body(world)).await;
        self.durations.lock().unwrap_or_else(PoisonError::into_inner).push((started.elapsed(), name));
        match outcome {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(format!("the trial was given up after {longest:?}").into()),
        }
    }

    async fn start(&self) -> Outcome<Arc<World>> {
        if let Some(description) = &self.settings.attach {
            return self.attach(&Attachment::read(description)?).await;
        }
        let program = self.program.get_or_init(|| async { program::build(&self.settings.profile) }).await;
        let program = program.clone().map_err(Failure::new)?;
        let launch = || async {
            let options = StackOptions { application: Some(program), ..self.options.clone() };
            Outcome::Ok(Arc::new(Stack::launch(options, &Progress::to_standard_error()).await?))
        };
        let stack = self.stack.get_or_try_init(launch).await?;
        stack.wait_healthy().await?;
        Ok(Arc::new(World::on(Arc::clone(stack), self.topology, self.settings.clone(), None).await?))
    }

    async fn attach(&self, attachment: &Attachment) -> Outcome<Arc<World>> {
        let attach = || async {
            let options = self.options.clone();
            Outcome::Ok(Arc::new(Stack::attach(options, attachment, &Progress::to_standard_error()).await?))
        };
        let stack = self.stack.get_or_try_init(attach).await?;
        let roles = Some(attachment.roles.clone());
        Ok(Arc::new(World::on(Arc::clone(stack), self.topology, self.settings.clone(), roles).await?))
    }

    async fn stop(&self, failed: bool) {
        let Some(stack) = self.stack.get() else { return };
        stack.stop().await;
        if failed {
            eprintln!("the parts' logs are in {}", self.options.state.join("logs").display());
        }
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        durations.sort_by(|one, other| other.cmp(one));
        for (duration, name) in durations.iter().take(SLOWEST) {
            eprintln!("{:6.1} s  {name}", duration.as_secs_f64());
        }
    }
}

/// The parts are in process groups of their own: Ctrl-C reaches only this process.
async fn stop_on_signal(stage: Arc<Stage>) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stage.stop(true).await;
    std::process::exit(130);
}
