//! The five roles: what each is given, and what each offers in return.
//!
//! A role's inside is private. It reaches other roles by events or through the sidecar, also when they share
//! its process.

use std::{fmt, sync::Arc};

use axum::Router;
use clap::ValueEnum;
use tidemark_pages::{PageWork, Pages};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts,
    clock::Clock,
    configuration::ServeConfiguration,
    dapr::{AddService, Sidecar, StateComponent, Subscription, TopicPublisher},
    gateway,
    health::Dependency,
    history,
    identity::Verifier,
    notifications, tasks,
    telemetry::trace_context::TraceContext,
};

/// A part of the program that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Accounts,
    Tasks,
    History,
    Notifications,
    Gateway,
}

impl Role {
    pub const ALL: [Self; 5] =
        [Self::Accounts, Self::Tasks, Self::History, Self::Notifications, Self::Gateway];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Tasks => "tasks",
            Self::History => "history",
            Self::Notifications => "notifications",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every role is given.
pub struct Foundation {
    pub configuration: Arc<ServeConfiguration>,
    /// The roles of this process.
    pub roles: Vec<Role>,
    pub sidecar: Sidecar,
    pub state: StateComponent,
    pub ledger: TopicPublisher,
    pub verifier: Arc<Verifier>,
    pub clock: Arc<dyn Clock>,
    /// Work that must be finished before the process ends.
    pub tasks: TaskTracker,
    /// Cancelled when the process begins to stop.
    pub stopping: CancellationToken,
}

/// Publishes in flight at a time. Fewer make larger bulks: on two cores more only divide the same work.
const RELAY_LANES: usize = 2;

/// Times a batch is tried against other replicas. Two that contend for one page all the time win about every
/// second try; eight lost in a row were seen in tests.
const ATTEMPTS: u32 = 24;

/// What a role offers.
#[derive(Default)]
pub struct Offer {
    pub router: Router,
    pub services: Vec<AddService>,
    pub subscriptions: Vec<Subscription>,
    pub dependencies: Vec<Dependency>,
    /// Pages to be drained before the process ends.
    pub pages: Option<Pages>,
}

impl Foundation {
    /// Starts a role.
    pub fn start(&self, role: Role) -> anyhow::Result<Offer> {
        match role {
            Role::Accounts => accounts::start(self),
            Role::Tasks => Ok(tasks::start(self)),
            Role::History => Ok(history::start(self)),
            Role::Notifications => Ok(notifications::start()),
            Role::Gateway => Ok(gateway::start()),
        }
    }

    /// Starts the pages of an owner.
    pub fn start_pages(&self, owner: &str, work: Option<Arc<dyn PageWork>>) -> Pages {
        let limits = &self.configuration.state;
        let ports = tidemark_pages::Ports {
            store: Arc::new(self.state.clone()),
            publisher: Arc::new(self.ledger.clone()),
            clock: Arc::clone(&self.clock),
            work,
            context: Some(TraceContext::recorded),
        };
        let configuration = tidemark_pages::Configuration {
            entries_per_collection: limits.entries_per_collection,
            lease: limits.instance_lease,
            relay_lanes: RELAY_LANES,
            attempts: ATTEMPTS,
            ..tidemark_pages::Configuration::new(owner, self.configuration.instance.clone())
        };
        Pages::start(ports, configuration)
    }
}
