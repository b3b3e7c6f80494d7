//! Notes about running children, so that whoever comes after a killed supervisor can end its orphans.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::Identity;
use crate::error::StackError;

/// One running child, kept as a file while it runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) part: String,
    pub(crate) identity: Identity,
    /// The signal that asks for an orderly end, such as `SIGTERM`.
    pub(crate) stop_signal: String,
    pub(crate) stop_grace: Duration,
    /// Lower ones stop first: applications, then sidecars, then what they use.
    pub(crate) stop_order: u8,
}

impl Record {
    fn path(folder: &Path, part: &str) -> PathBuf {
        folder.join(format!("{part}.json"))
    }

    /// Writes the note; a reader sees all of it or nothing.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), StackError> {
        let path = Self::path(folder, &self.part);
        let unfinished = path.with_extension("new");
        let text =
            serde_json::to_vec(self).map_err(|source| StackError::Damaged { path: path.clone(), source })?;
        fs::write(&unfinished, text).map_err(StackError::file("write", &unfinished))?;
        fs::rename(&unfinished, &path).map_err(StackError::file("write", &path))
    }

    pub(crate) fn remove(folder: &Path, part: &str) {
        // Nothing to remove is the aim.
        let _ = fs::remove_file(Self::path(folder, part));
    }
}

/// Ends every process that is recorded in `folder` and still runs, in their stop order, and removes the
/// records. Call it only while holding the state folder's lock. Returns the names of the parts it ended.
pub(crate) async fn end_recorded(folder: &Path) -> Vec<String> {
    let mut records: Vec<Record> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|item| Some(item.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok())
        .collect();
    records.sort_by_key(|record| record.stop_order);
    let mut ended = Vec::new();
    for group in records.chunk_by(|one, other| one.stop_order == other.stop_order) {
        let (running, gone): (Vec<&Record>, Vec<&Record>) =
            group.iter().partition(|record| record.identity.is_alive());
        for record in gone {
            Record::remove(folder, &record.part);
        }
        for record in &running {
            // All are asked first, so that the grace periods of one group run side by side.
            record.identity.signal(record.stop_signal.parse().unwrap_or(Signal::SIGTERM));
            record.identity.signal(Signal::SIGCONT);
        }
        let asked = Instant::now();
        for record in running {
            if timeout_at(asked + record.stop_grace, record.identity.wait_gone()).await.is_err() {
                record.identity.kill_tree().await;
            }
            Record::remove(folder, &record.part);
            ended.push(record.part.clone());
        }
    }
    ended
}
