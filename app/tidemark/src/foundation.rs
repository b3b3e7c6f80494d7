//! What every role is given, and what each offers in return.
//!
//! A role's inside is private. It reaches other roles by events or by their operations.

use std::sync::Arc;

use axum::Router;
use futures_util::future::BoxFuture;
use tidemark_api::Role;
use tidemark_pages::{PageWork, Pages};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    configuration::ServeConfiguration,
    dapr::{Sidecar, StateComponent, Subscription, TopicPublisher},
    health::Dependency,
    operations::Offered,
    telemetry::trace_context::TraceContext,
};

/// What every role is given.
pub struct Foundation {
    pub configuration: Arc<ServeConfiguration>,
    /// The roles of this process.
    pub roles: Vec<Role>,
    pub sidecar: Sidecar,
    pub state: StateComponent,
    pub ledger: TopicPublisher,
    pub clock: Arc<dyn Clock>,
    /// Work that must be finished before the process ends: a role's workers among it.
    pub tasks: TaskTracker,
    /// Cancelled when the process begins to stop: workers and streams that live long end then.
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
    pub operations: Vec<Offered>,
    /// What is no operation, such as a page.
    pub router: Router,
    pub subscriptions: Vec<Subscription>,
    pub dependencies: Vec<Dependency>,
    /// Pages to be drained before the process ends.
    pub pages: Option<Pages>,
    /// Ends if the process must, with the reason.
    pub unfit: Option<BoxFuture<'static, anyhow::Error>>,
}

impl Foundation {
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
