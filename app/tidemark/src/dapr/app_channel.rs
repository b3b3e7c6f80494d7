//! The port that only the sidecar calls: bulk events, health, and the roles' internal services.
//!
//! The generated trait is implemented here because the crate's own callback service panics on bulk events.
//! What a handler answers decides the fate of events: an error for a batch makes the sidecar repeat the
//! whole batch under the inbound policy, which retries for ever. `RETRY` and `DROP` are never answered, and
//! the sidecar's own dead-letter topic is never used: all three lose events or crash the sidecar.

use crate::telemetry::{
    WithCauses,
    event_spans::{EventSpans, Way},
    trace_context::TraceContext,
};
use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    body::Body,
    extract::{self, State},
    middleware::{self, Next},
    response::Response as HttpResponse,
};
use bytes::Bytes;
use dapr::dapr::proto::{
    common::v1::{InvokeRequest, InvokeResponse},
    runtime::v1::{
        BindingEventRequest, BindingEventResponse, BulkSubscribeConfig, HealthCheckResponse, JobEventRequest,
        JobEventResponse, ListInputBindingsResponse, ListTopicSubscriptionsResponse, TopicEventBulkRequest,
        TopicEventBulkResponse, TopicEventBulkResponseEntry, TopicEventRequest, TopicEventResponse,
        TopicSubscription,
        app_callback_health_check_server::{AppCallbackHealthCheck, AppCallbackHealthCheckServer},
        app_callback_server::{AppCallback, AppCallbackServer},
        topic_event_bulk_request_entry::Event,
        topic_event_response::TopicEventResponseStatus,
    },
};
use http::HeaderValue;
use http_body_util::Limited;
use metrics::{counter, histogram};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Request, Response, Status,
    service::{Routes, RoutesBuilder},
};
use tracing::{error, warn};

use super::sidecar::ApiToken;

/// The largest batch that the sidecar may hand over: the count limit times the largest event, with room.
const LARGEST_BATCH_BYTES: usize = 64 << 20;

/// One event as it arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The exact bytes that were published.
    pub payload: Bytes,
    /// Where the broker keeps it: names a dead letter's origin.
    pub partition: String,
    pub offset: String,
}

/// A fault that will pass: the same batch is delivered again.
#[derive(Debug, thiserror::Error)]
#[error("the batch cannot be handled now")]
pub struct ConsumeError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A role's handler of one topic.
#[async_trait]
pub trait EventConsumer: Send + Sync {
    /// Takes a batch of one partition, in order. Returning `Ok` means that every event has had its effect
    /// or lies in a dead-letter topic. Batches repeat: the effect must not.
    async fn consume(&self, batch: Vec<Delivery>) -> Result<(), ConsumeError>;
}

/// Adds an internal gRPC service.
pub type AddService = Box<dyn FnOnce(&mut RoutesBuilder) + Send>;

/// A topic that a role listens to.
#[derive(Clone)]
pub struct Subscription {
    /// The pub/sub components, copies with one consumer group: each hands over one batch at a time.
    pub components: Vec<String>,
    pub topic: &'static str,
    pub largest_batch: u16,
    pub longest_wait_milliseconds: u16,
    pub consumer: Arc<dyn EventConsumer>,
}

/// Everything the sidecar may call in this process.
pub struct AppChannel {
    pub subscriptions: Vec<Subscription>,
    /// Internal services.
    pub services: Vec<AddService>,
    /// The operations that other roles may call.
    pub operations: axum::Router,
    pub token: Option<SecretString>,
    pub tasks: TaskTracker,
    /// Cancelled when the process drains: health then says so, and the sidecar stops delivering.
    pub draining: CancellationToken,
}

impl AppChannel {
    /// Builds the gRPC services of this port, all behind the check that the sidecar is calling.
    pub fn routes(self) -> Routes {
        let callback =
            Callback { subscriptions: self.subscriptions, tasks: self.tasks, draining: self.draining };
        let callback = Arc::new(callback);
        let mut builder = Routes::builder();
        builder
            .add_service(
                AppCallbackServer::from_arc(Arc::clone(&callback))
                    .max_decoding_message_size(LARGEST_BATCH_BYTES),
            )
            .add_service(AppCallbackHealthCheckServer::from_arc(callback));
        for add in self.services {
            add(&mut builder);
        }
        let router = builder.routes().into_axum_router().merge(self.operations);
        let token = AppToken(self.token.map(Arc::new));
        Routes::from(router.layer(middleware::from_fn_with_state(token, before_reading)))
    }
}

