//! A test binary whose trials share one stack.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed};
use tidemark_stack::{Progress, Stack, StackOptions};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::failure::Outcome;

/// Trials mostly wait for the parts, so more of them than there are cores go on at the same time.
const TRIALS_AT_ONCE: usize = 16;

/// No trial may keep the suite waiting for ever.
const LONGEST_TRIAL: Duration = Duration::from_mins(2);

type Body<World> = Box<dyn FnOnce(Arc<World>) -> Pin<Box<dyn Future<Output = Outcome>>> + Send>;

/// One test of a suite.
pub struct Trial<World> {
    name: String,
    body: Body<World>,
}

impl<World: Send + Sync + 'static> Trial<World> {
    /// A trial by the path of its function, of which the last two parts, module and function, make the name.
    /// See [`trials!`](crate::trials).
    pub fn new<F>(path: &str, body: fn(Arc<World>) -> F) -> Self
    where
        F: Future<Output = Outcome> + 'static,
    {
        let start = path.rmatch_indices("::").nth(1).map_or(0, |(position, colons)| position + colons.len());
        let name = path.get(start..).unwrap_or(path).to_owned();
        Self { name, body: Box::new(move |world| Box::pin(body(world))) }
    }
}

/// The list of a module's trials, by the names of their functions.
#[macro_export]
macro_rules! trials {
    ($($trial:ident),+ $(,)?) => {
        vec![$($crate::suite::Trial::new(concat!(module_path!(), "::", stringify!($trial)), $trial)),+]
    };
}

/// Runs the trials that the command line asks for and prints what `cargo test` would. Accepts its arguments.
///
/// The stack of `options` starts when the first trial needs it, `world` makes of it what trials get, and
/// everything is stopped after the last trial, also when trials failed, and on Ctrl-C. What a killed binary
/// leaves behind is ended by the next one.
pub fn run<World: Send + Sync + 'static>(
    options: StackOptions,
    world: fn(Arc<Stack>) -> World,
    trials: Vec<Trial<World>>,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TRIALS_AT_ONCE);
    let logs = options.state.join("logs");
    let shared = Arc::new(Shared { options, world, stack: OnceCell::new(), started: OnceCell::new() });
    let runtime = Runtime::new().expect("the machine gives a few threads");
    runtime.spawn(stop_on_signal(Arc::clone(&shared)));

    let trials = trials
        .into_iter()
        .map(|Trial { name, body }| {
            let (shared, handle) = (Arc::clone(&shared), runtime.handle().clone());
            libtest_mimic::Trial::test(name, move || handle.block_on(shared.attempt(body)))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    runtime.block_on(shared.stop());
    if conclusion.has_failed() {
        eprintln!("the parts' logs are in {}", logs.display());
    }
    conclusion.exit_code()
}

struct Shared<World> {
    options: StackOptions,
    world: fn(Arc<Stack>) -> World,
    /// Kept as soon as there is a process that would have to be stopped.
    stack: OnceCell<Arc<Stack>>,
    /// What could not start is not tried again for every trial.
    started: OnceCell<Result<Arc<World>, String>>,
}

impl<World: Send + Sync + 'static> Shared<World> {
    async fn attempt(&self, body: Body<World>) -> Result<(), Failed> {
        let start = || async { self.start().await.map_err(|failure| failure.to_string()) };
        let world = self.started.get_or_init(start).await.as_ref()?;
        match timeout(LONGEST_TRIAL, body(Arc::clone(world))).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(format!("the trial was given up after {LONGEST_TRIAL:?}").into()),
        }
    }

    async fn start(&self) -> Outcome<Arc<World>> {
        let launch = || async {
            let stack = Stack::launch(self.options.clone(), &Progress::to_standard_error()).await?;
            Outcome::Ok(Arc::new(stack))
        };
        let stack = self.stack.get_or_try_init(launch).await?;
        stack.wait_healthy().await?;
        Ok(Arc::new((self.world)(Arc::clone(stack))))
    }

    async fn stop(&self) {
        if let Some(stack) = self.stack.get() {
            stack.stop().await;
        }
    }
}

/// The parts are in process groups of their own: Ctrl-C reaches only this process.
async fn stop_on_signal<World: Send + Sync + 'static>(shared: Arc<Shared<World>>) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    shared.stop().await;
    std::process::exit(130);
}
