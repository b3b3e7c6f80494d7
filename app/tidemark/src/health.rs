//! Health: what this process depends on, asked at most once a second.
//!
//! - `/health/live`: the process runs. Never looks further, so that a broken store restarts nobody.
//! - `/health/ready`: everything that this process cannot work without answers.
//! - `/health` and `/api/health`: every dependency by name; in the gateway, of all roles.

use std::{collections::BTreeMap, error::Error, pin::Pin, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use futures_util::future::join_all;
use http::StatusCode;
use serde::Serialize;
use tidemark_api::Role;
use tidemark_protocol::health::{
    Dependency as Reported, ReportRequest, ReportResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::warn;

use crate::{
    clock::Clock,
    dapr::{AddService, Invocation, Sidecar, invocation::InvocationChannel},
    foundation::Foundation,
    telemetry::WithCauses,
};

/// How long one probe may take.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(2);
/// How long a report is good for.
const FRESH: Duration = Duration::from_secs(1);

type Fault = Box<dyn Error + Send + Sync>;
type Probe = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// Something outside that this process uses.
#[derive(Clone)]
pub struct Dependency {
    name: &'static str,
    /// Whether the process is of no use without it.
    needed: bool,
    probe: Arc<dyn Fn() -> Probe + Send + Sync>,
}

impl Dependency {
    pub fn new<F>(name: &'static str, needed: bool, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        Self { name, needed, probe: Arc::new(move || Box::pin(probe())) }
    }

    async fn check(&self) -> Reported {
        let outcome = tokio::time::timeout(PROBE_DEADLINE, (self.probe)()).await;
        let detail = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(fault)) => {
                // The causes name addresses and speak the words of others: they are for the log.
                warn!(dependency = self.name, error = %WithCauses(&*fault), "a dependency fails");
                Some(fault.to_string())
            }
            Err(_) => Some(format!("no answer within {PROBE_DEADLINE:?}")),
        };
        Reported {
            name: self.name.to_owned(),
            healthy: detail.is_none(),
            needed: self.needed,
            detail: detail.unwrap_or_default(),
        }
    }
}

/// Watches the dependencies of this process and, in the gateway, asks the other processes for theirs.
pub struct Monitor {
    dependencies: Vec<Dependency>,
    others: Vec<(Role, HealthClient<InvocationChannel>)>,
    own: Latest,
    all: Latest,
    stopping: CancellationToken,
    clock: Arc<dyn Clock>,
}

impl Monitor {
    pub fn new(foundation: &Foundation, dependencies: Vec<Dependency>) -> anyhow::Result<Self> {
        let mut merged = vec![sidecar_dependency(&foundation.sidecar)];
        for dependency in dependencies {
            match merged.iter_mut().find(|known| known.name == dependency.name) {
                Some(known) => known.needed |= dependency.needed,
                None => merged.push(dependency),
            }
        }
        Ok(Self {
            dependencies: merged,
            others: other_processes(foundation)?,
            own: Latest::default(),
            all: Latest::default(),
            stopping: foundation.stopping.clone(),
            clock: Arc::clone(&foundation.clock),
        })
    }

    /// The dependencies of this process.
    async fn own(&self) -> Vec<Reported> {
        self.own.or(join_all(self.dependencies.iter().map(Dependency::check))).await
    }

    /// The dependencies of all processes.
    async fn all(&self) -> Vec<Reported> {
        self.all.or(self.look_everywhere()).await
    }

    /// One that is needed anywhere and fails anywhere fails here.
    async fn look_everywhere(&self) -> Vec<Reported> {
        let others = join_all(self.others.iter().map(|(role, client)| ask(*role, client.clone())));
        let (own, others) = tokio::join!(self.own(), others);
        let mut merged: BTreeMap<String, Reported> = BTreeMap::new();
        for reported in own.into_iter().chain(others.into_iter().flatten()) {
            match merged.get_mut(&reported.name) {
                Some(known) => {
                    if known.healthy && !reported.healthy {
                        known.detail = reported.detail;
                    }
                    known.healthy &= reported.healthy;
                    known.needed |= reported.needed;
                }
                None => drop(merged.insert(reported.name.clone(), reported)),
            }
        }
        merged.into_values().collect()
    }

    /// The service by which the gateway asks this process.
    pub fn service(self: &Arc<Self>) -> AddService {
        let monitor = Arc::clone(self);
        Box::new(move |routes| {
            routes.add_service(HealthServer::new(Service(monitor)));
        })
    }
}

/// The latest report. Those who ask at the same moment share one look, however many they are.
#[derive(Default)]
struct Latest(Mutex<Option<(Instant, Vec<Reported>)>>);

