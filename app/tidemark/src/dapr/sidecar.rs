//! The connection to the sidecar: one channel, the API token, deadlines, measured calls.

use std::time::Duration;

use dapr::dapr::proto::runtime::v1::{GetMetadataRequest, dapr_client::DaprClient};
use metrics::{counter, histogram};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
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

    pub(super) fn client(&self) -> Client {
        DaprClient::with_interceptor(self.channel.clone(), self.token.clone())
            .max_decoding_message_size(LARGEST_MESSAGE_BYTES)
            .max_encoding_message_size(LARGEST_MESSAGE_BYTES)
    }

    pub(super) fn channel(&self) -> (Channel, ApiToken) {
        (self.channel.clone(), self.token.clone())
    }

    /// Answers whether the sidecar itself answers.
    pub async fn ping(&self, deadline: Duration) -> Result<(), SidecarError> {
        let mut client = self.client();
        let request = outgoing(GetMetadataRequest {}, deadline);
        measured("get_metadata", client.get_metadata(request)).await.map(drop)
    }
}

fn sensitive(token: &SecretString) -> anyhow::Result<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = token.expose_secret().parse()?;
    value.set_sensitive(true);
    Ok(value)
}

/// The deadline travels with the call: the sidecar gives up too. So does the trace, and the sidecar's spans are
/// part of it.
pub(super) fn outgoing<T>(message: T, deadline: Duration) -> Request<T> {
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

/// Counts and times a call, and names the operation in its error.
pub(super) async fn measured<T>(
    operation: &'static str,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, SidecarError> {
    let started = Instant::now();
    let outcome = call.await;
    histogram!("sidecar_call_duration_seconds", "operation" => operation).record(started.elapsed());
    match outcome {
        Ok(response) => {
            counter!("sidecar_calls_total", "operation" => operation, "code" => "Ok").increment(1);
            Ok(response.into_inner())
        }
        Err(status) => {
            let code = status.code();
            counter!("sidecar_calls_total", "operation" => operation, "code" => format!("{code:?}"))
                .increment(1);
            Err(SidecarError { operation, code, status })
        }
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