/// What the sidecar calls without a token. None of it takes anything.
const PROBES: [&str; 3] = [
    "/dapr.proto.runtime.v1.AppCallback/ListTopicSubscriptions",
    "/dapr.proto.runtime.v1.AppCallback/ListInputBindings",
    "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck",
];
/// The largest message to one of them [bytes].
const LARGEST_PROBE: usize = 1024;

/// Refuses whoever is not the sidecar before anything of a message is read: it may be large.
async fn before_reading(
    State(token): State<AppToken>,
    request: extract::Request,
    next: Next,
) -> HttpResponse {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request.map(|body| Body::new(Limited::new(body, LARGEST_PROBE)))).await;
    }
    match token.verify(request.headers().get(ApiToken::HEADER).map(HeaderValue::as_bytes)) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_http(),
    }
}

/// The token that the sidecar shows on calls which carry data. Its own probes carry none.
#[derive(Clone)]
struct AppToken(Option<Arc<SecretString>>);

impl AppToken {
    fn verify(&self, offered: Option<&[u8]>) -> Result<(), Status> {
        let Some(expected) = &self.0 else { return Ok(()) };
        let (offered, expected) = (offered.unwrap_or_default(), expected.expose_secret().as_bytes());
        if aws_lc_rs::constant_time::verify_slices_are_equal(offered, expected).is_ok() {
            Ok(())
        } else {
            Err(Status::unauthenticated("only the sidecar may call this port"))
        }
    }
}

struct Callback {
    subscriptions: Vec<Subscription>,
    tasks: TaskTracker,
    draining: CancellationToken,
}

impl Callback {
    fn consumer(&self, component: &str, topic: &str) -> Option<Arc<dyn EventConsumer>> {
        let listens = |subscription: &&Subscription| {
            subscription.topic == topic && subscription.components.iter().any(|name| name == component)
        };
        let subscription = self.subscriptions.iter().find(listens)?;
        Some(Arc::clone(&subscription.consumer))
    }
}

