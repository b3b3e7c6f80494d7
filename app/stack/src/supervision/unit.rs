//! The task that owns a unit's processes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::policy::{RecentEnds, RestartPolicy};
use crate::error::StackError;
use crate::log::RotatingLog;
use crate::part::{Part, PartStatus, Phase};
use crate::probe::Probe;
use crate::process::{Identity, Launch, Record};

/// Between probes while a process starts.
const PROBE_STARTING: Duration = Duration::from_millis(50);

/// Between probes of a process that has been healthy.
const PROBE_RUNNING: Duration = Duration::from_secs(1);

/// Failed probes in a row before a healthy process is called unhealthy.
const FAILURES_UNTIL_UNHEALTHY: u32 = 2;

/// What the other members of a unit get when one has died: they can do nothing without it.
const GRACE_AFTER_A_DEATH: Duration = Duration::from_secs(3);

/// Commands and events waiting for one unit's task.
const MAILBOX: usize = 64;

/// Work that a unit needs done at a certain moment; must bear being done again.
#[derive(Clone)]
pub(crate) struct Hook(Arc<dyn Fn() -> HookFuture + Send + Sync>);

type HookFuture = Pin<Box<dyn Future<Output = Result<(), StackError>> + Send>>;

impl Hook {
    pub(crate) fn new<F, W>(work: W) -> Self
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), StackError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(work())))
    }

    async fn run(&self) -> Result<(), StackError> {
        (self.0)().await
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hook")
    }
}

/// One process of a unit.
#[derive(Debug)]
pub(crate) struct MemberSpecification {
    pub(crate) name: String,
    pub(crate) launch: Launch,
    pub(crate) probe: Probe,
    pub(crate) address: Option<SocketAddr>,
    /// Asks for an orderly end.
    pub(crate) stop_signal: Signal,
    /// What an orderly end may take before the process is killed.
    pub(crate) stop_grace: Duration,
    /// A process that has not answered by then counts as dead.
    pub(crate) start_deadline: Duration,
    pub(crate) log: PathBuf,
}

/// Processes that start and stop together.
#[derive(Debug)]
pub(crate) struct UnitSpecification {
    /// In the order in which they start and stop.
    pub(crate) members: Vec<MemberSpecification>,
    /// Done before the first start.
    pub(crate) prepare: Option<Hook>,
    /// Done whenever the first member answers for the first time, before it counts as healthy.
    pub(crate) complete: Option<Hook>,
    /// Parts that must be healthy before this unit starts: a sidecar whose components cannot connect ends
    /// itself, and those ends should not use up its restarts.
    pub(crate) dependencies: Vec<Part>,
    pub(crate) stop_order: u8,
    pub(crate) policy: RestartPolicy,
    pub(crate) auto_restart: bool,
    /// Where running processes are noted for whoever comes after a killed supervisor.
    pub(crate) run_folder: PathBuf,
}

