//! An operation with the action that does it.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use tidemark_api::{Declaration, Described, Operation, Refusal};

use super::{answer::Answer, call::Call, input::Members};

type Outcome = Pin<Box<dyn Future<Output = Result<Answer<Bytes>, Refusal>> + Send>>;

/// An operation that a role implements. Input and output are JSON here: the same for every interface, and for
/// a call inside the process as for one through the sidecars.
pub struct Offered {
    pub described: Described,
    action: Box<dyn Fn(Call, Members) -> Outcome + Send + Sync>,
}

impl Offered {
    /// `action` does what `O` declares, with what `role` has.
    pub fn new<O, R, F>(role: &Arc<R>, action: impl Fn(Arc<R>, Call, O) -> F + Send + Sync + 'static) -> Self
    where
        O: Operation,
        R: Send + Sync + 'static,
        F: Future<Output = Result<Answer<O::Output>, Refusal>> + Send + 'static,
    {
        let described = Described::of::<O>();
        let (role, schema) = (Arc::clone(role), described.input.clone());
        let action = move |call: Call, members: Members| -> Outcome {
            let begun = members.read::<O>(&schema).map(|input| action(Arc::clone(&role), call, input));
            Box::pin(async move { Ok(begun?.await?.map(encode)) })
        };
        Self { described, action: Box::new(action) }
    }

    pub fn declaration(&self) -> &Declaration {
        &self.described.declaration
    }

    pub(super) fn run(&self, call: Call, members: Members) -> Outcome {
        (self.action)(call, members)
    }
}

fn encode<T: serde::Serialize>(output: T) -> Bytes {
    serde_json::to_vec(&output).expect("an output always makes JSON").into()
}
