//! Commands: edits on their way to a page's writer, and the answers on their way back.

use std::{any::Any, panic, sync::Arc};

use tokio::sync::oneshot;

use crate::{CallContext, EditError, FirstAnswer, IdempotencyKey, LimitExceeded, Once, PageEdit, StoreError};

/// An edit that waits for its page. Its types are known only to the caller who waits for the answer.
pub(crate) trait Command: Send {
    fn kind(&self) -> Kind;
    fn key(&self) -> Option<IdempotencyKey>;
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// What its call is part of.
    fn context(&self) -> Option<Arc<dyn CallContext>>;
    /// Runs the edit and keeps its result until the commit. Returns whether it accepted.
    fn run(&mut self, edit: &mut PageEdit<'_>) -> bool;
    fn answer(self: Box<Self>, outcome: Outcome);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of this page, whatever its state.
    Edit,
    /// To the end of the collection: moves on if this page is not it.
    Append,
}

/// What became of a command.
pub(crate) enum Outcome {
    /// What its last run returned stands: the change is committed, or the rejection is true.
    Ran,
    Repeated(FirstAnswer),
    Failed(Failure),
    Panicked(Box<dyn Any + Send>),
}

/// Why a command was not carried out.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    KeyReused,
    Closed,
    LimitExceeded(LimitExceeded),
    Backlog { waiting: usize },
    Overloaded,
    Conflict { attempts: u32 },
    Unavailable(StoreError),
    OutcomeUnknown(StoreError),
}

impl<R> From<Failure> for EditError<R> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::KeyReused => Self::KeyReused,
            Failure::Closed => Self::Closed,
            Failure::LimitExceeded(limit) => Self::LimitExceeded(limit),
            Failure::Backlog { waiting } => Self::Backlog { waiting },
            Failure::Overloaded => Self::Overloaded,
            Failure::Conflict { attempts } => Self::Conflict { attempts },
            Failure::Unavailable(cause) => Self::Unavailable(cause),
            Failure::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause),
        }
    }
}

enum Reply<T, R> {
    Answer(Result<Once<T>, EditError<R>>),
    /// The edit panicked: the panic belongs to the caller.
    Panicked(Box<dyn Any + Send>),
}

struct Typed<F, T, R> {
    kind: Kind,
    key: Option<IdempotencyKey>,
    context: Option<Arc<dyn CallContext>>,
    edit: F,
    result: Option<Result<T, R>>,
    reply: oneshot::Sender<Reply<T, R>>,
}

/// The caller's end of a command.
pub(crate) struct Answer<T, R>(oneshot::Receiver<Reply<T, R>>);

#[derive(Debug, thiserror::Error)]
#[error("the page's writer ended unexpectedly")]
struct WriterEnded;

impl<T, R> Answer<T, R> {
    pub(crate) async fn wait(self) -> Result<Once<T>, EditError<R>> {
        match self.0.await {
            Ok(Reply::Answer(answer)) => answer,
            Ok(Reply::Panicked(panic)) => panic::resume_unwind(panic),
            Err(_) => Err(EditError::OutcomeUnknown(StoreError::new(WriterEnded))),
        }
    }
}

pub(crate) fn command<F, T, R>(
    kind: Kind,
    key: Option<IdempotencyKey>,
    context: Option<Arc<dyn CallContext>>,
    edit: F,
) -> (Box<dyn Command>, Answer<T, R>)
where
    F: Fn(&mut PageEdit<'_>) -> Result<T, R> + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Typed { kind, key, context, edit, result: None, reply }), Answer(answer))
}

impl<F, T, R> Command for Typed<F, T, R>
where
    F: Fn(&mut PageEdit<'_>) -> Result<T, R> + Send,
    T: Send,
    R: Send,
{
    fn kind(&self) -> Kind {
        self.kind
    }

    fn key(&self) -> Option<IdempotencyKey> {
        self.key
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn context(&self) -> Option<Arc<dyn CallContext>> {
        self.context.clone()
    }

    fn run(&mut self, edit: &mut PageEdit<'_>) -> bool {
        let result = (self.edit)(edit);
        let accepted = result.is_ok();
        self.result = Some(result);
        accepted
    }

    fn answer(self: Box<Self>, outcome: Outcome) {
        let reply = match outcome {
            Outcome::Ran => match self.result {
                Some(Ok(value)) => Reply::Answer(Ok(Once::First(value))),
                Some(Err(rejection)) => Reply::Answer(Err(EditError::Rejected(rejection))),
                // Abandoned before it ran: nobody listens.
                None => return,
            },
            Outcome::Repeated(first) => Reply::Answer(Ok(Once::Again(first))),
            Outcome::Failed(failure) => Reply::Answer(Err(failure.into())),
            Outcome::Panicked(panic) => Reply::Panicked(panic),
        };
        // A caller that has gone away misses an answer, nothing else.
        drop(self.reply.send(reply));
    }
}
