//! What a stack is to consist of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::folders::{Folders, project};
use crate::install::Installable;
use crate::ports::Ports;

/// How the application's roles are spread over processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// All roles in one process with one sidecar.
    Single,
    /// Each role in its own process with its own sidecar and app-id, behind NGINX.
    Split {
        /// Processes of the role `tasks`, at least one.
        tasks_replicas: u16,
    },
}

/// What the sidecars' components connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Infrastructure {
    /// The state store.
    Redis,
    /// The broker.
    Kafka,
    /// The history database.
    Postgres,
}

impl Infrastructure {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Kafka, Self::Postgres];
}

/// A stack to start. Change what differs from a constructor's choice.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// How the roles are spread.
    pub topology: Topology,
    /// How ports are chosen.
    pub ports: Ports,
    /// Where data, logs and secrets go. One running stack a folder.
    pub state: PathBuf,
    /// Where built and downloaded parts are kept.
    pub cache: PathBuf,
    /// The checkout with `components/`, `dapr/` and `app/edge/`.
    pub project: PathBuf,
    /// The application's program; without one only the infrastructure runs.
    pub application: Option<PathBuf>,
    /// Further variables for the application's processes.
    pub environment: BTreeMap<String, String>,
    /// Which infrastructure runs.
    pub infrastructure: BTreeSet<Infrastructure>,
    /// Whether to begin with empty data and new secrets.
    pub fresh: bool,
}

impl StackOptions {
    /// An isolated stack on random ports with empty data: the infrastructure alone, until
    /// [`StackOptions::application`] is set. `name` tells the folder; a later stack of the same name ends
    /// what a killed one has left, and two at the same time are refused.
    pub fn for_test(name: &str) -> Self {
        let folders = Folders::from_environment();
        Self {
            topology: Topology::Single,
            ports: Ports::Free,
            state: folders.test_state(name),
            cache: folders.cache(),
            project: project(),
            application: None,
            environment: BTreeMap::new(),
            infrastructure: Infrastructure::ALL.into(),
            fresh: true,
        }
    }

    /// The parts that this stack needs on the machine.
    pub(crate) fn installables(&self) -> BTreeSet<Installable> {
        let mut parts: BTreeSet<Installable> = self
            .infrastructure
            .iter()
            .map(|part| match part {
                Infrastructure::Redis => Installable::Redis,
                Infrastructure::Kafka => Installable::Kafka,
                Infrastructure::Postgres => Installable::Postgres,
            })
            .collect();
        parts.insert(Installable::Daprd);
        if self.application.is_some() && matches!(self.topology, Topology::Split { .. }) {
            parts.insert(Installable::Nginx);
        }
        parts
    }
}
