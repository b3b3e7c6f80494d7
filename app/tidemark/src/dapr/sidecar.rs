//! The connection to the sidecar: one channel, the API token, deadlines, measured calls.

use std::time::Duration;

use dapr::dapr::proto::runtime::v1::{GetMetadataRequest, dapr_client::DaprClient};
use metrics::{counter, histogram};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::configuration::SidecarConfiguration;
use crate::telemetry::trace_context::TraceContext;

/// The largest message taken from the sidecar: a page or a bulk of pages.
const LARGEST_MESSAGE_BYTES: usize = 64 << 20;

/// A call that the sidecar, or what is behind it, did not carry out.
#[derive(Debug, thiserror::Error)]
#[error("sidecar call {operation} failed with {code:?}")]
pub struct SidecarError {
    pub operation: &'static str,
    pub code: Code,
    #[source]
    pub status: Status,
}

impl SidecarError {
    /// Whether the same call may succeed at once: the connection broke, or the sidecar's own one to what is behind it.
    pub fn may_pass(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
    }
}

/// Puts the API token on every call.
#[derive(Clone)]
pub struct ApiToken(Option<MetadataValue<Ascii>>);

impl ApiToken {
    pub const HEADER: &'static str = "dapr-api-token";
}

impl Interceptor for ApiToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert(Self::HEADER, token.clone());
        }
        Ok(request)
    }
}

pub type Client = DaprClient<InterceptedService<Channel, ApiToken>>;

/// The sidecar beside this process. Cheap to clone; all clones share one HTTP/2 connection, which is made
/// again by itself after the sidecar was away.
#[derive(Clone)]
pub struct Sidecar {
    channel: Channel,
    token: ApiToken,
}

impl Sidecar {
    /// Connects at the first call, so that app and sidecar may start in either order.
    pub fn new(configuration: &SidecarConfiguration) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(configuration.endpoint.clone())?
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true)
            // daprd closes connections that ping more often than every eight seconds.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            // A page is tens of kilobytes: the default windows of 64 KiB would stall every save.
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(16 << 20);
        let token = match &configuration.api_token {
            Some(token) => Some(sensitive(token)?),
            None => None,
        };
        Ok(Self { channel: endpoint.connect_lazy(), token: ApiToken(token) })
    }

    /// Carries out one call, within its deadline, and counts and times it.
    pub(super) async fn call<M, T, F>(
        &self,
        operation: &'static str,
        message: M,
        deadline: Duration,
        send: impl FnOnce(Client, Request<M>) -> F,
    ) -> Result<T, SidecarError>
    where
        F: Future<Output = Result<Response<T>, Status>> + Send + 'static,
        T: Send + 'static,
    {
        let client = DaprClient::with_interceptor(self.channel.clone(), self.token.clone())
            .max_decoding_message_size(LARGEST_MESSAGE_BYTES)
            .max_encoding_message_size(LARGEST_MESSAGE_BYTES);
        let started = Instant::now();
        let outcome = to_its_end(deadline, send(client, outgoing(message, deadline))).await;
        histogram!("sidecar_call_duration_seconds", "operation" => operation).record(started.elapsed());
        let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
        let code_name = if code == Code::Ok { "Ok".to_owned() } else { format!("{code:?}") };
        counter!("sidecar_calls_total", "operation" => operation, "code" => code_name).increment(1);
        outcome.map(Response::into_inner).map_err(|status| SidecarError { operation, code, status })
    }

    pub(super) fn channel(&self) -> (Channel, ApiToken) {
        (self.channel.clone(), self.token.clone())
    }

    /// Answers whether the sidecar itself answers.
    pub async fn ping(&self, deadline: Duration) -> Result<(), SidecarError> {
        let send = |mut client: Client, request| async move { client.get_metadata(request).await };
        self.call("get_metadata", GetMetadataRequest {}, deadline, send).await.map(drop)
    }
}

fn sensitive(token: &SecretString) -> anyhow::Result<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = token.expose_secret().parse()?;
    value.set_sensitive(true);
    Ok(value)
}

/// The deadline travels with the call: the sidecar gives up too. So does the trace, and the sidecar's spans are
/// part of it.
fn outgoing<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    let trace = TraceContext::current().unwrap_or(TraceContext::NOBODYS);
    request.metadata_mut().insert(TraceContext::HEADER, traceparent(trace));
    request
}

/// The context as metadata of a call.
pub(super) fn traceparent(trace: TraceContext) -> MetadataValue<Ascii> {
    trace.traceparent().parse().expect("hexadecimal digits and '-' are a valid metadata value")
}

/// Goes on with a call also when its caller has gone away, until the deadline. All calls share a connection, and HTTP/2
/// keeps an account of answers that come to calls which were cancelled: after 1,024 of them the client takes the other
/// side for hostile and ends the connection, with every call that is under way.
pub async fn to_its_end<T: Send + 'static>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    match tokio::spawn(timeout(deadline, call)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Status::deadline_exceeded("no answer in time")),
        Err(ended) => Err(Status::internal(ended.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_carries_its_trace_or_says_that_it_belongs_to_none() {
        let carried = || {
            let call = outgoing((), Duration::from_secs(1));
            call.metadata().get(TraceContext::HEADER).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(carried(), TraceContext::NOBODYS.traceparent());
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace: TraceContext = text.parse().unwrap();
        assert_eq!(trace.scope(async { carried() }).await, text);
    }
}