impl Latest {
    async fn or(&self, look: impl Future<Output = Vec<Reported>>) -> Vec<Reported> {
        let mut latest = self.0.lock().await;
        match &*latest {
            Some((looked_at, report)) if looked_at.elapsed() < FRESH => report.clone(),
            _ => {
                let report = look.await;
                *latest = Some((Instant::now(), report.clone()));
                report
            }
        }
    }
}

fn sidecar_dependency(sidecar: &Sidecar) -> Dependency {
    let sidecar = sidecar.clone();
    Dependency::new("sidecar", true, move || {
        let sidecar = sidecar.clone();
        async move { Ok(sidecar.ping(PROBE_DEADLINE).await?) }
    })
}

/// The gateway speaks for the whole installation; every other process for itself.
fn other_processes(foundation: &Foundation) -> anyhow::Result<Vec<(Role, HealthClient<InvocationChannel>)>> {
    if !foundation.roles.contains(&Role::Gateway) {
        return Ok(Vec::new());
    }
    let app_ids = &foundation.configuration.sidecar;
    let app_id = |role| match role {
        Role::Accounts => Some(&app_ids.accounts_app_id),
        Role::Tasks => Some(&app_ids.tasks_app_id),
        Role::History => Some(&app_ids.history_app_id),
        Role::Notifications => Some(&app_ids.notifications_app_id),
        Role::Gateway => None,
    };
    let elsewhere = Role::ALL.into_iter().filter(|role| !foundation.roles.contains(role));
    elsewhere
        .filter_map(|role| app_id(role).map(|app_id| (role, app_id)))
        .map(|(role, app_id)| {
            Ok((role, HealthClient::new(Invocation::channel(&foundation.sidecar, app_id)?)))
        })
        .collect()
}

async fn ask(role: Role, mut client: HealthClient<InvocationChannel>) -> Vec<Reported> {
    let mut request = Request::new(ReportRequest {});
    request.set_timeout(PROBE_DEADLINE * 2);
    let (healthy, detail, mut dependencies) = match client.report(request).await {
        Ok(report) => (true, String::new(), report.into_inner().dependencies),
        Err(status) => {
            warn!(%role, error = %WithCauses(&status), "a role cannot be reached");
            (false, "it cannot be reached".to_owned(), Vec::new())
        }
    };
    // Without accounts and tasks there is no board; the others may be away for a while.
    let needed = matches!(role, Role::Accounts | Role::Tasks);
    for dependency in &mut dependencies {
        dependency.needed &= needed;
    }
    dependencies.push(Reported { name: role.to_string(), healthy, needed, detail });
    dependencies
}

struct Service(Arc<Monitor>);

#[async_trait::async_trait]
impl Health for Service {
    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        Ok(Response::new(ReportResponse { dependencies: self.0.own().await }))
    }
}

#[derive(Serialize)]
struct Document {
    success: bool,
    message: &'static str,
    status: &'static str,
    timestamp: String,
    services: BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The health routes.
pub fn router(monitor: Arc<Monitor>) -> Router {
    Router::new()
        .route("/health", get(report))
        .route("/api/health", get(report))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .with_state(monitor)
}

async fn live() -> &'static str {
    "alive\n"
}

async fn ready(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    if monitor.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    let missing = monitor.own().await.into_iter().find(|reported| reported.needed && !reported.healthy);
    match missing {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(missing) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{} is unavailable: {}\n", missing.name, missing.detail),
        ),
    }
}

async fn report(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    let reported = monitor.all().await;
    let unhealthy: Vec<&Reported> = reported.iter().filter(|reported| !reported.healthy).collect();
    let fatal = unhealthy.iter().any(|reported| reported.needed);
    let status = match (fatal, unhealthy.is_empty()) {
        (true, _) => "unhealthy",
        (false, false) => "degraded",
        (false, true) => "healthy",
    };
    let error = unhealthy.iter().map(|reported| format!("{}: {}", reported.name, reported.detail));
    let error = Some(error.collect::<Vec<_>>().join("; ")).filter(|error| !error.is_empty());
    let word = |healthy| if healthy { "healthy" } else { "unhealthy" };
    let document = Document {
        success: !fatal,
        message: "Todo Manager API is running",
        status,
        timestamp: format!("{:.3}", monitor.clock.now()),
        services: reported.iter().map(|reported| (reported.name.clone(), word(reported.healthy))).collect(),
        error,
    };
    let code = if fatal { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(document))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_one_look_a_second_is_taken() {
        let (latest, looks) = (Latest::default(), AtomicUsize::new(0));
        let look = || async {
            looks.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PROBE_DEADLINE).await;
            Vec::new()
        };
        join_all((0..100).map(|_| latest.or(look()))).await;
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        tokio::time::sleep(FRESH).await;
        join_all((0..100).map(|_| latest.or(look()))).await;
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }
}
