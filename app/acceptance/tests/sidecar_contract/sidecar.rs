//! Calling a sidecar as the application does: by the generated gRPC client, with the token and a deadline.

use std::time::Duration;

use dapr::client::ApiTokenInterceptor;
use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use tidemark_acceptance::Outcome;
use tidemark_stack::Sidecar;
use tonic::Request;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// Longer than anything takes that works.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The largest message that the application takes from its sidecar.
const LARGEST_MESSAGE_BYTES: usize = 64 << 20;

pub type SidecarChannel = InterceptedService<Channel, ApiTokenInterceptor>;
pub type Client = DaprClient<SidecarChannel>;

/// A channel to the sidecar, which connects at the first call.
pub fn channel(sidecar: &Sidecar) -> Outcome<Channel> {
    let endpoint = Endpoint::from_shared(sidecar.grpc_endpoint())?.connect_timeout(Duration::from_secs(2));
    Ok(endpoint.connect_lazy())
}

/// A channel on which every call shows the token.
pub fn trusted_channel(sidecar: &Sidecar) -> Outcome<SidecarChannel> {
    let token = ApiTokenInterceptor::try_new(Some(sidecar.api_token().to_owned()))?;
    Ok(InterceptedService::new(channel(sidecar)?, token))
}

pub fn client(sidecar: &Sidecar) -> Outcome<Client> {
    Ok(DaprClient::new(trusted_channel(sidecar)?)
        .max_decoding_message_size(LARGEST_MESSAGE_BYTES)
        .max_encoding_message_size(LARGEST_MESSAGE_BYTES))
}

/// A call with a deadline that travels along.
pub fn call<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}
