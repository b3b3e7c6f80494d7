//! What the parts print: one file each, rotated by size, so that a stack left running never fills the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// A file is put aside when it would grow past this.
const FILE_BYTES: u64 = 10 * 1024 * 1024;

/// Files kept for a part, the current one included.
const FILES_KEPT: usize = 7;

/// Read from a part at once; also the longest line that is kept whole over a rotation.
const CHUNK_BYTES: usize = 64 * 1024;

/// The end of a file that is looked at for its last lines.
const TAIL_BYTES: u64 = 256 * 1024;

/// An append-only log that puts itself aside by size. Clones write to the same file.
#[derive(Debug, Clone)]
pub(crate) struct RotatingLog {
    path: PathBuf,
    file_bytes: u64,
    files_kept: usize,
    current: Arc<Mutex<Option<Current>>>,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
}

impl RotatingLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self::with_limits(path, FILE_BYTES, FILES_KEPT)
    }

    fn with_limits(path: PathBuf, file_bytes: u64, files_kept: usize) -> Self {
        Self { path, file_bytes, files_kept, current: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `lines`, which end with a line break, and rotates before that if they do not fit.
    pub(crate) fn append(&self, lines: &[u8]) -> io::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let length = lines.len() as u64;
        if current.as_ref().is_some_and(|open| open.bytes > 0 && open.bytes + length > self.file_bytes) {
            *current = None;
            self.put_aside()?;
        }
        if current.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            let bytes = file.metadata()?.len();
            *current = Some(Current { file, bytes });
        }
        if let Some(open) = current.as_mut() {
            open.file.write_all(lines)?;
            open.bytes += length;
        }
        Ok(())
    }

    /// `redis.log` becomes `redis.log.1`, that one `.2`, and so on; the oldest is overwritten.
    fn put_aside(&self) -> io::Result<()> {
        for number in (1..self.files_kept).rev() {
            let older = numbered(&self.path, number);
            let newer = if number == 1 { self.path.clone() } else { numbered(&self.path, number - 1) };
            if newer.exists() {
                fs::rename(newer, older)?;
            }
        }
        Ok(())
    }

    /// Copies everything from `output` into the log until the last writer closes it.
    pub(crate) async fn record(self, mut output: pipe::Receiver) {
        let mut buffer = Vec::with_capacity(CHUNK_BYTES);
        loop {
            let read = output.read_buf(&mut buffer).await.unwrap_or(0);
            let whole_lines = match buffer.iter().rposition(|byte| *byte == b'\n') {
                Some(position) => position + 1,
                None if read == 0 || buffer.len() >= CHUNK_BYTES => buffer.len(),
                None => 0,
            };
            // A full disk must not stop the part: what cannot be written is dropped.
            let _ = self.append(buffer.get(..whole_lines).unwrap_or_default());
            buffer.drain(..whole_lines);
            if read == 0 {
                let _ = self.append(&buffer);
                return;
            }
        }
    }

    /// The last lines, oldest first.
    pub(crate) fn tail(&self, lines: usize) -> String {
        tail_of(&self.path, lines)
    }
}

/// The last lines of a file that may not exist yet, oldest first.
pub(crate) fn tail_of(path: &Path, lines: usize) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_put_aside_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = RotatingLog::with_limits(folder.path().join("part.log"), 20, 3);
        for number in 0..10 {
            log.append(format!("line number {number}\n").as_bytes()).unwrap();
        }
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["part.log", "part.log.1", "part.log.2"]);
        assert_eq!(log.tail(5), "line number 9");
        assert_eq!(tail_of(&folder.path().join("part.log.2"), 5), "line number 7");
    }

    #[test]
    fn a_log_that_exists_is_continued_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part.log");
        RotatingLog::with_limits(path.clone(), 24, 3).append(b"from the first run\n").unwrap();
        let second = RotatingLog::with_limits(path.clone(), 24, 3);
        second.append(b"x\n").unwrap();
        second.append(b"from the second run\n").unwrap();
        assert_eq!(second.tail(5), "from the second run");
        assert_eq!(tail_of(&numbered(&path, 1), 5), "from the first run\nx");
    }

    #[tokio::test]
    async fn lines_are_not_torn_by_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let log = RotatingLog::with_limits(folder.path().join("part.log"), 64, 50);
        let (reader, mut writer) = std::io::pipe().unwrap();
        let output = pipe::Receiver::from_owned_fd(reader.into()).unwrap();
        let recorder = tokio::spawn(log.clone().record(output));
        let written: Vec<String> = (0..50).map(|number| format!("a whole line {number}")).collect();
        writer.write_all(written.join("\n").as_bytes()).unwrap();
        drop(writer);
        recorder.await.unwrap();

        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.path()).unwrap().map(|item| item.unwrap().path()).collect();
        files.sort_by_key(|path| {
            let extension = path.extension().unwrap().to_str().unwrap().to_owned();
            std::cmp::Reverse(extension.parse::<usize>().unwrap_or(0))
        });
        let read: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(read.lines().collect::<Vec<_>>(), written);
    }
}
