//! Dapr's sidecar, `daprd`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::StackError;
use crate::probe::Probe;
use crate::process::Launch;
use crate::state_folder::StateFolder;
use crate::supervision::MemberSpecification;

/// Longer than the 30 s that a Kafka subscription may take to hand over its last batch.
const GRACEFUL_SHUTDOWN_SECONDS: u64 = 35;

/// The four places where a sidecar listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    /// For other sidecars.
    pub(crate) internal: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

/// What a sidecar's probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Everything, the application included.
    Whole,
    /// Only what an application can use before it listens itself: the components.
    Outbound,
}

/// One sidecar.
#[derive(Debug)]
pub(crate) struct Sidecar<'stack> {
    pub(crate) program: &'stack Path,
    pub(crate) name: String,
    pub(crate) app_id: String,
    pub(crate) addresses: Addresses,
    /// The application's gRPC port, if there is an application.
    pub(crate) app_channel: Option<SocketAddr>,
    pub(crate) app_health_check: bool,
    pub(crate) readiness: Readiness,
    pub(crate) resources: Vec<PathBuf>,
    /// Configuration files; later ones are laid over earlier ones.
    pub(crate) configurations: Vec<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) extra_arguments: Vec<String>,
}

impl Sidecar<'_> {
    pub(crate) fn member(self, state: &StateFolder) -> Result<MemberSpecification, StackError> {
        let Addresses { http, grpc, internal, metrics } = self.addresses;
        let mut launch = Launch::new(self.program, state.configuration(&self.name)?)
            .arguments(["--app-id", &self.app_id])
            .arguments(["--dapr-listen-addresses", "127.0.0.1"])
            .arguments(["--dapr-http-port", &http.port().to_string()])
            .arguments(["--dapr-grpc-port", &grpc.port().to_string()])
            .arguments(["--dapr-internal-grpc-listen-address", "127.0.0.1"])
            .arguments(["--dapr-internal-grpc-port", &internal.port().to_string()])
            .arguments(["--metrics-listen-address", "127.0.0.1"])
            .arguments(["--metrics-port", &metrics.port().to_string()])
            .arguments(["--dapr-graceful-shutdown-seconds", &GRACEFUL_SHUTDOWN_SECONDS.to_string()])
            .arguments(["--max-body-size", "16Mi"])
            .argument("--log-as-json");
        for path in &self.resources {
            launch = launch.argument("--resources-path").argument(path);
        }
        for path in &self.configurations {
            launch = launch.argument("--config").argument(path);
        }
        if let Some(channel) = self.app_channel {
            launch = launch
                .arguments(["--app-protocol", "grpc"])
                .arguments(["--app-channel-address", "127.0.0.1"])
                .arguments(["--app-port", &channel.port().to_string()]);
        }
        if self.app_health_check && self.app_channel.is_some() {
            launch = launch
                .argument("--enable-app-health-check")
                .arguments(["--app-health-probe-interval", "1"])
                .arguments(["--app-health-probe-timeout", "500"])
                .arguments(["--app-health-threshold", "2"]);
        }
        launch = launch.arguments(&self.extra_arguments);
        launch.environment = self.environment;
        // What it tells other sidecars; by default it would be an address of the machine on its network.
        launch = launch.variable("DAPR_HOST_IP", "127.0.0.1");
        let path = match self.readiness {
            Readiness::Whole => "/v1.0/healthz",
            Readiness::Outbound => "/v1.0/healthz/outbound",
        };
        Ok(MemberSpecification {
            log: state.log(&self.name),
            name: self.name,
            launch,
            probe: Probe::Http { url: format!("http://{http}{path}") },
            address: Some(grpc),
            stop_signal: Signal::SIGTERM,
            stop_grace: Duration::from_secs(GRACEFUL_SHUTDOWN_SECONDS + 5),
            start_deadline: Duration::from_mins(1),
        })
    }
}
