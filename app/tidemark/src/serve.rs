//! `tidemark serve`: roles, two ports, and an orderly end.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::{middleware, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use tidemark_api::{
    Role,
    accounts::{ListSigningKeys, SigningKey},
};
use tidemark_pages::Pages;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::{JoinError, JoinHandle},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{info, warn};

use crate::{
    clock::SystemClock,
    configuration::ServeConfiguration,
    dapr::{AppChannel, Invocation, Sidecar, StateComponent, TopicPublisher},
    foundation::{Foundation, Offer},
    health::{self, Monitor},
    http::{
        body,
        connections::{self, Limits, Protocol},
        encoding, problem, request, target,
    },
    identity::{KeySource, KeysUnavailable, PublicKeys, Verifier},
    operations::{self, Call, Fingerprints, Registry, RoleClient, client::Here},
    roles, telemetry,
};

/// Of the port for everybody. A request takes at most what its body, its operation and the rest of a refused body
/// may take together; the edge closes a connection that nobody uses before we do (60 s).
const HTTP: Limits = Limits {
    connections: 2048,
    spare: 64,
    head: Duration::from_secs(10),
    request: Duration::from_mins(1),
    answer: Duration::from_mins(10),
    idle: Duration::from_secs(75),
};

/// Of the port for the sidecar, which keeps one connection or a few and asks each second whether we are well. A batch
/// of events may wait for a database.
const APP_CHANNEL: Limits = Limits {
    connections: 64,
    spare: 8,
    head: Duration::from_secs(75),
    request: Duration::from_mins(5),
    answer: Duration::from_mins(10),
    idle: Duration::from_secs(75),
};

/// Runs `roles` until SIGTERM or SIGINT, then ends in order.
pub async fn run(configuration: ServeConfiguration, roles: Vec<Role>) -> anyhow::Result<()> {
    configuration.check()?;
    let telemetry =
        telemetry::start(&configuration.telemetry, &service_name(&roles), &configuration.instance)?;
    let metrics = telemetry::metrics::install()?;
    let kept_small = metrics.clone();
    let mut keeping = tokio::spawn(async move { kept_small.keep_small().await });
    let http = TcpListener::bind(configuration.listen.http_address).await.context("bind HTTP_ADDRESS")?;
    let channel = TcpListener::bind(configuration.listen.app_channel_address)
        .await
        .context("bind APP_CHANNEL_ADDRESS")?;

    let here = Here::default();
    let foundation = lay_foundation(configuration, roles)?;
    let mut offers: Vec<Offer> = foundation
        .roles
        .iter()
        .map(|role| roles::start(*role, &foundation))
        .collect::<anyhow::Result<_>>()?;
    let offered = offers.iter_mut().flat_map(|offer| std::mem::take(&mut offer.operations));
    let fingerprints = Fingerprints::new(foundation.configuration.sidecar.app_token.as_ref());
    let registry = Registry::new(&foundation.roles, offered, verifier(&foundation, &here)?, fingerprints)?;
    let registry = Arc::new(registry);
    // Set once, here.
    let _ = here.set(Arc::downgrade(&registry));
    let dependencies = offers.iter().flat_map(|offer| offer.dependencies.clone()).collect();
    let monitor = Arc::new(Monitor::new(&foundation, dependencies)?);

    let bodies = foundation.configuration.drain_deadline.mul_f64(BODIES);
    let reader = body::Reader::new(foundation.stopping.clone(), bodies);
    let mut router = operations::http::router(&registry, &reader);
    let mut app_channel = AppChannel {
        subscriptions: Vec::new(),
        services: vec![monitor.service()],
        operations: operations::invoke::router(&registry),
        token: foundation.configuration.sidecar.app_token.clone(),
        tasks: foundation.tasks.clone(),
        draining: foundation.stopping.clone(),
    };
    let (mut pages, mut unfit) = (Vec::new(), FuturesUnordered::new());
    for offer in offers {
        unfit.extend(offer.unfit);
        router = router.merge(offer.router);
        app_channel.subscriptions.extend(offer.subscriptions);
        pages.extend(offer.pages);
    }
    let traced_share = foundation.configuration.telemetry.traced_share();
    let router = router
        .layer(middleware::from_fn(connections::turn_away))
        // Whoever watches is answered in any crowd: nobody shall start a process anew because it has much to do.
        .merge(health::router(Arc::clone(&monitor)))
        .route("/metrics", get(move || async move { metrics.render() }))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(request::panicked))
        .layer(encoding::of_answers())
        .layer(middleware::from_fn(target::check_host))
        .layer(middleware::from_fn_with_state(traced_share, request::around));

    let names: Vec<&str> = foundation.roles.iter().map(|role| role.as_str()).collect();
    info!(
        roles = names.join(","),
        http = %http.local_addr()?,
        app_channel = %channel.local_addr()?,
        instance = foundation.configuration.instance,
        "started"
    );
    let app_channel_stop = CancellationToken::new();
    let channel_stop = app_channel_stop.clone();
    let app_channel = app_channel.routes().into_axum_router();
    let app_channel = connections::serve(channel, Protocol::Http2, APP_CHANNEL, app_channel, channel_stop);
    // Around the router, which goes by the path and tells lengths.
    let service = ServiceBuilder::new()
        .map_request(target::in_one_spelling)
        .map_response(operations::http::without_false_length)
        .service(router);
    let http = connections::serve(http, Protocol::Http1, HTTP, service, foundation.stopping.clone());
    let (mut app_channel, mut http) = (tokio::spawn(app_channel), tokio::spawn(http));
    // A port that is served no more serves nobody: the process ends, and whoever supervises it starts another.
    let ended = tokio::select! {
        ended = end_of_life() => ended,
        Some(reason) = unfit.next() => Err(reason),
        ended = &mut http => Err(gone("the HTTP port", ended)),
        ended = &mut app_channel => Err(gone("the app channel", ended)),
        ended = &mut keeping => Err(gone("the keeping of metrics", ended)),
    };
    stop(&foundation, pages, http, app_channel, app_channel_stop).await;
    telemetry.stop();
    ended
}