#[async_trait]
impl AppCallback for Callback {
    async fn list_topic_subscriptions(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListTopicSubscriptionsResponse>, Status> {
        let subscriptions = self.subscriptions.iter().flat_map(|subscription| {
            subscription.components.iter().map(|component| TopicSubscription {
                pubsub_name: component.clone(),
                topic: subscription.topic.to_owned(),
                // Bytes as they were published: the JSON path would round large numbers.
                metadata: [("rawPayload".to_owned(), "true".to_owned())].into(),
                bulk_subscribe: Some(BulkSubscribeConfig {
                    enabled: true,
                    max_messages_count: subscription.largest_batch.into(),
                    max_await_duration_ms: subscription.longest_wait_milliseconds.into(),
                }),
                ..TopicSubscription::default()
            })
        });
        Ok(Response::new(ListTopicSubscriptionsResponse { subscriptions: subscriptions.collect() }))
    }

    async fn on_bulk_topic_event(
        &self,
        request: Request<TopicEventBulkRequest>,
    ) -> Result<Response<TopicEventBulkResponse>, Status> {
        let TopicEventBulkRequest { topic, pubsub_name, entries, .. } = request.into_inner();
        let Some(consumer) = self.consumer(&pubsub_name, &topic) else {
            let refusal = format!("no role here listens to {topic} of {pubsub_name}");
            return Err(Status::failed_precondition(refusal));
        };
        let mut entry_ids = Vec::with_capacity(entries.len());
        let mut batch = Vec::with_capacity(entries.len());
        let mut spans = EventSpans::new(Way::In, &topic);
        for mut entry in entries {
            entry_ids.push(entry.entry_id);
            if let Some(trace) = entry.metadata.get(TraceContext::HEADER).and_then(|text| text.parse().ok()) {
                spans.begin(trace);
            }
            let payload = match entry.event {
                Some(Event::Bytes(bytes)) => bytes,
                Some(Event::CloudEvent(event)) => event.data,
                None => Vec::new(),
            };
            batch.push(Delivery {
                payload: payload.into(),
                partition: entry.metadata.remove("__partition").unwrap_or_default(),
                offset: entry.metadata.remove("__offset").unwrap_or_default(),
            });
        }
        let (count, started) = (entry_ids.len(), Instant::now());
        // A sidecar that stops cancels this call. The batch must still be finished, so it runs by itself.
        let outcome = self.tasks.spawn(async move { spans.around(consumer.consume(batch)).await }).await;
        histogram!("consumer_batch_duration_seconds", "topic" => topic.clone()).record(started.elapsed());
        match outcome {
            Ok(Ok(())) => {
                counter!("consumer_events_total", "topic" => topic).increment(count as u64);
                let success = |entry_id| TopicEventBulkResponseEntry {
                    entry_id,
                    status: TopicEventResponseStatus::Success.into(),
                };
                let statuses = entry_ids.into_iter().map(success).collect();
                Ok(Response::new(TopicEventBulkResponse { statuses }))
            }
            Ok(Err(fault)) => {
                counter!("consumer_batch_failures_total", "topic" => topic.clone()).increment(1);
                warn!(
                    topic,
                    count,
                    error = %WithCauses(&fault),
                    "batch will be delivered again"
                );
                Err(Status::unavailable("the batch cannot be handled now"))
            }
            Err(panic) => {
                counter!("consumer_batch_failures_total", "topic" => topic.clone()).increment(1);
                error!(topic, count, error = %WithCauses(&panic), "consumer panicked");
                Err(Status::internal("the consumer failed"))
            }
        }
    }

    async fn on_topic_event(
        &self,
        _: Request<TopicEventRequest>,
    ) -> Result<Response<TopicEventResponse>, Status> {
        // `Unimplemented` would make the sidecar drop the event without a word.
        Err(Status::failed_precondition("events are taken in bulk only"))
    }

    async fn on_invoke(&self, _: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        Err(Status::unimplemented("roles are called by gRPC proxying"))
    }

    async fn list_input_bindings(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListInputBindingsResponse>, Status> {
        Ok(Response::new(ListInputBindingsResponse::default()))
    }

    async fn on_binding_event(
        &self,
        _: Request<BindingEventRequest>,
    ) -> Result<Response<BindingEventResponse>, Status> {
        Err(Status::failed_precondition("no input binding is declared"))
    }

    async fn on_job_event(&self, _: Request<JobEventRequest>) -> Result<Response<JobEventResponse>, Status> {
        Err(Status::failed_precondition("no job is scheduled"))
    }
}

#[async_trait]
impl AppCallbackHealthCheck for Callback {
    async fn health_check(&self, _: Request<()>) -> Result<Response<HealthCheckResponse>, Status> {
        if self.draining.is_cancelled() {
            Err(Status::unavailable("draining"))
        } else {
            Ok(Response::new(HealthCheckResponse {}))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use std::sync::Mutex;

    use dapr::dapr::proto::runtime::v1::{TopicEventBulkRequestEntry, TopicEventCeRequest};
    use tower::ServiceExt;

    use super::*;
    use crate::strange::any_or_damaged;

    /// Keeps the trace in which it was called.
    #[derive(Default)]
    struct Traced(Mutex<Option<TraceContext>>);

    #[async_trait]
    impl EventConsumer for Traced {
        async fn consume(&self, _: Vec<Delivery>) -> Result<(), ConsumeError> {
            *self.0.lock().unwrap() = TraceContext::current();
            Ok(())
        }
    }

    fn callback(subscriptions: Vec<Subscription>) -> Callback {
        Callback { subscriptions, tasks: TaskTracker::new(), draining: CancellationToken::new() }
    }

    fn listening(component: &str, consumer: &Arc<Traced>) -> Subscription {
        Subscription {
            components: vec![component.to_owned()],
            topic: "marks",
            largest_batch: 10,
            longest_wait_milliseconds: 1,
            consumer: Arc::clone(consumer) as Arc<dyn EventConsumer>,
        }
    }

    async fn status(path: &str, token: Option<&str>, body: Body) -> String {
        let app_channel = AppChannel {
            subscriptions: Vec::new(),
            services: Vec::new(),
            operations: axum::Router::new().route("/an/Operation", axum::routing::post(async || "")),
            token: Some("open sesame".into()),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
        };
        let mut request = http::Request::post(path).header("content-type", "application/grpc");
        if let Some(token) = token {
            request = request.header(ApiToken::HEADER, token);
        }
        let router = app_channel.routes().into_axum_router();
        let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
        status.unwrap_or_else(|| "read".to_owned())
    }

    #[tokio::test]
    async fn who_shows_no_token_is_refused_before_its_message_is_read() {
        let endless = || Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let unauthenticated = (tonic::Code::Unauthenticated as i32).to_string();
        for path in ["/dapr.proto.runtime.v1.AppCallback/OnBulkTopicEvent", "/an/Operation", "/no/Such"] {
            for token in [None, Some("shut sesame")] {
                assert_eq!(status(path, token, endless()).await, unauthenticated, "{path}");
            }
        }
        assert_eq!(status("/an/Operation", Some("open sesame"), Body::empty()).await, "read");
    }

    #[tokio::test]
    async fn a_probe_takes_no_large_message() {
        let frame =
            |length: u32| Body::from([&[0][..], &length.to_be_bytes(), &vec![0; length as usize]].concat());
        for probe in PROBES {
            assert_eq!(status(probe, None, frame(0)).await, "read", "{probe}");
            assert_ne!(status(probe, None, frame(1 << 20)).await, "read", "{probe}");
        }
    }

    #[tokio::test]
    async fn two_roles_that_listen_to_one_topic_each_get_what_their_own_component_brings() {
        let (one, other) = (Arc::new(Traced::default()), Arc::new(Traced::default()));
        let callback = callback(vec![listening("pubsub-one", &one), listening("pubsub-other", &other)]);
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = TopicEventBulkRequest {
            topic: "marks".to_owned(),
            pubsub_name: "pubsub-other".to_owned(),
            entries: vec![TopicEventBulkRequestEntry {
                metadata: [("traceparent".to_owned(), trace.to_owned())].into(),
                ..TopicEventBulkRequestEntry::default()
            }],
            ..TopicEventBulkRequest::default()
        };
        callback.on_bulk_topic_event(Request::new(request)).await.unwrap();
        assert!(one.0.lock().unwrap().is_none() && other.0.lock().unwrap().is_some());
    }

    #[tokio::test]
    async fn a_batch_is_handled_in_the_trace_of_its_first_recorded_event() {
        let consumer = Arc::new(Traced::default());
        let callback = callback(vec![listening("pubsub", &consumer)]);
        let traces = ["0-00", "1-01", "2-01"].map(|end| {
            let (digit, flags) = end.split_once('-').unwrap();
            format!("00-0af7651916cd43dd8448eb211c80319{digit}-b7ad6b7169203331-{flags}")
        });
        let entries = traces.iter().enumerate().map(|(number, trace)| TopicEventBulkRequestEntry {
            entry_id: number.to_string(),
            metadata: [("traceparent".to_owned(), trace.clone())].into(),
            ..TopicEventBulkRequestEntry::default()
        });
        let request = TopicEventBulkRequest {
            topic: "marks".to_owned(),
            pubsub_name: "pubsub".to_owned(),
            entries: entries.collect(),
            ..TopicEventBulkRequest::default()
        };
        let answer = callback.on_bulk_topic_event(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(answer.statuses.len(), 3);
        let seen = consumer.0.lock().unwrap().unwrap();
        assert_eq!(seen.traceparent(), traces[1]);
    }

    /// Keeps how many events each batch had.
    #[derive(Default)]
    struct Counted(Mutex<usize>);

    #[async_trait]
    impl EventConsumer for Counted {
        async fn consume(&self, batch: Vec<Delivery>) -> Result<(), ConsumeError> {
            *self.0.lock().unwrap() += batch.len();
            Ok(())
        }
    }

    fn good() -> Vec<Vec<u8>> {
        let entry = |event| TopicEventBulkRequestEntry {
            entry_id: "1".to_owned(),
            event: Some(event),
            metadata: [
                ("__offset", "7"),
                ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            ..TopicEventBulkRequestEntry::default()
        };
        let entries = vec![
            entry(Event::Bytes(vec![0, 1, 2])),
            entry(Event::CloudEvent(TopicEventCeRequest::default())),
        ];
        let request = TopicEventBulkRequest {
            topic: "marks".to_owned(),
            pubsub_name: "pubsub".to_owned(),
            entries,
            ..TopicEventBulkRequest::default()
        };
        vec![request.encode_to_vec()]
    }

    proptest! {
        #[test]
        fn any_batch_of_events_is_read_or_refused(bytes in any_or_damaged(good())) {
            let Ok(request) = TopicEventBulkRequest::decode(&bytes[..]) else { return Ok(()) };
            let ids: Vec<String> = request.entries.iter().map(|entry| entry.entry_id.clone()).collect();
            let consumer = Arc::new(Counted::default());
            let subscription = Subscription {
                components: vec!["pubsub".to_owned()],
                topic: "marks",
                largest_batch: 10,
                longest_wait_milliseconds: 1,
                consumer: Arc::clone(&consumer) as Arc<dyn EventConsumer>,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let callback = callback(vec![subscription]);
            match runtime.block_on(callback.on_bulk_topic_event(Request::new(request))) {
                Ok(answer) => {
                    let statuses = answer.into_inner().statuses;
                    let answered: Vec<String> = statuses.into_iter().map(|status| status.entry_id).collect();
                    prop_assert_eq!(*consumer.0.lock().unwrap(), answered.len());
                    prop_assert_eq!(answered, ids);
                }
                Err(status) => prop_assert_eq!(status.code(), tonic::Code::FailedPrecondition),
            }
        }
    }
}
