//! The stack as other crates' tests use it: real Redis, Kafka, `PostgreSQL` and sidecars, and what the
//! project's own components and policies make of their faults.
//!
//! One test drives one stack through everything: a stack takes seconds to start and is cheap to reuse.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use dapr::dapr::proto::common::v1::{Etag, StateItem, StateOptions};
use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use dapr::dapr::proto::runtime::v1::{
    GetMetadataRequest, GetSecretRequest, GetStateRequest, InvokeBindingRequest, PublishEventRequest,
    SaveStateRequest, TryLockRequest,
};
use tidemark_stack::{Phase, Progress, ProjectResources, Sidecar, SidecarOptions, Stack, StackOptions};
use tokio::net::TcpListener;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const LEDGER: &str = "todo-history-events";
const SOON: Duration = Duration::from_secs(30);

type Authenticated = InterceptedService<Channel, Token>;

/// Shows the sidecar's token with every call.
#[derive(Clone)]
struct Token(AsciiMetadataValue);

impl tonic::service::Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("dapr-api-token", self.0.clone());
        Ok(request)
    }
}

fn channel(sidecar: &Sidecar) -> (Channel, Token) {
    let endpoint = Endpoint::from_shared(sidecar.grpc_endpoint()).unwrap();
    (endpoint.connect_lazy(), Token(sidecar.api_token().parse().unwrap()))
}

fn dapr(sidecar: &Sidecar) -> DaprClient<Authenticated> {
    let (channel, token) = channel(sidecar);
    DaprClient::with_interceptor(channel, token)
}

async fn save(dapr: &mut DaprClient<Authenticated>, key: &str, etag: Option<&str>) -> Result<(), Status> {
    let item = StateItem {
        key: key.to_owned(),
        value: b"value".to_vec(),
        etag: etag.map(|value| Etag { value: value.to_owned() }),
        // First write wins.
        options: Some(StateOptions { concurrency: 1, consistency: 0 }),
        ..StateItem::default()
    };
    let request = SaveStateRequest { store_name: "statestore".to_owned(), states: vec![item] };
    dapr.save_state(request).await.map(drop)
}

async fn read(dapr: &mut DaprClient<Authenticated>, key: &str) -> Result<Vec<u8>, Status> {
    let request = GetStateRequest {
        store_name: "statestore".to_owned(),
        key: key.to_owned(),
        ..GetStateRequest::default()
    };
    Ok(dapr.get_state(request).await?.into_inner().data)
}

async fn publish_to(dapr: &mut DaprClient<Authenticated>, topic: &str) -> Result<(), Status> {
    let request = PublishEventRequest {
        pubsub_name: "pubsub".to_owned(),
        topic: topic.to_owned(),
        data: b"event".to_vec(),
        metadata: [("rawPayload".to_owned(), "true".to_owned())].into(),
        ..PublishEventRequest::default()
    };
    dapr.publish_event(request).await.map(drop)
}

async fn query(dapr: &mut DaprClient<Authenticated>) -> Result<Vec<u8>, Status> {
    let request = InvokeBindingRequest {
        name: "historydb".to_owned(),
        operation: "query".to_owned(),
        metadata: [("sql".to_owned(), "select current_user::text".to_owned())].into(),
        ..InvokeBindingRequest::default()
    };
    Ok(dapr.invoke_binding(request).await?.into_inner().data)
}

