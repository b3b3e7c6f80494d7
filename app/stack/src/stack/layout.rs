//! The application's processes in either topology.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{Stack, Topology};
use crate::error::StackError;
use crate::parts::application::{Application, ROLES};
use crate::parts::edge;
use crate::parts::sidecar::{Addresses, Readiness, Sidecar};
use crate::parts::stop_order;
use crate::supervision::{RestartPolicy, UnitSpecification};

/// The application's name, in Dapr and as a part.
const APPLICATION: &str = "tidemark";

/// Copies of the history subscription's component: one for each partition of the ledger.
const HISTORY_COPIES: u16 = 6;

/// A process of the application that is to be started.
struct Process {
    name: String,
    role: Option<&'static str>,
    app_id: String,
    http: SocketAddr,
    /// Keeps the usual ports of several processes apart.
    offset: u16,
}

impl Stack {
    pub(super) fn start_application(&self) -> Result<(), StackError> {
        let (Some(program), Some(public)) = (&self.options.application, self.addresses.public) else {
            return Ok(());
        };
        match self.options.topology {
            Topology::Single => {
                let process = Process {
                    name: APPLICATION.to_owned(),
                    role: None,
                    app_id: APPLICATION.to_owned(),
                    http: public,
                    offset: 0,
                };
                self.start_process(program, process)?;
            }
            Topology::Split { tasks_replicas } => {
                let mut upstreams: Vec<edge::Upstream> = Vec::new();
                let mut offset = 0;
                for role in ROLES {
                    let replicas = if role == "tasks" { tasks_replicas.max(1) } else { 1 };
                    let mut servers = Vec::new();
                    for replica in 1..=replicas {
                        let name = if replica == 1 { role.to_owned() } else { format!("{role}-{replica}") };
                        offset += 1;
                        let http = self.take_port(&format!("{name}-http-address"), 3900 + offset)?;
                        let app_id = app_id(role);
                        let process = Process { name, role: Some(role), app_id, http, offset };
                        servers.push(http);
                        self.start_process(program, process)?;
                    }
                    upstreams.push(edge::Upstream { role, servers });
                }
                self.supervise(edge::unit(
                    &self.programs.nginx,
                    &self.options.project,
                    &self.state,
                    public,
                    &upstreams,
                )?);
            }
        }
        Ok(())
    }

    fn start_process(&self, program: &Path, process: Process) -> Result<(), StackError> {
        let Process { name, role, app_id, http, offset } = process;
        let sidecar_name = format!("{name}-sidecar");
        let addresses = self.take_sidecar_addresses(&sidecar_name, offset)?;
        let channel = self.take_port(&format!("{name}-channel"), 4100 + offset)?;
        let application = Application {
            program,
            name: name.clone(),
            role,
            http,
            channel,
            sidecar: addresses.grpc,
            environment: self.application_environment(),
        };
        let mut environment = self.component_environment();
        environment.insert("POD_NAME".to_owned(), name);
        let sidecar = Sidecar {
            program: &self.programs.daprd,
            name: sidecar_name,
            app_id,
            addresses,
            app_channel: Some(channel),
            app_health_check: true,
            readiness: Readiness::Whole,
            resources: vec![self.options.project.join("components"), self.options.project.join("dapr")],
            configurations: self.configurations(),
            environment,
            extra_arguments: Vec::new(),
        };
        self.supervise(UnitSpecification {
            // The application first: it drains while its sidecar still works.
            members: vec![application.member(&self.state)?, sidecar.member(&self.state)?],
            prepare: None,
            complete: None,
            dependencies: self.infrastructure(),
            stop_order: stop_order::APPLICATION,
            policy: RestartPolicy::default(),
            auto_restart: true,
            run_folder: self.state.run(),
        });
        Ok(())
    }

    /// Takes the ports of one sidecar; `offset` keeps the usual ports of several apart.
    pub(super) fn take_sidecar_addresses(&self, name: &str, offset: u16) -> Result<Addresses, StackError> {
        Ok(Addresses {
            http: self.take_port(&format!("{name}-http"), 3500 + offset)?,
            grpc: self.take_port(&format!("{name}-grpc"), 3600 + offset)?,
            internal: self.take_port(&format!("{name}-internal"), 3700 + offset)?,
            metrics: self.take_port(&format!("{name}-metrics"), 3800 + offset)?,
        })
    }

    /// Dapr's configuration, and what only this stack needs laid over it.
    pub(super) fn configurations(&self) -> Vec<PathBuf> {
        let dapr = self.options.project.join("dapr");
        vec![dapr.join("configuration.yaml"), dapr.join("configuration-local.yaml")]
    }

    /// What every process of the application gets, apart from its own addresses.
    fn application_environment(&self) -> BTreeMap<String, String> {
        let history: Vec<String> = (0..HISTORY_COPIES).map(|copy| format!("pubsub-history-{copy}")).collect();
        let settings = [
            ("APP_ENV", "development"),
            ("LOG_FORMAT", "json"),
            ("LOG_LEVEL", "info"),
            ("STATE_STORE", "statestore"),
            ("PUBSUB", "pubsub"),
            ("HISTORY_PUBSUBS", &history.join(",")),
            ("HISTORY_BINDING", "historydb"),
            ("SECRET_STORE", "secretstore"),
            ("DAPR_API_TOKEN", &self.secrets.dapr_api_token),
            ("APP_API_TOKEN", &self.secrets.app_api_token),
        ];
        let mut environment: BTreeMap<String, String> =
            settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for role in ROLES {
            let app_id = match self.options.topology {
                Topology::Single => APPLICATION.to_owned(),
                Topology::Split { .. } => app_id(role),
            };
            environment.insert(format!("{}_APP_ID", role.to_uppercase()), app_id);
        }
        environment.extend(self.options.environment.clone());
        environment
    }
}

/// The app-id of a role that has its own process.
fn app_id(role: &str) -> String {
    format!("{APPLICATION}-{role}")
}
