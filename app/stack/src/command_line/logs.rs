//! Reading the parts' logs as they are written. Works without a supervisor, too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::Value;
use tokio::time::sleep;

use crate::folders::Folders;
use crate::log::tail_of;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Read from one file at once, so that a chatty part does not hold up the others.
const CHUNK_BYTES: u64 = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// One part, such as kafka or tasks-sidecar
    #[arg(long, env = "PART")]
    part: Option<String>,

    /// One role of the application, such as tasks: its own process and sidecar, or its lines in the one
    /// process of all roles
    #[arg(long, env = "ROLE")]
    role: Option<String>,

    /// Lines of each part to begin with
    #[arg(long, default_value_t = 20)]
    lines: usize,

    /// End after those lines
    #[arg(long)]
    no_follow: bool,
}

impl Logs {
    /// The containers that are asked for; none means all.
    pub(super) fn services(&self) -> Vec<String> {
        let part = self.part.iter().filter(|part| !part.is_empty()).cloned();
        let role = self.role.iter().filter(|role| !role.is_empty());
        part.chain(role.flat_map(|role| [role.clone(), format!("{role}-sidecar")])).collect()
    }

    pub(super) async fn run(self, folders: &Folders) -> anyhow::Result<ExitCode> {
        let logs = folders.state().join("logs");
        let filter = Filter {
            part: self.part.filter(|part| !part.is_empty()),
            role: self.role.filter(|role| !role.is_empty()),
        };
        let mut followed: BTreeMap<PathBuf, Followed> = BTreeMap::new();
        for path in files(&logs) {
            if filter.wants_file(&name_of(&path)) {
                print_lines(&filter, &name_of(&path), &filter.last_lines(&path, self.lines));
                followed.insert(path.clone(), Followed::at_end(&path));
            }
        }
        if followed.is_empty() {
            let known: Vec<String> = files(&logs).iter().map(|path| name_of(path)).collect();
            if known.is_empty() {
                bail!("nothing has run yet; start it with `make dev-up`");
            }
            bail!("no such log; there are: {}", known.join(", "));
        }
        if self.no_follow {
            return Ok(ExitCode::SUCCESS);
        }
        loop {
            sleep(LOOK_EVERY).await;
            for path in files(&logs) {
                if filter.wants_file(&name_of(&path)) {
                    let file = followed.entry(path.clone()).or_default();
                    print_lines(&filter, &name_of(&path), &file.new_lines(&path));
                }
            }
        }
    }
}

/// Which files and lines are wanted.
#[derive(Debug, Default)]
struct Filter {
    part: Option<String>,
    role: Option<String>,
}

impl Filter {
    fn wants_file(&self, part: &str) -> bool {
        let is_part = self.part.as_ref().is_none_or(|wanted| part == wanted);
        let is_role = self.role.as_ref().is_none_or(|role| {
            // With all roles in one process, its lines are told apart one by one.
            part == "tidemark"
                || part == role
                || part.strip_prefix(role.as_str()).is_some_and(|rest| rest.starts_with('-'))
        });
        is_part && is_role
    }

    fn wants_line(&self, part: &str, line: &str) -> bool {
        match &self.role {
            Some(role) if part == "tidemark" => mentions_role(line, role),
            _ => true,
        }
    }

    fn last_lines(&self, path: &Path, lines: usize) -> String {
        // Enough to find the wanted ones among others.
        let from = if self.role.is_some() { usize::MAX } else { lines };
        let part = name_of(path);
        let tail = tail_of(path, from);
        let wanted: Vec<&str> = tail.lines().filter(|line| self.wants_line(&part, line)).collect();
        wanted.get(wanted.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }
}

/// Whether a line of the application is of this role: by a field `role` of the event or of one of its spans,
/// or by the module that wrote it.
fn mentions_role(line: &str, role: &str) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return false };
    let module = format!("tidemark::{role}");
    let by_module = event.get("target").and_then(Value::as_str).is_some_and(|target| {
        target == module || target.strip_prefix(&module).is_some_and(|rest| rest.starts_with("::"))
    });
    let spans = event.get("spans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let by_field = [Some(&event), event.get("fields"), event.get("span")]
        .into_iter()
        .flatten()
        .chain(spans)
        .any(|object| object.get("role").and_then(Value::as_str) == Some(role));
    by_module || by_field
}

