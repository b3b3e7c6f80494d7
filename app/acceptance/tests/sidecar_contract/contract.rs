//! What all trials share: the infrastructure, and sidecars that are started when the first trial needs them.

use std::fs;
use std::sync::Arc;

use tidemark_acceptance::Outcome;
use tidemark_stack::{ProjectResources, Sidecar, SidecarOptions, Stack, project};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::application::Application;
use super::sidecar::{Client, client};
use super::store::Store;
use super::{delivery, invocation};

/// The app-id under which the project's components are visible.
pub const APP_ID: &str = "tidemark";

/// A sidecar and the application behind it.
pub struct Pair {
    pub sidecar: Sidecar,
    pub application: Application,
}

pub struct Contract {
    pub stack: Arc<Stack>,
    /// Shared by trials that need Redis as it should be, held alone by one that disturbs it.
    redis: RwLock<()>,
    tidemark: OnceCell<Sidecar>,
    guarded: OnceCell<Sidecar>,
    consumer: OnceCell<Pair>,
    caller: OnceCell<Pair>,
    callee: OnceCell<Pair>,
}

impl Contract {
    pub fn new(stack: Arc<Stack>) -> Self {
        Self {
            stack,
            redis: RwLock::default(),
            tidemark: OnceCell::default(),
            guarded: OnceCell::default(),
            consumer: OnceCell::default(),
            caller: OnceCell::default(),
            callee: OnceCell::default(),
        }
    }

    /// A sidecar exactly as the application's: the project's components, policies and configuration.
    pub async fn tidemark(&self) -> Outcome<&Sidecar> {
        let start = || async {
            let _calm = self.redis.read().await;
            Ok(self.stack.start_sidecar(SidecarOptions::new(APP_ID)).await?)
        };
        self.tidemark.get_or_try_init(start).await
    }

    pub async fn client(&self) -> Outcome<Client> {
        client(self.tidemark().await?)
    }

    /// The project's state store, with Redis left in peace as long as the guard lives.
    pub async fn store(&self) -> Outcome<(Store, RwLockReadGuard<'_, ()>)> {
        let store = Store::new(self.client().await?);
        Ok((store, self.redis.read().await))
    }

    /// The project's state store, with Redis given over to the caller as long as the guard lives.
    pub async fn store_to_disturb(&self) -> Outcome<(Store, RwLockWriteGuard<'_, ()>)> {
        let store = Store::new(self.client().await?);
        Ok((store, self.redis.write().await))
    }

    /// Redis left in peace as long as the guard lives.
    pub async fn calm_redis(&self) -> RwLockReadGuard<'_, ()> {
        self.redis.read().await
    }

    /// A sidecar with the project's components, but circuit breakers for its policy.
    pub async fn guarded(&self) -> Outcome<(&Sidecar, RwLockReadGuard<'_, ()>)> {
        let start = || async {
            let _calm = self.redis.read().await;
            let options = SidecarOptions {
                name: Some("guarded-sidecar".to_owned()),
                project_resources: ProjectResources::ComponentsOnly,
                inline_resources: [("resiliency.yaml".to_owned(), CIRCUIT_BREAKERS.to_owned())].into(),
                ..SidecarOptions::new(APP_ID)
            };
            Outcome::Ok(self.stack.start_sidecar(options).await?)
        };
        let sidecar = self.guarded.get_or_try_init(start).await?;
        Ok((sidecar, self.redis.read().await))
    }

    /// The application that the delivery trials share, one component for each.
    pub async fn consumer(&self) -> Outcome<&Pair> {
        let start = || async {
            let application = Application::start("consumer", delivery::subscriptions()).await?;
            let options = options("consumer", delivery::components()?);
            self.pair(application, options).await
        };
        self.consumer.get_or_try_init(start).await
    }

    /// Two applications that call each other.
    pub async fn caller_and_callee(&self) -> Outcome<(&Pair, &Pair)> {
        let start = async |app_id: &str| {
            let application = Application::start(app_id, Vec::new()).await?;
            let mut options = SidecarOptions::new(app_id);
            options.project_resources = ProjectResources::Nothing;
            self.pair(application, options).await
        };
        tokio::try_join!(
            self.caller.get_or_try_init(|| start(invocation::CALLER)),
            self.callee.get_or_try_init(|| start(invocation::CALLEE)),
        )
    }

    /// Starts the sidecar of an application.
    pub async fn pair(&self, application: Application, mut options: SidecarOptions) -> Outcome<Pair> {
        options.app_port = Some(application.port());
        let sidecar = self.stack.start_sidecar(options).await?;
        Ok(Pair { sidecar, application })
    }
}

const CIRCUIT_BREAKERS: &str = "\
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: circuit-breakers}
spec:
  policies:
    circuitBreakers:
      breaker: {maxRequests: 1, timeout: 60s, trip: consecutiveFailures >= 5}
  targets:
    components:
      statestore: {outbound: {circuitBreaker: breaker}}
      historydb: {outbound: {circuitBreaker: breaker}}
";

/// A sidecar named `name` with the project's policies and, of components, only those given by file name.
pub fn options(
    name: &str,
    components: impl IntoIterator<Item = (impl Into<String>, String)>,
) -> SidecarOptions {
    SidecarOptions {
        name: Some(format!("{name}-sidecar")),
        project_resources: ProjectResources::Nothing,
        resources: vec![project().join("dapr")],
        inline_resources: components
            .into_iter()
            .map(|(file, text)| (format!("{}.yaml", file.into()), text))
            .collect(),
        ..SidecarOptions::new(APP_ID)
    }
}

/// The text of one of the project's components with some of it replaced.
pub fn component(name: &str, replacements: &[(&str, &str)]) -> Outcome<String> {
    let mut text = fs::read_to_string(project().join("components").join(format!("{name}.yaml")))?;
    for (from, to) in replacements {
        assert!(text.contains(from), "components/{name}.yaml no longer has {from:?}");
        text = text.replace(from, to);
    }
    Ok(text)
}
