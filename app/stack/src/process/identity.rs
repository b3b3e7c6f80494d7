//! Which process a number means: the kernel recycles ids, so the start time goes with it.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// How often a process that is to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One process of this boot of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pid: i32,
    /// Clock ticks between the machine's boot and the process's start.
    started: u64,
    boot: String,
}

/// One line of the process table.
struct Entry {
    pid: i32,
    parent: i32,
    started: u64,
    zombie: bool,
}

impl Identity {
    /// The process that has `pid` now, `None` when there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let entry = Entry::read(i32::try_from(pid).ok()?)?;
        Some(Self { pid: entry.pid, started: entry.started, boot: boot_id() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Whether this very process still runs; one that has ended and only waits to be collected does not.
    pub(crate) fn is_alive(&self) -> bool {
        Entry::read(self.pid).is_some_and(|entry| entry.started == self.started && !entry.zombie)
            && self.boot == boot_id()
    }

    /// Sends `signal` if the process still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // An error means that it has ended in between, which is as good.
            let _ = signal::kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Sends `signal` to the process and everything that descends from it. `PostgreSQL`'s backends leave
    /// their parent's process group, so the group is not enough.
    pub(crate) fn signal_tree(&self, signal: Signal) {
        for member in self.tree() {
            member.signal(signal);
        }
    }

    /// Kills the process and everything that descends from it, and waits until all are gone: a successor may
    /// need what they held.
    pub(crate) async fn kill_tree(&self) {
        let mut left = self.tree();
        for member in &left {
            member.signal(Signal::SIGKILL);
        }
        loop {
            left.retain(Self::is_alive);
            if left.is_empty() {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the process has ended. It may be nobody's child here, so nothing tells us.
    pub(crate) async fn wait_gone(&self) {
        while self.is_alive() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// The process and its living descendants, parents first.
    fn tree(&self) -> Vec<Self> {
        if !self.is_alive() {
            return Vec::new();
        }
        let table = Entry::all();
        let mut found = vec![self.clone()];
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|member| member.pid) {
            next += 1;
            found.extend(
                table.iter().filter(|entry| entry.parent == parent && !entry.zombie).map(|entry| Self {
                    pid: entry.pid,
                    started: entry.started,
                    boot: self.boot.clone(),
                }),
            );
        }
        found
    }
}

impl Entry {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &text)
    }

    /// Parses `/proc/<pid>/stat`. The program's name stands in parentheses and may itself contain blanks
    /// and parentheses, so fields are counted from the last one.
    fn parse(pid: i32, text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { pid, parent, started, zombie: matches!(state, "Z" | "X") })
    }

    fn all() -> Vec<Self> {
        let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
        folder
            .filter_map(|item| item.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Self::read)
            .collect()
    }
}

/// Start times count from boot, so a record from before a reboot must not match.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_id_and_start_time() {
        let identity = Identity::of(std::process::id()).expect("this process runs");
        assert!(identity.is_alive());
        let earlier = Identity { started: identity.started - 1, ..identity.clone() };
        assert!(!earlier.is_alive(), "a recycled id is another process");
        let before_reboot = Identity { boot: "another boot".to_owned(), ..identity };
        assert!(!before_reboot.is_alive());
    }

    #[test]
    fn a_program_name_with_parentheses_and_blanks_is_read_past() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let entry = Entry::parse(7, line).expect("a well-formed line");
        assert_eq!((entry.parent, entry.started, entry.zombie), (3, 4242, false));
    }
}