/// Repeats `call` until it succeeds.
async fn recovers(what: &str, mut call: impl AsyncFnMut() -> Result<(), Status>) -> Duration {
    let started = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        match call().await {
            Ok(()) => return started.elapsed(),
            Err(status) => assert!(started.elapsed() < SOON, "{what} did not recover: {status}"),
        }
        pause.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_works_and_its_faults_pass() {
    let stack =
        Stack::start(StackOptions::for_test("infrastructure"), Progress::to_standard_error()).await.unwrap();
    let sidecar = stack.start_sidecar(SidecarOptions::new("tidemark")).await.unwrap();
    let mut dapr = dapr(&sidecar);

    every_component_works(&mut dapr).await;
    the_application_reads_one_secret_and_calls_what_it_needs(&mut dapr).await;
    refused_writes_do_not_close_the_store(&mut dapr).await;
    a_missing_topic_does_not_close_the_others(&mut dapr).await;
    circuit_breakers_would_count_the_callers_own_errors(&stack).await;
    acknowledged_state_survives_a_kill_of_redis(&stack, &mut dapr).await;
    a_frozen_redis_is_an_error_in_time(&stack, &mut dapr).await;
    publishing_fails_in_time_while_kafka_is_down_and_recovers(&stack, &mut dapr).await;
    publishing_to_a_frozen_kafka_is_an_error_in_time(&stack, &mut dapr).await;
    queries_recover_after_a_kill_of_postgres(&stack, &mut dapr).await;
    sidecars_find_each_other_by_app_id(&stack).await;
    assert_eq!(sidecar.part().status().phase, Phase::Healthy, "no fault has ended the sidecar");

    stack.stop().await;
}

async fn every_component_works(dapr: &mut DaprClient<Authenticated>) {
    save(dapr, "greeting", None).await.unwrap();
    assert_eq!(read(dapr, "greeting").await.unwrap(), b"value");
    publish_to(dapr, LEDGER).await.unwrap();
    assert_eq!(query(dapr).await.unwrap(), br#"[["tidemark"]]"#);
}

async fn the_application_reads_one_secret_and_calls_what_it_needs(dapr: &mut DaprClient<Authenticated>) {
    let secret = |key: &str| GetSecretRequest {
        store_name: "secretstore".to_owned(),
        key: key.to_owned(),
        ..GetSecretRequest::default()
    };
    let key = dapr.get_secret(secret("jwt-signing-key")).await.unwrap().into_inner();
    assert!(key.data.values().all(|pem| pem.contains("PRIVATE KEY")));
    let refused = dapr.get_secret(secret("redis-password")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    dapr.get_metadata(GetMetadataRequest {}).await.unwrap();
    let refused = dapr.try_lock_alpha1(TryLockRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "a call outside the list does not exist: {refused}");
}

async fn refused_writes_do_not_close_the_store(dapr: &mut DaprClient<Authenticated>) {
    save(dapr, "contended", None).await.unwrap();
    for _ in 0..30 {
        let refused = save(dapr, "contended", Some("99999")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
    }
    save(dapr, "another", None).await.expect("the store is open for others");
}

/// Why `dapr/resiliency.yaml` has no circuit breakers. When this fails, Dapr has become wiser.
async fn circuit_breakers_would_count_the_callers_own_errors(stack: &Stack) {
    let policy = "
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: with-breakers}
spec:
  policies:
    circuitBreakers:
      breaker: {maxRequests: 1, timeout: 60s, trip: consecutiveFailures >= 5}
  targets:
    components:
      statestore: {outbound: {circuitBreaker: breaker}}
      pubsub: {outbound: {circuitBreaker: breaker}}
";
    let options = SidecarOptions {
        name: Some("with-breakers".to_owned()),
        project_resources: ProjectResources::ComponentsOnly,
        inline_resources: [("resiliency.yaml".to_owned(), policy.to_owned())].into(),
        ..SidecarOptions::new("tidemark")
    };
    let sidecar = stack.start_sidecar(options).await.unwrap();
    let mut dapr = dapr(&sidecar);
    for _ in 0..5 {
        save(&mut dapr, "contended", Some("99999")).await.unwrap_err();
        publish_to(&mut dapr, "no-such-topic").await.unwrap_err();
    }
    let closed = save(&mut dapr, "another", None).await.unwrap_err();
    assert!(closed.message().contains("circuit breaker is open"), "{closed}");
    let closed = publish_to(&mut dapr, LEDGER).await.unwrap_err();
    assert!(closed.message().contains("circuit breaker is open"), "{closed}");
    sidecar.part().stop().await.unwrap();
}

async fn a_missing_topic_does_not_close_the_others(dapr: &mut DaprClient<Authenticated>) {
    for _ in 0..5 {
        publish_to(dapr, "no-such-topic").await.unwrap_err();
    }
    publish_to(dapr, LEDGER).await.expect("the ledger is open");
}

async fn acknowledged_state_survives_a_kill_of_redis(stack: &Stack, dapr: &mut DaprClient<Authenticated>) {
    let redis = stack.part("redis").unwrap();
    let before = redis.pid().unwrap();
    redis.set_auto_restart(false).await.unwrap();
    redis.kill().await.unwrap();
    assert_eq!(redis.status().phase, Phase::Stopped);

    let started = Instant::now();
    read(dapr, "greeting").await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1), "failing took {:?}", started.elapsed());

    redis.set_auto_restart(true).await.unwrap();
    redis.start().await.unwrap();
    redis.wait_healthy(SOON).await.unwrap();
    assert_ne!(redis.pid().unwrap(), before);
    let took = recovers("reading", async || read(dapr, "greeting").await.map(drop)).await;
    assert_eq!(read(dapr, "greeting").await.unwrap(), b"value", "what was acknowledged is there");
    eprintln!("state is back {took:?} after Redis");
}

async fn a_frozen_redis_is_an_error_in_time(stack: &Stack, dapr: &mut DaprClient<Authenticated>) {
    let redis = stack.part("redis").unwrap();
    redis.pause().await.unwrap();
    let started = Instant::now();
    read(dapr, "greeting").await.unwrap_err();
    let took = started.elapsed();
    assert!(took <= Duration::from_secs(5), "failing took {took:?}");
    redis.resume().await.unwrap();
    redis.wait_healthy(SOON).await.unwrap();
    recovers("reading", async || read(dapr, "greeting").await.map(drop)).await;
    eprintln!("a frozen Redis is an error after {took:?}");
}

async fn publishing_fails_in_time_while_kafka_is_down_and_recovers(
    stack: &Stack,
    dapr: &mut DaprClient<Authenticated>,
) {
    let kafka = stack.part("kafka").unwrap();
    kafka.set_auto_restart(false).await.unwrap();
    kafka.kill().await.unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let started = Instant::now();
        publish_to(dapr, LEDGER).await.unwrap_err();
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "failing took {slowest:?}");

    let started = Instant::now();
    kafka.set_auto_restart(true).await.unwrap();
    kafka.start().await.unwrap();
    kafka.wait_healthy(SOON).await.unwrap();
    let broker = started.elapsed();
    let took = recovers("publishing", async || publish_to(dapr, LEDGER).await).await;
    eprintln!(
        "Kafka down: slowest failure {slowest:?}, broker back in {broker:?}, publishing {took:?} later"
    );
}

