//! The program `stack` as a person and the Makefile use it, on the infrastructure alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A stack in a folder of its own, stopped at the end of the test whatever happens.
struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_stack"))
            .arg("--state-dir")
            .arg(self.0.path().join("state"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs a command where no Docker Engine answers.
    fn run_without_engine(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_stack"))
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .arg("--state-dir")
            .arg(self.0.path().join("state"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs a command that is to succeed and returns what it printed.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{arguments:?}: {printed}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }

    /// The process ids of the running parts by name.
    fn parts(&self) -> Vec<(String, i32)> {
        let status: Vec<Value> = serde_json::from_str(&self.succeed(&["status", "--json"])).unwrap();
        status
            .iter()
            .map(|part| {
                let pid = part["pid"].as_i64().unwrap();
                (part["name"].as_str().unwrap().to_owned(), i32::try_from(pid).unwrap())
            })
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.run(&["reset"]);
    }
}

fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.trim_start().starts_with('Z'))
}

#[test]
fn a_stack_comes_up_once_survives_its_supervisors_death_and_goes_down_whole() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["status"]).status.code(), Some(3), "nothing is running yet");
    assert!(sandbox.succeed(&["down"]).contains("Nothing is running"));

    sandbox.succeed(&["up", "--infrastructure-only"]);
    let first = sandbox.parts();
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["redis", "kafka", "postgres"]);

    let again = sandbox.succeed(&["up", "--infrastructure-only"]);
    assert!(again.contains("already running; nothing was changed"), "{again}");
    assert_eq!(sandbox.parts(), first);

    let supervisor = parent_of(first[0].1);
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    sandbox.succeed(&["up", "--infrastructure-only"]);
    let second = sandbox.parts();
    for (name, pid) in &first {
        assert!(!is_running(*pid), "{name} of the killed supervisor is still there");
    }

    let supervisor = parent_of(second[0].1);
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    assert!(sandbox.succeed(&["down"]).contains("Stopped"));
    for (name, pid) in &second {
        assert!(!is_running(*pid), "{name} is still there");
    }

    let logs = sandbox.succeed(&["logs", "--no-follow", "--part", "redis"]);
    assert!(logs.lines().all(|line| line.starts_with("redis ")), "{logs}");
    let unknown = sandbox.run(&["logs", "--no-follow", "--part", "nobody"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are: kafka, postgres, redis"));

    sandbox.succeed(&["reset"]);
    assert!(!sandbox.0.path().join("state").join("redis").exists());
    assert!(!Path::new(&sandbox.0.path().join("state").join("secrets.json")).exists());
}

#[test]
fn containers_that_are_asked_for_and_cannot_be_had_are_an_error_and_leave_nothing_behind() {
    let sandbox = Sandbox::new();
    let output = sandbox.run_without_engine(&["up", "--mode", "docker"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no Docker Engine answers"), "{told}");
    assert!(told.contains("MODE=native does without"), "{told}");
    assert_eq!(sandbox.run(&["status"]).status.code(), Some(3), "nothing is running");
}
