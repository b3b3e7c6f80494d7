//! The folder of parts that were built or downloaded, by name and version.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::error::StackError;
use crate::progress::Progress;

/// How often a long step says that it goes on.
const STILL_AT_IT: Duration = Duration::from_secs(15);

/// The cached parts of one user.
#[derive(Debug, Clone)]
pub(crate) struct PartCache {
    folder: PathBuf,
}

impl PartCache {
    pub(crate) fn new(cache: &Path) -> Self {
        Self { folder: cache.join("parts") }
    }

    /// Where a part is, or would be.
    pub(crate) fn place(&self, name: &str, version: &str) -> PathBuf {
        self.folder.join(format!("{name}-{version}"))
    }

    /// Returns the folder of a part, after `make` has filled it if it was not there. `make` gets a temporary
    /// folder that becomes the part's in one step, so that an interrupted installation never looks whole. Two
    /// processes that want the same part do not both make it.
    pub(crate) async fn provide<F>(
        &self,
        name: &str,
        version: &str,
        progress: &Progress,
        make: impl FnOnce(PathBuf) -> F,
    ) -> Result<PathBuf, StackError>
    where
        F: Future<Output = Result<(), StackError>>,
    {
        let place = self.place(name, version);
        if place.exists() {
            return Ok(place);
        }
        fs::create_dir_all(&self.folder).map_err(StackError::file("create", &self.folder))?;
        let _lock = self.lock(name, version, progress).await?;
        if place.exists() {
            return Ok(place);
        }
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{name}-{version}-"))
            .tempdir_in(&self.folder)
            .map_err(StackError::file("create a folder in", &self.folder))?;
        make(temporary.path().to_owned()).await?;
        let finished = temporary.keep();
        fs::rename(&finished, &place).map_err(StackError::file("put in place", &place))?;
        Ok(place)
    }

    async fn lock(&self, name: &str, version: &str, progress: &Progress) -> Result<File, StackError> {
        let path = self.folder.join(format!(".{name}-{version}.lock"));
        let lock = File::create(&path).map_err(StackError::file("create", &path))?;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(source)) => {
                return Err(StackError::File { action: "lock", path, source });
            }
            Err(TryLockError::WouldBlock) => {}
        }
        progress.say(format!("{name} {version}: waiting for another process that is installing it"));
        let waiting = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        match waiting.await {
            Ok(locked) => locked.map_err(StackError::file("lock", &path)),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}

/// Says `what`, then again with the time passed while `work` goes on, and finally how long it took.
pub(crate) async fn with_progress<T>(
    what: &str,
    progress: &Progress,
    work: impl Future<Output = Result<T, StackError>>,
) -> Result<T, StackError> {
    progress.say(what);
    let started = Instant::now();
    let mut reminder = interval_at(started + STILL_AT_IT, STILL_AT_IT);
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                if result.is_ok() {
                    progress.say(format!("  done in {:.0?}", started.elapsed()));
                }
                return result;
            }
            _ = reminder.tick() => progress.say(format!("  still at it after {:.0?}", started.elapsed())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn an_interrupted_installation_does_not_look_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PartCache::new(folder.path());
        let failed = cache
            .provide("part", "1", &Progress::silent(), |place| async move {
                fs::write(place.join("half"), "").unwrap();
                Err(StackError::InUse(place))
            })
            .await;
        assert!(failed.is_err());
        assert!(!cache.place("part", "1").exists());
    }

    #[tokio::test]
    async fn two_that_want_the_same_part_make_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PartCache::new(folder.path());
        let made = AtomicUsize::new(0);
        let progress = Progress::silent();
        let provide = || {
            cache.provide("part", "1", &progress, |place| {
                made.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::task::yield_now().await;
                    fs::write(place.join("whole"), "").map_err(StackError::file("write", &place))
                }
            })
        };
        let (one, other) = tokio::join!(provide(), provide());
        assert_eq!(one.unwrap(), other.unwrap());
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }
}
