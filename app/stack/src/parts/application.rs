//! The application itself: the program `tidemark`, serving all roles or one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::StackError;
use crate::probe::Probe;
use crate::process::Launch;
use crate::state_folder::StateFolder;
use crate::supervision::MemberSpecification;

/// Every role, in the order in which they are shown.
pub(crate) const ROLES: [&str; 5] = ["accounts", "tasks", "history", "notifications", "gateway"];

/// Drain and close within this, or be killed.
const STOP_GRACE: Duration = Duration::from_secs(40);

/// One process of the application.
#[derive(Debug)]
pub(crate) struct Application<'stack> {
    pub(crate) program: &'stack Path,
    /// The part's name and that of the replica.
    pub(crate) name: String,
    /// The role to serve; all when there is none.
    pub(crate) role: Option<&'static str>,
    pub(crate) http: SocketAddr,
    pub(crate) channel: SocketAddr,
    pub(crate) sidecar: SocketAddr,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Application<'_> {
    pub(crate) fn member(self, state: &StateFolder) -> Result<MemberSpecification, StackError> {
        let mut launch = Launch::new(self.program, state.configuration(&self.name)?)
            .argument("serve")
            .arguments(self.role);
        launch.environment = BTreeMap::from([
            ("HTTP_ADDRESS".to_owned(), self.http.to_string()),
            ("APP_CHANNEL_ADDRESS".to_owned(), self.channel.to_string()),
            ("DAPR_GRPC_ENDPOINT".to_owned(), format!("http://{}", self.sidecar)),
            ("INSTANCE".to_owned(), self.name.clone()),
        ]);
        launch.environment.extend(self.environment);
        Ok(MemberSpecification {
            log: state.log(&self.name),
            name: self.name,
            launch,
            probe: Probe::Http { url: format!("http://{}/health/ready", self.http) },
            address: Some(self.http),
            stop_signal: Signal::SIGTERM,
            stop_grace: STOP_GRACE,
            start_deadline: Duration::from_mins(1),
        })
    }
}