fn gone(what: &str, ended: Result<(), JoinError>) -> anyhow::Error {
    let cause = match ended {
        Ok(()) => anyhow::anyhow!("it ended by itself"),
        Err(fault) => fault.into(),
    };
    cause.context(format!("{what} has ended"))
}

/// What traces call this process: `tidemark`, or `tidemark-tasks` when it is the tasks role alone, like its app-id.
fn service_name(roles: &[Role]) -> String {
    match roles {
        [role] => format!("tidemark-{role}"),
        _ => "tidemark".to_owned(),
    }
}

/// What roles are given, for a process with these.
pub fn lay_foundation(configuration: ServeConfiguration, roles: Vec<Role>) -> anyhow::Result<Foundation> {
    let clock = Arc::new(SystemClock);
    let sidecar = Sidecar::new(&configuration.sidecar)?;
    let state = StateComponent::new(
        sidecar.clone(),
        configuration.state.state_store.clone(),
        configuration.state.state_deadline,
    );
    let ledger = TopicPublisher::new(
        sidecar.clone(),
        configuration.events.pubsub.clone(),
        tidemark_protocol::ledger::TOPIC,
    );
    Ok(Foundation {
        roles,
        state,
        ledger,
        sidecar,
        clock,
        configuration: Arc::new(configuration),
        tasks: TaskTracker::new(),
        stopping: CancellationToken::new(),
    })
}

fn verifier(foundation: &Foundation, here: &Here) -> anyhow::Result<Arc<Verifier>> {
    let accounts =
        Invocation::channel(&foundation.sidecar, &foundation.configuration.sidecar.accounts_app_id)?;
    let accounts = RoleClient::new(Role::Accounts, Here::clone(here), accounts);
    let keys = PublicKeys::new(Arc::new(AccountsKeys(accounts)));
    Ok(Arc::new(Verifier::new(keys, Arc::clone(&foundation.clock))))
}

