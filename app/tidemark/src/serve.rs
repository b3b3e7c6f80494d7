//! `tidemark serve`: roles, two ports, and an orderly end.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, middleware, routing::get};
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
    task::JoinError,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{info, warn};

use crate::{
    clock::SystemClock,
    configuration::ServeConfiguration,
    dapr::{AppChannel, Invocation, Sidecar, StateComponent, TopicPublisher},
    foundation::{Foundation, Offer},
    health::{self, Monitor},
    http::{problem, request},
    identity::{KeySource, KeysUnavailable, PublicKeys, Verifier},
    operations::{self, Call, Fingerprints, Registry, RoleClient, client::Here},
    roles, telemetry,
    telemetry::WithCauses,
};

/// Runs `roles` until SIGTERM or SIGINT, then ends in order.
pub async fn run(configuration: ServeConfiguration, roles: Vec<Role>) -> anyhow::Result<()> {
    configuration.check()?;
    let telemetry =
        telemetry::start(&configuration.telemetry, &service_name(&roles), &configuration.instance)?;
    let metrics = telemetry::metrics::install()?;
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

    let mut router = Router::new()
        .merge(health::router(Arc::clone(&monitor)))
        .merge(operations::http::router(&registry))
        .route("/metrics", get(move || async move { metrics.render() }));
    let mut app_channel = AppChannel {
        subscriptions: Vec::new(),
        services: vec![monitor.service()],
        operations: Box::new(move |token| operations::invoke::router(&registry, token)),
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
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(request::panicked))
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
    let app_channel = tokio::spawn(serve_app_channel(channel, app_channel, app_channel_stop.clone()));
    let http = tokio::spawn(serve_http(http, router, foundation.stopping.clone()));
    let (mut http, mut app_channel) = (http, app_channel);
    // A port that is served no more serves nobody: the process ends, and whoever supervises it starts another.
    let ended = tokio::select! {
        ended = end_of_life() => ended,
        Some(reason) = unfit.next() => Err(reason),
        ended = &mut http => Err(gone("the HTTP port", ended)),
        ended = &mut app_channel => Err(gone("the app channel", ended)),
    };
    stop(&foundation, pages, http, app_channel, app_channel_stop).await;
    telemetry.stop();
    ended
}

fn gone<E>(what: &str, ended: Result<Result<(), E>, JoinError>) -> anyhow::Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let cause = match ended {
        Ok(Ok(())) => anyhow::anyhow!("it ended by itself"),
        Ok(Err(fault)) => fault.into(),
        Err(fault) => fault.into(),
    };
    cause.context(format!("{what} is served no more"))
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

async fn serve_http(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    use axum::serve::ListenerExt;
    // Small answers must not wait for the client's acknowledgement of earlier ones.
    let listener = listener.tap_io(|connection| {
        if let Err(fault) = connection.set_nodelay(true) {
            warn!(error = %WithCauses(&fault), "connection keeps its delay");
        }
    });
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn serve_app_channel(
    listener: TcpListener,
    app_channel: AppChannel,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    tonic::transport::Server::builder()
        .add_routes(app_channel.routes())
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
}

async fn end_of_life() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => info!("stopping on SIGTERM"),
        _ = interrupt.recv() => info!("stopping on SIGINT"),
    }
    Ok(())
}

/// Stops in the order in which nothing is lost: no new requests, those under way, committed events, the
/// sidecar's last deliveries.
async fn stop(
    foundation: &Foundation,
    pages: Vec<Pages>,
    http: tokio::task::JoinHandle<std::io::Result<()>>,
    app_channel: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    app_channel_stop: CancellationToken,
) {
    let deadline = Instant::now() + foundation.configuration.drain_deadline;
    foundation.stopping.cancel();
    // What has ended has been looked at.
    if !http.is_finished() && timeout(remaining(deadline), http).await.is_err() {
        warn!("requests were still under way at the drain deadline");
    }
    for drained in join_all(pages.iter().map(|pages| pages.drain(remaining(deadline)))).await {
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
