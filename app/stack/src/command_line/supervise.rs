//! The process in the background that owns the parts.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use nix::unistd::setsid;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use super::control::{Answer, Caller, Question, socket};
use super::request::Request;
use crate::folders::Folders;
use crate::progress::Progress;
use crate::stack::Stack;

pub(super) async fn supervise(folders: &Folders) -> anyhow::Result<ExitCode> {
    // Leaves the terminal's session: closing the terminal must not end the stack. Fails only for a process
    // that leads a group already, and that one has left.
    let _ = setsid();
    let state = folders.state();
    let request = Request::read(&state).context("no request to run; use `stack up`")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let stack = Arc::new(Stack::launch(request.options(folders), &Progress::to_standard_error()).await?);
    let path = socket(&state);
    // One left by a killed supervisor; the state folder's lock says that it is nobody's.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("listen at {}", path.display()))?;

    let who_stopped_it = loop {
        tokio::select! {
            caller = Caller::accept(&listener) => {
                let Ok(caller) = caller else { continue };
                if matches!(caller.question, Question::Stop) {
                    break Some(caller);
                }
                tokio::spawn(reply(Arc::clone(&stack), caller));
            }
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
        }
    };
    // Nobody can ask for anything any more; what was asked goes on until its part has stopped.
    let _ = fs::remove_file(&path);
    drop(listener);
    stack.stop().await;
    if let Some(caller) = who_stopped_it {
        caller.answer(&Answer::Parts { parts: Vec::new() }).await;
    }
    Ok(ExitCode::SUCCESS)
}

async fn reply(stack: Arc<Stack>, caller: Caller) {
    let done = match &caller.question {
        Question::Status | Question::Stop => Ok(()),
        Question::Restart { part: None } => stack.restart_application().await,
        Question::Restart { part: Some(name) } => match stack.part(name) {
            Ok(part) => part.restart().await,
            Err(error) => Err(error),
        },
    };
    let answer = match done {
        Ok(()) => Answer::Parts { parts: stack.status() },
        Err(error) => Answer::Refused { reason: error.with_causes() },
    };
    caller.answer(&answer).await;
}