/// The signing keys, asked of the accounts role.
struct AccountsKeys(RoleClient);

#[async_trait::async_trait]
impl KeySource for AccountsKeys {
    async fn keys(&self) -> Result<Vec<(String, Vec<u8>)>, KeysUnavailable> {
        let answer = self.0.call(&Call::nobodys(), &ListSigningKeys {}).await;
        let keys = answer.map_err(|fault| KeysUnavailable(fault.into()))?.output.keys;
        let read = |key: SigningKey| Ok((key.kid, URL_SAFE_NO_PAD.decode(key.x)?));
        let keys = keys.into_iter().map(read).collect::<Result<_, base64::DecodeError>>();
        keys.map_err(|fault| KeysUnavailable(fault.into()))
    }
}

async fn end_of_life() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => info!("stopping on SIGTERM"),
        _ = interrupt.recv() => info!("stopping on SIGINT"),
    }
    Ok(())
}

/// Until which part of the drain deadline bodies may arrive, until which requests are waited for, and until which
/// pages are: whoever takes all of his share leaves the others theirs.
const BODIES: f64 = 0.25;
const REQUESTS: f64 = 0.5;
const PAGES: f64 = 0.8;

/// Stops in the order in which nothing is lost: no new requests, those under way, committed events, the
/// sidecar's last deliveries.
async fn stop(
    foundation: &Foundation,
    pages: Vec<Pages>,
    http: JoinHandle<()>,
    app_channel: JoinHandle<()>,
    app_channel_stop: CancellationToken,
) {
    let whole = foundation.configuration.drain_deadline;
    let begun = Instant::now();
    let (requests, events) = (begun + whole.mul_f64(REQUESTS), begun + whole.mul_f64(PAGES));
    let deadline = begun + whole;
    foundation.stopping.cancel();
    // What has ended has been looked at.
    if !http.is_finished() && timeout(remaining(requests), http).await.is_err() {
        warn!("requests were still under way when their part of the drain deadline was over");
    }
    for drained in join_all(pages.iter().map(|pages| pages.drain(remaining(events)))).await {
        if drained.is_complete() {
            info!("pages drained");
        } else {
            warn!(?drained, "pages not drained; the next sweep will finish them");
        }
    }
    app_channel_stop.cancel();
    foundation.tasks.close();
    if timeout(remaining(deadline), foundation.tasks.wait()).await.is_err() {
        warn!("work was still under way at the drain deadline");
    }
    if !app_channel.is_finished() && timeout(remaining(deadline), app_channel).await.is_err() {
        warn!("the sidecar's calls were still under way at the drain deadline");
    }
    info!("stopped");
}

fn remaining(deadline: Instant) -> Duration {
    // Even after the deadline there is a moment, so that what is already done counts as done.
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use std::future::pending;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeConfiguration,
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_take_all_their_time_leave_the_rest_theirs() {
        let program = Program::try_parse_from(["tidemark", "--drain-deadline=20"]).unwrap();
        let foundation = lay_foundation(program.serve, vec![Role::Notifications]).unwrap();
        let (began, stopping) = (Instant::now(), foundation.stopping.clone());
        let work = foundation.tasks.spawn(async move {
            stopping.cancelled().await;
            tokio::time::sleep(Duration::from_secs(15)).await;
        });
        let channel_stop = CancellationToken::new();
        stop(&foundation, Vec::new(), tokio::spawn(pending()), tokio::spawn(pending()), channel_stop).await;
        assert!(work.is_finished());
        assert_eq!(began.elapsed().as_secs(), 20);
    }

    #[tokio::test]
    async fn a_task_that_died_is_a_reason_to_end() {
        let died = tokio::spawn(async { panic!("by test") }).await;
        assert!(format!("{:#}", gone("the port", died)).contains("panicked"));
        assert!(format!("{:#}", gone("the port", Ok(()))).starts_with("the port has ended"));
    }
}
