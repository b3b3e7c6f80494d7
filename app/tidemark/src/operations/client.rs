//! The way to another role's operations: in process where the role is here, through the sidecars otherwise.
//! Both ways ask for the same permission and pass the same JSON.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use serde::de::DeserializeOwned;
use tidemark_api::{Operation, Refusal, Role};
use tonic::{Request, Status, client::Grpc};

use super::{
    answer::Answer,
    call::Call,
    input::Members,
    invoke::{self, JsonText, Reply},
    registry::Registry,
};
use crate::{
    dapr::{invocation::InvocationChannel, sidecar::to_its_end},
    telemetry::trace_context::TraceContext,
};

const DEADLINE: Duration = Duration::from_secs(10);
/// A board of 200 tasks with long descriptions and comments.
const LARGEST_REPLY_BYTES: usize = 16 << 20;

/// The registry of this process, once there is one.
pub type Here = Arc<OnceLock<Weak<Registry>>>;

/// Calls the operations of one role.
#[derive(Clone)]
pub struct RoleClient {
    role: Role,
    here: Here,
    channel: InvocationChannel,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{0}")]
    Refused(Refusal),
    #[error("the {role} role cannot be reached")]
    Unreachable {
        role: Role,
        #[source]
        status: Status,
    },
    #[error("the {role} role answers in another form")]
    Form {
        role: Role,
        #[source]
        cause: serde_json::Error,
    },
}

impl RoleClient {
    pub fn new(role: Role, here: Here, channel: InvocationChannel) -> Self {
        Self { role, here, channel }
    }

    /// Does `O` for whoever made `call`.
    pub async fn call<O: Operation>(&self, call: &Call, input: &O) -> Result<Answer<O::Output>, CallError> {
        let form = |cause| CallError::Form { role: self.role, cause };
        let input = serde_json::to_vec(input).map_err(form)?;
        let registry = self.here.get().and_then(Weak::upgrade);
        let operation = registry.as_ref().and_then(|registry| registry.find(O::DECLARATION.name));
        match (&registry, operation) {
            (Some(registry), Some(operation)) => {
                let here = async {
                    let admission = registry.admit(operation, call.token()).await?;
                    let members = Members::parse(&input)?;
                    registry.perform(operation, admission, call.conditions().clone(), members).await
                };
                let answer = here.await.map_err(CallError::Refused)?;
                let output = read(&answer.output).map_err(form)?;
                Ok(answer.map(|_| output))
            }
            _ => self.through_the_sidecars::<O>(call, input.into()).await,
        }
    }

    async fn through_the_sidecars<O: Operation>(
        &self,
        call: &Call,
        input: Bytes,
    ) -> Result<Answer<O::Output>, CallError> {
        let unreachable = |status| CallError::Unreachable { role: self.role, status };
        let form = |cause| CallError::Form { role: self.role, cause };
        let mut request = Request::new(input);
        request.set_timeout(DEADLINE);
        invoke::write_metadata(call, request.metadata_mut());
        let path: PathAndQuery =
            O::DECLARATION.call_path().parse().expect("names of roles and operations make a path");
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST_REPLY_BYTES);
        let sent = async move {
            grpc.ready().await.map_err(|fault| Status::unavailable(fault.to_string()))?;
            grpc.unary(request, path, JsonText).await
        };
        let sent = TraceContext::scope_of(TraceContext::current(), sent);
        let reply = to_its_end(DEADLINE, sent).await.map_err(unreachable)?.into_inner();
        match read::<Reply>(&reply).map_err(form)? {
            Reply::Answered(answer) => {
                let output = read(answer.output.get().as_bytes()).map_err(form)?;
                Ok(answer.map(|_| output))
            }
            Reply::Refused(refusal) => Err(CallError::Refused(refusal)),
        }
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text)
}