/// What a unit can be asked; the reply comes when it is done.
pub(crate) enum Command {
    Start(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
    Restart(oneshot::Sender<()>),
    Kill(usize, oneshot::Sender<()>),
    Pause(usize, oneshot::Sender<()>),
    Resume(usize, oneshot::Sender<()>),
    SetAutoRestart(bool, oneshot::Sender<()>),
}

/// What a unit's processes do by themselves.
struct Event {
    member: usize,
    /// Tells a process from its predecessors.
    run: u64,
    news: News,
}

enum News {
    Ended(String),
    Healthy,
    Unhealthy(String),
    NeverHealthy(String),
}

pub(crate) struct Unit {
    specification: UnitSpecification,
    members: Vec<Member>,
    dependencies: Vec<watch::Receiver<PartStatus>>,
    prepared: bool,
    recent_ends: RecentEnds,
    /// When to start, if the unit is down and is to come up.
    start_at: Option<Instant>,
    runs: u64,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Receiver<Event>,
    event_sender: mpsc::Sender<Event>,
}

struct Member {
    log: RotatingLog,
    status: watch::Sender<PartStatus>,
    running: Option<Running>,
}

struct Running {
    run: u64,
    identity: Identity,
    prober: JoinHandle<()>,
}

impl Unit {
    /// Starts the task that brings the unit up and keeps it up. Returns a handle to each member. The unit is
    /// stopped in order when all handles are gone.
    pub(crate) fn supervise(specification: UnitSpecification) -> Vec<Part> {
        let (command_sender, commands) = mpsc::channel(MAILBOX);
        let (event_sender, events) = mpsc::channel(MAILBOX);
        let members: Vec<Member> = specification
            .members
            .iter()
            .map(|member| Member {
                log: RotatingLog::new(member.log.clone()),
                status: watch::Sender::new(PartStatus {
                    name: member.name.clone(),
                    phase: Phase::Waiting,
                    pid: None,
                    address: member.address,
                    restarts: 0,
                    trouble: None,
                }),
                running: None,
            })
            .collect();
        let parts = members
            .iter()
            .enumerate()
            .map(|(index, member)| Part {
                member: index,
                commands: command_sender.clone(),
                status: member.status.subscribe(),
                log: member.log.clone(),
            })
            .collect();
        let unit = Self {
            // Only the status is kept: a handle would keep its unit from ending when its owner is gone.
            dependencies: specification.dependencies.iter().map(|part| part.status.clone()).collect(),
            specification: UnitSpecification { dependencies: Vec::new(), ..specification },
            members,
            prepared: false,
            recent_ends: RecentEnds::default(),
            start_at: Some(Instant::now()),
            runs: 0,
            commands,
            events,
            event_sender,
        };
        tokio::spawn(unit.run());
        parts
    }

