//! Supervision of real processes: a Redis that works, and shells that misbehave.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;

use super::*;
use crate::install::find_program;
use crate::part::{Part, Phase};
use crate::ports::{PortBook, Ports};
use crate::probe::Probe;
use crate::process::{Identity, Launch};

const SOON: Duration = Duration::from_secs(10);
const PASSWORD: &str = "for this test";

/// A place for one test's units.
struct Place {
    folder: TempDir,
    ports: PortBook,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let ports = PortBook::open(Ports::Free, folder.path().join("ports.json"));
        Self { folder, ports }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn redis(&mut self, name: &str) -> MemberSpecification {
        let address = self.ports.take(name, 0).unwrap();
        let program = find_program("redis-server").expect("Redis is installed: `make install`");
        let launch = Launch::new(program, self.path())
            .arguments(["--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD])
            .arguments(["--port", &address.port().to_string()]);
        self.member(name, launch, address)
    }

    fn shell(&mut self, name: &str, script: &str) -> MemberSpecification {
        let address = self.ports.take(name, 0).unwrap();
        let launch = Launch::new("/bin/sh", self.path()).arguments(["-c", script]);
        self.member(name, launch, address)
    }

    fn member(&self, name: &str, launch: Launch, address: SocketAddr) -> MemberSpecification {
        MemberSpecification {
            name: name.to_owned(),
            launch,
            probe: Probe::Redis { address, password: PASSWORD.to_owned() },
            address: Some(address),
            stop_signal: Signal::SIGTERM,
            stop_grace: Duration::from_millis(300),
            start_deadline: SOON,
            log: self.path().join(format!("{name}.log")),
        }
    }

    fn unit(&self, members: Vec<MemberSpecification>) -> UnitSpecification {
        UnitSpecification {
            members,
            prepare: None,
            complete: None,
            dependencies: Vec::new(),
            stop_order: 0,
            policy: RestartPolicy {
                limit: 2,
                first_wait: Duration::from_millis(10),
                ..RestartPolicy::default()
            },
            auto_restart: true,
            run_folder: self.path().join("run"),
        }
    }

    fn supervise(&self, member: MemberSpecification) -> Part {
        Unit::supervise(self.unit(vec![member])).remove(0)
    }
}

fn end_from_outside(part: &Part) {
    let pid = i32::try_from(part.pid().expect("it runs")).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_process_that_ends_is_started_again() {
    let mut place = Place::new();
    let redis = place.redis("redis");
    let part = place.supervise(redis);
    part.wait_healthy(SOON).await.unwrap();
    let first = part.pid();
    end_from_outside(&part);
    let status =
        part.wait_for(SOON, |status| status.phase == Phase::Healthy && status.pid != first).await.unwrap();
    assert_eq!(status.restarts, 1);
}

#[tokio::test]
async fn a_process_that_keeps_ending_is_given_up() {
    let mut place = Place::new();
    let shell = place.shell("hopeless", "echo I cannot; exit 7");
    let part = place.supervise(shell);
    let error = part.wait_healthy(SOON).await.unwrap_err().to_string();
    assert_eq!(part.status().phase, Phase::Failed);
    assert_eq!(part.status().restarts, 2);
    assert!(error.contains("exit status: 7"), "{error}");
    assert!(error.contains("given up after 2 restarts"), "{error}");
    assert!(error.contains("I cannot"), "its own words are shown: {error}");
}

#[tokio::test]
async fn a_part_that_was_given_up_can_be_started_by_hand() {
    let mut place = Place::new();
    let mut redis = place.redis("redis");
    let real = std::mem::replace(&mut redis.launch.program, place.path().join("program"));
    let part = place.supervise(redis);
    part.wait_healthy(SOON).await.unwrap_err();
    std::os::unix::fs::symlink(real, place.path().join("program")).unwrap();
    part.start().await.unwrap();
    part.wait_healthy(SOON).await.unwrap();
}

#[tokio::test]
async fn a_process_that_never_answers_is_ended_and_counts_as_dead() {
    let mut place = Place::new();
    let mut silent = place.shell("silent", "exec sleep 600");
    silent.start_deadline = Duration::from_millis(100);
    let part = place.supervise(silent);
    let status = part.wait_for(SOON, |status| status.phase == Phase::Failed).await.unwrap();
    assert!(status.trouble.unwrap().starts_with("not healthy in time"));
}

#[tokio::test]
async fn a_killed_part_stays_down_when_it_is_told_to() {
    let mut place = Place::new();
    let redis = place.redis("redis");
    let part = place.supervise(redis);
    part.wait_healthy(SOON).await.unwrap();
    part.set_auto_restart(false).await.unwrap();
    part.kill().await.unwrap();
    assert_eq!(part.status().phase, Phase::Stopped);
    assert_eq!(part.pid(), None);
    part.start().await.unwrap();
    part.wait_healthy(SOON).await.unwrap();
}

#[tokio::test]
async fn a_frozen_process_is_paused_until_it_is_resumed() {
    let mut place = Place::new();
    let redis = place.redis("redis");
    let part = place.supervise(redis);
    part.wait_healthy(SOON).await.unwrap();
    let pid = part.pid();
    part.pause().await.unwrap();
    assert_eq!(part.status().phase, Phase::Paused);
    let probe = Probe::Redis { address: part.address().unwrap(), password: PASSWORD.to_owned() };
    probe.check().await.unwrap_err();
    part.resume().await.unwrap();
    part.wait_healthy(SOON).await.unwrap();
    assert_eq!(part.pid(), pid, "it is still the same process");
}

#[tokio::test]
async fn a_frozen_process_can_be_stopped() {
    let mut place = Place::new();
    let redis = place.redis("redis");
    let part = place.supervise(redis);
    part.wait_healthy(SOON).await.unwrap();
    part.pause().await.unwrap();
    part.stop().await.unwrap();
    assert_eq!(part.status().phase, Phase::Stopped);
}

#[tokio::test]
async fn a_process_that_will_not_stop_is_killed_with_its_descendants() {
    let mut place = Place::new();
    // A named pipe: opening it for reading waits until the child has opened it for writing. The child leaves
    // the process group, as PostgreSQL's backends do.
    let pipe = place.path().join("child");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let script =
        format!("trap '' TERM; setsid sh -c 'echo $$ > {}; exec sleep 600' & wait; wait", pipe.display());
    let stubborn = place.shell("stubborn", &script);
    let part = place.supervise(stubborn);
    let text = tokio::fs::read_to_string(&pipe).await.unwrap();
    let child = Identity::of(text.trim().parse().unwrap()).expect("the child runs");
    part.stop().await.unwrap();
    assert!(!child.is_alive());
}

#[tokio::test]
async fn the_members_of_a_unit_restart_together() {
    let mut place = Place::new();
    let members = vec![place.redis("application"), place.redis("sidecar")];
    let parts = Unit::supervise(place.unit(members));
    for part in &parts {
        part.wait_healthy(SOON).await.unwrap();
    }
    let before: Vec<_> = parts.iter().map(Part::pid).collect();
    parts[1].kill().await.unwrap();
    for (part, before) in parts.iter().zip(before) {
        part.wait_healthy(SOON).await.unwrap();
        assert_ne!(part.pid(), before, "{}", part.name());
    }
}

#[tokio::test]
async fn a_unit_waits_for_what_it_depends_on() {
    let mut place = Place::new();
    let redis = place.redis("redis");
    let needed = place.supervise(redis);
    needed.wait_healthy(SOON).await.unwrap();
    needed.stop().await.unwrap();

    let application = place.redis("application");
    let mut specification = place.unit(vec![application]);
    specification.dependencies = vec![needed.clone()];
    let part = Unit::supervise(specification).remove(0);
    assert_eq!(part.status().phase, Phase::Waiting);
    needed.start().await.unwrap();
    part.wait_healthy(SOON).await.unwrap();
    assert_eq!(part.status().restarts, 0);
}

#[tokio::test]
async fn a_part_without_handles_is_stopped() {
    let mut place = Place::new();
    let redis = place.redis("redis");
    let part = place.supervise(redis);
    part.wait_healthy(SOON).await.unwrap();
    let process = Identity::of(part.pid().unwrap()).unwrap();
    let mut status = part.status.clone();
    drop(part);
    status.wait_for(|status| status.phase == Phase::Stopped).await.unwrap();
    assert!(!process.is_alive());
}