async fn publishing_to_a_frozen_kafka_is_an_error_in_time(
    stack: &Stack,
    dapr: &mut DaprClient<Authenticated>,
) {
    let kafka = stack.part("kafka").unwrap();
    kafka.pause().await.unwrap();
    let started = Instant::now();
    publish_to(dapr, LEDGER).await.unwrap_err();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(6), "failing took {took:?}");
    kafka.resume().await.unwrap();
    kafka.wait_healthy(SOON).await.unwrap();
    let recovery = recovers("publishing", async || publish_to(dapr, LEDGER).await).await;
    eprintln!("Kafka frozen: an error after {took:?}, publishing {recovery:?} after it goes on");
}

async fn queries_recover_after_a_kill_of_postgres(stack: &Stack, dapr: &mut DaprClient<Authenticated>) {
    let postgres = stack.part("postgres").unwrap();
    postgres.kill().await.unwrap();
    postgres.wait_healthy(SOON).await.unwrap();
    let took = recovers("querying", async || query(dapr).await.map(drop)).await;
    eprintln!("queries are back {took:?} after PostgreSQL");
}

async fn sidecars_find_each_other_by_app_id(stack: &Stack) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let app_port = Some(listener.local_addr().unwrap().port());
    let (_, service) = tonic_health::server::health_reporter();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));

    let tasks = SidecarOptions { app_port, app_health_check: false, ..SidecarOptions::new("tidemark-tasks") };
    let _tasks = stack.start_sidecar(tasks).await.unwrap();
    let gateway = stack.start_sidecar(SidecarOptions::new("tidemark-gateway")).await.unwrap();
    let (channel, token) = channel(&gateway);
    let mut health = HealthClient::with_interceptor(channel, token);
    let started = Instant::now();
    recovers("invocation", async || {
        let mut request = Request::new(HealthCheckRequest::default());
        request.metadata_mut().insert("dapr-app-id", "tidemark-tasks".parse().unwrap());
        health.check(request).await.map(drop)
    })
    .await;
    eprintln!("invocation through two sidecars works after {:?}", started.elapsed());
}
