//! Calls to other roles: gRPC proxied through the sidecars.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::sidecar::{ApiToken, Sidecar, traceparent};
use crate::telemetry::trace_context::TraceContext;

/// Addresses a call to another role's app-id, and forwards the trace.
#[derive(Clone)]
pub struct Invocation {
    app_id: MetadataValue<Ascii>,
    token: ApiToken,
}

/// What a generated tonic client is made from to reach another role.
pub type InvocationChannel = InterceptedService<Channel, Invocation>;

impl Invocation {
    pub fn channel(sidecar: &Sidecar, app_id: &str) -> anyhow::Result<InvocationChannel> {
        let (channel, token) = sidecar.channel();
        let invocation = Self { app_id: app_id.parse()?, token };
        Ok(InterceptedService::new(channel, invocation))
    }
}

impl Interceptor for Invocation {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let mut request = self.token.call(request)?;
        request.metadata_mut().insert("dapr-app-id", self.app_id.clone());
        let trace = TraceContext::current().unwrap_or(TraceContext::NOBODYS);
        request.metadata_mut().insert(TraceContext::HEADER, traceparent(trace));
        Ok(request)
    }
}
