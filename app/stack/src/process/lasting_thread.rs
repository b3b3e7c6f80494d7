//! One thread that starts all children and ends only with this process.
//!
//! The kernel can be asked to signal a child when its parent dies, so that even `SIGKILL` leaves no orphans.
//! But it counts the thread that started the child as the parent, and a runtime's threads may end earlier.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;

type Job = Box<dyn FnOnce() + Send>;

/// Spawns `command` on the lasting thread.
pub(super) fn spawn(mut command: Command) -> io::Result<Child> {
    static THREAD: OnceLock<Sender<Job>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts children has ended");
    let runtime = Handle::current();
    let (reply, answer) = mpsc::sync_channel(1);
    let job: Job = Box::new(move || {
        let _runtime = runtime.enter();
        // Whoever asked waits below.
        let _ = reply.send(command.spawn());
    });
    THREAD.get_or_init(start).send(job).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn start() -> Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::spawn(move || jobs.into_iter().for_each(|job| job()));
    sender
}
