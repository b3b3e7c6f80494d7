//! The folder that holds everything of one stack: data, logs, secrets, and notes about what runs.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::error::StackError;
use crate::process::{Account, end_recorded};
use crate::progress::Progress;

/// Data that another account must reach goes below this when the state folder lies in a closed home.
const SHARED_DATA: &str = "/var/lib/tidemark";

/// Where notes about running processes lie.
const RUN: &str = "run";
const SUBFOLDERS: [&str; 3] = [RUN, "logs", "configuration"];

/// A stack's folder, held for this process alone as long as the value lives.
#[derive(Debug)]
pub(crate) struct StateFolder {
    root: PathBuf,
    /// Parts that a killed predecessor had left running, which were ended.
    pub(crate) orphans_ended: Vec<String>,
    _lock: File,
}

impl StateFolder {
    /// Makes the folder if needed, locks it, and ends whatever a killed predecessor has left running in it.
    ///
    /// # Errors
    /// [`StackError::InUse`] when a living process holds it.
    pub(crate) async fn open(root: &Path, progress: &Progress) -> Result<Self, StackError> {
        make_folder(root, 0o711)?;
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path).map_err(StackError::file("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StackError::InUse(root.to_owned())),
            Err(fs::TryLockError::Error(source)) => {
                return Err(StackError::File { action: "lock", path: lock_path, source });
            }
        }
        for name in SUBFOLDERS {
            make_folder(&root.join(name), 0o700)?;
        }
        let orphans_ended = end_recorded(&root.join(RUN)).await;
        if !orphans_ended.is_empty() {
            progress.say(format!("ended what an earlier run had left: {}", orphans_ended.join(", ")));
        }
        Ok(Self { root: root.to_owned(), orphans_ended, _lock: lock })
    }

    /// Notes about running processes.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join(RUN)
    }

    /// Where the part's output goes.
    pub(crate) fn log(&self, part: &str) -> PathBuf {
        self.root.join("logs").join(format!("{part}.log"))
    }

    /// A file below the state folder itself.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes and returns the folder for a part's generated configuration.
    pub(crate) fn configuration(&self, part: &str) -> Result<PathBuf, StackError> {
        let folder = self.root.join("configuration").join(part);
        make_folder(&folder, 0o700)?;
        Ok(folder)
    }

    /// Makes and returns the data folder of `part`, owned by `account` if one is given.
    ///
    /// An account other than ours must be able to walk there. Where a folder on the way is closed to it (the
    /// home of root, as a rule), the data lies in a shared place and a link stands here.
    pub(crate) fn data(&self, part: &str, account: Option<Account>) -> Result<PathBuf, StackError> {
        let folder = self.root.join(part);
        let Some(account) = account else {
            make_folder(&folder, 0o700)?;
            return Ok(folder);
        };
        let place = if is_open_to_all(&self.root) {
            folder
        } else {
            let name = self.root.to_string_lossy().trim_start_matches('/').replace('/', "-");
            let parent = Path::new(SHARED_DATA).join(name);
            make_folder(Path::new(SHARED_DATA), 0o711)?;
            make_folder(&parent, 0o711)?;
            let place = parent.join(part);
            if fs::read_link(&folder).ok().as_ref() != Some(&place) {
                remove(&folder)?;
                symlink(&place, &folder).map_err(StackError::file("link", &folder))?;
            }
            place
        };
        make_folder(&place, 0o700)?;
        chown(&place, Some(account.user), Some(account.group))
            .map_err(StackError::file("hand over", &place))?;
        Ok(place)
    }

    /// Removes all data, logs, secrets and remembered ports; the folder itself stays.
    pub(crate) fn clear(&self) -> Result<(), StackError> {
        let entries = fs::read_dir(&self.root).map_err(StackError::file("list", &self.root))?;
        for entry in entries {
            let path = entry.map_err(StackError::file("list", &self.root))?.path();
            if path.file_name().is_some_and(|name| name == "lock") {
                continue;
            }
            if let Ok(elsewhere) = fs::read_link(&path)
                && elsewhere.starts_with(SHARED_DATA)
            {
                remove(&elsewhere)?;
                // The last part to go takes the place of this stack with it.
                let _ = elsewhere.parent().map(fs::remove_dir);
            }
            remove(&path)?;
        }
        for name in SUBFOLDERS {
            make_folder(&self.root.join(name), 0o700)?;
        }
        Ok(())
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<(), StackError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(StackError::file("create", path))
}

fn remove(path: &Path) -> Result<(), StackError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let result = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StackError::File { action: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Whether every folder down to `path` lets everybody walk through.
fn is_open_to_all(path: &Path) -> bool {
    path.ancestors().all(|folder| {
        folder.as_os_str().is_empty()
            || fs::metadata(folder).is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
    })
}

/// Writes a file that only its owner may read, all of it or nothing.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), StackError> {
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, "").map_err(StackError::file("write", &unfinished))?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))
        .map_err(StackError::file("protect", &unfinished))?;
    fs::write(&unfinished, text).map_err(StackError::file("write", &unfinished))?;
    fs::rename(&unfinished, path).map_err(StackError::file("write", path))
}