/// How far a file has been read.
#[derive(Debug, Default)]
struct Followed {
    inode: u64,
    read: u64,
    /// The beginning of a line whose end has not been written yet.
    unfinished: Vec<u8>,
}

impl Followed {
    fn at_end(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok();
        Self {
            inode: metadata.as_ref().map_or(0, MetadataExt::ino),
            read: metadata.map_or(0, |metadata| metadata.len()),
            unfinished: Vec::new(),
        }
    }

    /// What was added since the last look; a file that was put aside is begun anew.
    fn new_lines(&mut self, path: &Path) -> String {
        let mut added = Vec::new();
        let mut read = || -> io::Result<()> {
            let mut file = File::open(path)?;
            let metadata = file.metadata()?;
            if metadata.ino() != self.inode || metadata.len() < self.read {
                self.inode = metadata.ino();
                self.read = 0;
            }
            file.seek(SeekFrom::Start(self.read))?;
            let count = file.take(CHUNK_BYTES).read_to_end(&mut added)?;
            self.read += count as u64;
            Ok(())
        };
        // A file that is just being put aside is there again at the next look.
        let _ = read();
        self.unfinished.append(&mut added);
        let whole =
            self.unfinished.iter().rposition(|byte| *byte == b'\n').map_or(0, |position| position + 1);
        let lines: Vec<u8> = self.unfinished.drain(..whole).collect();
        String::from_utf8_lossy(&lines).into_owned()
    }
}

fn files(logs: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(logs)
        .into_iter()
        .flatten()
        .filter_map(|item| Some(item.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn print_lines(filter: &Filter, part: &str, lines: &str) {
    let mut output = io::stdout().lock();
    let label =
        if output.is_terminal() { format!("\x1b[36m{part:<20}\x1b[0m") } else { format!("{part:<20}") };
    for line in lines.lines().filter(|line| filter.wants_line(part, line)) {
        if writeln!(output, "{label} {line}").is_err() {
            // Whoever read this has gone, as `head` does.
            std::process::exit(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_its_process_its_sidecar_and_its_replicas() {
        let filter = Filter { part: None, role: Some("tasks".to_owned()) };
        for name in ["tasks", "tasks-sidecar", "tasks-2", "tidemark"] {
            assert!(filter.wants_file(name), "{name}");
        }
        for name in ["redis", "accounts", "tidemark-sidecar", "tasksmith"] {
            assert!(!filter.wants_file(name), "{name}");
        }
    }

    #[test]
    fn lines_of_one_process_are_told_apart_by_module_or_field() {
        assert!(mentions_role(r#"{"target":"tidemark::tasks::create"}"#, "tasks"));
        assert!(mentions_role(r#"{"target":"other","fields":{"role":"tasks"}}"#, "tasks"));
        assert!(mentions_role(r#"{"target":"other","spans":[{"role":"tasks"}]}"#, "tasks"));
        assert!(!mentions_role(r#"{"target":"tidemark::history"}"#, "tasks"));
        assert!(!mentions_role("no JSON", "tasks"));
    }

    #[test]
    fn a_followed_file_gives_whole_lines_and_survives_being_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part.log");
        fs::write(&path, "old\n").unwrap();
        let mut followed = Followed::at_end(&path);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"new\nhal").unwrap();
        assert_eq!(followed.new_lines(&path), "new\n");
        file.write_all(b"f\n").unwrap();
        assert_eq!(followed.new_lines(&path), "half\n");
        fs::rename(&path, folder.path().join("part.log.1")).unwrap();
        assert_eq!(followed.new_lines(&path), "");
        fs::write(&path, "after\n").unwrap();
        assert_eq!(followed.new_lines(&path), "after\n");
    }
}