    async fn run(mut self) {
        loop {
            let start_at = self.start_at;
            let dependencies = &mut self.dependencies;
            let start = async {
                match start_at {
                    Some(moment) => {
                        sleep_until(moment).await;
                        all_healthy(dependencies).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return self.stop_all(None).await,
                },
                Some(event) = self.events.recv() => self.take_note(event).await,
                () = start => self.start_all().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let reply = match command {
            Command::Start(reply) => {
                if self.members.iter().all(|member| member.running.is_none()) {
                    self.recent_ends.forget();
                    self.await_start(Instant::now());
                }
                reply
            }
            Command::Stop(reply) => {
                self.stop_all(None).await;
                self.start_at = None;
                reply
            }
            Command::Restart(reply) => {
                self.stop_all(None).await;
                self.recent_ends.forget();
                self.await_start(Instant::now());
                reply
            }
            Command::Kill(member, reply) => {
                if let Some(identity) = self.identity(member) {
                    identity.kill_tree().await;
                    let how = self.wait_end(member).await;
                    // Somebody's wish is no failure: it does not count towards the limit.
                    self.recent_ends.forget();
                    self.after_a_death(member, &how).await;
                }
                reply
            }
            Command::Pause(member, reply) => {
                self.signal_member(member, Signal::SIGSTOP, Phase::Paused);
                reply
            }
            Command::Resume(member, reply) => {
                // The next probe says whether it works.
                self.signal_member(member, Signal::SIGCONT, Phase::Unhealthy);
                reply
            }
            Command::SetAutoRestart(enabled, reply) => {
                self.specification.auto_restart = enabled;
                reply
            }
        };
        // Whoever asked may have given up waiting.
        let _ = reply.send(());
    }

    fn identity(&self, index: usize) -> Option<Identity> {
        Some(self.members.get(index)?.running.as_ref()?.identity.clone())
    }

    fn signal_member(&self, index: usize, signal: Signal, phase: Phase) {
        if let Some(identity) = self.identity(index) {
            identity.signal_tree(signal);
            self.set(index, phase, None);
        }
    }

    async fn take_note(&mut self, Event { member, run, news }: Event) {
        let Some(current) = self.members.get(member) else { return };
        if current.running.as_ref().is_none_or(|running| running.run != run) {
            // News of a process that has been replaced.
            return;
        }
        let phase = current.status.borrow().phase;
        match news {
            News::Ended(how) => {
                self.forget_process(member);
                self.after_a_death(member, &how).await;
            }
            News::NeverHealthy(trouble) => {
                if let Some(identity) = self.identity(member) {
                    identity.kill_tree().await;
                }
                self.wait_end(member).await;
                self.after_a_death(member, &format!("not healthy in time: {trouble}")).await;
            }
            // A frozen process stays "paused" until it is resumed, whatever a probe on its way still says.
            News::Healthy | News::Unhealthy(_) if phase == Phase::Paused => {}
            News::Healthy => self.set(member, Phase::Healthy, None),
            // A process that starts keeps that name, with its latest answer.
            News::Unhealthy(trouble) if phase == Phase::Starting => {
                self.set(member, Phase::Starting, Some(&trouble));
            }
            News::Unhealthy(trouble) => self.set(member, Phase::Unhealthy, Some(&trouble)),
        }
    }

    fn set(&self, member: usize, phase: Phase, trouble: Option<&str>) {
        if let Some(member) = self.members.get(member) {
            member.status.send_if_modified(|status| {
                let changed = status.phase != phase || status.trouble.as_deref() != trouble;
                if changed {
                    status.phase = phase;
                    status.trouble = trouble.map(str::to_owned);
                }
                changed
            });
        }
    }

    fn set_all(&self, phase: Phase, trouble: Option<&str>) {
        for index in 0..self.members.len() {
            self.set(index, phase, trouble);
        }
    }

    fn await_start(&mut self, moment: Instant) {
        self.start_at = Some(moment);
        self.set_all(Phase::Waiting, None);
    }

    async fn start_all(&mut self) {
        self.start_at = None;
        if !self.prepared {
            if let Some(prepare) = self.specification.prepare.clone() {
                self.set_all(Phase::Preparing, None);
                if let Err(error) = prepare.run().await {
                    return self.set_all(Phase::Failed, Some(&error.with_causes()));
                }
            }
            self.prepared = true;
        }
        for index in 0..self.members.len() {
            if let Err(error) = self.start_member(index) {
                let trouble = error.with_causes();
                return self.after_a_death(index, &trouble).await;
            }
        }
    }

    fn start_member(&mut self, index: usize) -> Result<(), StackError> {
        let (Some(member), Some(specification)) =
            (self.members.get_mut(index), self.specification.members.get(index))
        else {
            return Ok(());
        };
        let started = specification.launch.start()?;
        self.runs += 1;
        let run = self.runs;
        Record {
            part: specification.name.clone(),
            identity: started.identity.clone(),
            stop_signal: specification.stop_signal.as_str().to_owned(),
            stop_grace: specification.stop_grace,
            stop_order: self.specification.stop_order,
        }
        .write(&self.specification.run_folder)?;
        tokio::spawn(member.log.clone().record(started.output));

        let events = self.event_sender.clone();
        let mut child = started.child;
        tokio::spawn(async move {
            let how = match child.wait().await {
                Ok(status) => format!("it ended with {status}"),
                Err(error) => format!("it was lost: {error}"),
            };
            // The unit's task is gone only when the stack is.
            let _ = events.send(Event { member: index, run, news: News::Ended(how) }).await;
        });
        let prober = Prober {
            member: index,
            run,
            probe: specification.probe.clone(),
            complete: if index == 0 { self.specification.complete.clone() } else { None },
            start_deadline: specification.start_deadline,
            events: self.event_sender.clone(),
        };
        let pid = started.identity.pid();
        let prober = tokio::spawn(prober.watch());
        member.running = Some(Running { run, identity: started.identity, prober });
        member.status.send_modify(|status| {
            status.phase = Phase::Starting;
            status.pid = Some(pid);
        });
        Ok(())
    }

    /// Ends the rest of the unit and decides whether it comes back.
    async fn after_a_death(&mut self, dead: usize, how: &str) {
        self.stop_all(Some(GRACE_AFTER_A_DEATH)).await;
        let wait = if self.specification.auto_restart {
            self.recent_ends.note(&self.specification.policy, Instant::now())
        } else {
            None
        };
        let (phase, trouble) = match wait {
            Some(_) => (Phase::Restarting, how.to_owned()),
            None if self.specification.auto_restart => {
                let RestartPolicy { limit, window, .. } = self.specification.policy;
                let seconds = window.as_secs();
                (Phase::Failed, format!("{how}; given up after {limit} restarts within {seconds} s"))
            }
            None => (Phase::Stopped, how.to_owned()),
        };
        for (index, member) in self.members.iter().enumerate() {
            member.status.send_modify(|status| {
                status.phase = phase;
                status.restarts += u32::from(wait.is_some());
                status.trouble = (index == dead).then(|| trouble.clone());
            });
        }
        self.start_at = wait.map(|wait| Instant::now() + wait);
    }

    /// Stops all members in their order, each within its own grace period or the `longest` one.
    async fn stop_all(&mut self, longest: Option<Duration>) {
        for index in 0..self.members.len() {
            let Some(specification) = self.specification.members.get(index) else { continue };
            let signal = specification.stop_signal;
            let grace = longest.map_or(specification.stop_grace, |limit| limit.min(specification.stop_grace));
            if let Some(identity) = self.identity(index) {
                identity.signal(signal);
                // Also wakes a frozen process, which would otherwise never see the request.
                identity.signal_tree(Signal::SIGCONT);
                if timeout(grace, self.wait_end(index)).await.is_err() {
                    identity.kill_tree().await;
                    self.wait_end(index).await;
                }
            }
            self.set(index, Phase::Stopped, None);
        }
    }

    /// Waits until `index` has ended and returns how, taking note of other members' ends meanwhile.
    async fn wait_end(&mut self, index: usize) -> String {
        let mut how = String::new();
        while self.identity(index).is_some() {
            let Some(Event { member, run, news: News::Ended(end) }) = self.events.recv().await else {
                continue;
            };
            let running = self.members.get(member).and_then(|member| member.running.as_ref());
            if running.is_some_and(|running| running.run == run) {
                self.forget_process(member);
                if member == index {
                    how = end;
                }
            }
        }
        how
    }

    fn forget_process(&mut self, index: usize) {
        let (Some(member), Some(specification)) =
            (self.members.get_mut(index), self.specification.members.get(index))
        else {
            return;
        };
        if let Some(running) = member.running.take() {
            running.prober.abort();
        }
        Record::remove(&self.specification.run_folder, &specification.name);
        member.status.send_modify(|status| {
            status.phase = Phase::Stopped;
            status.pid = None;
        });
    }
}

/// Returns when every one of `dependencies` has been seen healthy.
async fn all_healthy(dependencies: &mut [watch::Receiver<PartStatus>]) {
    for dependency in dependencies {
        // A dependency that is no longer supervised was taken away on purpose: start and see.
        let _ = dependency.wait_for(|status| status.phase == Phase::Healthy).await;
    }
}

/// Asks one process how it is, as long as it runs.
struct Prober {
    member: usize,
    run: u64,
    probe: Probe,
    complete: Option<Hook>,
    start_deadline: Duration,
    events: mpsc::Sender<Event>,
}

impl Prober {
    async fn watch(self) {
        let started = Instant::now();
        let mut known_trouble = None;
        while let Err(trouble) = self.first_answer().await {
            if started.elapsed() > self.start_deadline {
                return self.tell(News::NeverHealthy(trouble)).await;
            }
            if known_trouble.as_ref() != Some(&trouble) {
                known_trouble = Some(trouble.clone());
                self.tell(News::Unhealthy(trouble)).await;
            }
            sleep(PROBE_STARTING).await;
        }
        self.tell(News::Healthy).await;

        let mut failures = 0;
        loop {
            sleep(PROBE_RUNNING).await;
            match self.probe.check().await {
                Ok(()) => {
                    // Told every time: only the unit knows whether the process was paused in between.
                    failures = 0;
                    self.tell(News::Healthy).await;
                }
                Err(trouble) => {
                    failures += 1;
                    if failures >= FAILURES_UNTIL_UNHEALTHY {
                        self.tell(News::Unhealthy(trouble)).await;
                    }
                }
            }
        }
    }

    async fn first_answer(&self) -> Result<(), String> {
        self.probe.check().await?;
        match &self.complete {
            Some(complete) => complete.run().await.map_err(|error| error.with_causes()),
            None => Ok(()),
        }
    }

    async fn tell(&self, news: News) {
        // The unit's task is gone only when the stack is.
        let _ = self.events.send(Event { member: self.member, run: self.run, news }).await;
    }
}
