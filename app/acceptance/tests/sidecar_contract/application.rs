//! An application as a sidecar sees one: it lists subscriptions, answers health checks, takes batches of
//! events, and offers one of Tidemark's internal services. It notes everything that it is asked.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dapr::dapr::proto::common::v1::{InvokeRequest, InvokeResponse};
use dapr::dapr::proto::runtime::v1::app_callback_health_check_server::{
    AppCallbackHealthCheck, AppCallbackHealthCheckServer,
};
use dapr::dapr::proto::runtime::v1::app_callback_server::{AppCallback, AppCallbackServer};
use dapr::dapr::proto::runtime::v1::topic_event_bulk_request_entry::Event;
use dapr::dapr::proto::runtime::v1::{
    BindingEventRequest, BindingEventResponse, BulkSubscribeConfig, HealthCheckResponse, JobEventRequest,
    JobEventResponse, ListInputBindingsResponse, ListTopicSubscriptionsResponse, TopicEventBulkRequest,
    TopicEventBulkRequestEntry, TopicEventBulkResponse, TopicEventBulkResponseEntry, TopicEventRequest,
    TopicEventResponse, TopicSubscription,
};
use tidemark_acceptance::{Failure, Outcome};
use tidemark_protocol::accounts::accounts_server::{Accounts, AccountsServer};
use tidemark_protocol::accounts::{ListSigningKeysRequest, ListSigningKeysResponse, SigningKey};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, async_trait};

const LARGEST_BATCH_BYTES: usize = 64 << 20;

/// What the application answers to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Every event had its effect.
    Success,
    /// An error for the whole batch when it comes for the first time, success afterwards.
    ErrorAtFirst,
    /// Nothing, for the first batch; success for the others.
    SilenceAtFirst,
}

/// A topic that the application listens to.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    pub component: &'static str,
    pub topic: &'static str,
    pub raw_payload: bool,
    pub answer: Answer,
}

/// What the sidecar handed over in one call.
#[derive(Debug, Clone)]
pub struct Batch {
    pub component: String,
    pub topic: String,
    pub entries: Vec<TopicEventBulkRequestEntry>,
    pub token: Option<String>,
    pub received: Instant,
}

impl Batch {
    /// The events' bytes, in the order in which they came.
    pub fn payloads(&self) -> Vec<&[u8]> {
        self.entries.iter().map(payload).collect()
    }
}

pub fn payload(entry: &TopicEventBulkRequestEntry) -> &[u8] {
    match &entry.event {
        Some(Event::Bytes(bytes)) => bytes,
        Some(Event::CloudEvent(event)) => &event.data,
        None => &[],
    }
}

/// A call that is no event: its method and its metadata.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: &'static str,
    pub metadata: MetadataMap,
}

/// A running application, which can be stopped and served again at the same port.
pub struct Application {
    callback: Arc<Callback>,
    port: u16,
    serving: Mutex<Option<Serving>>,
}

struct Serving {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Application {
    pub async fn start(name: &str, subscriptions: Vec<Subscription>) -> Outcome<Self> {
        let callback = Arc::new(Callback {
            name: name.to_owned(),
            subscriptions,
            batches: watch::Sender::default(),
            calls: watch::Sender::default(),
            refused: Mutex::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let serving = Mutex::new(Some(Serving::start(&callback, listener)));
        Ok(Self { callback, port, serving })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops as an application should: it takes nothing new, finishes, and closes its connections.
    pub async fn stop(&self) -> Outcome {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Serving { stop, ended }) = serving {
            // It may have ended by itself.
            let _ = stop.send(());
            ended.await??;
        }
        Ok(())
    }

    /// Serves again.
    pub async fn serve(&self) -> Outcome {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await?;
        let serving = Serving::start(&self.callback, listener);
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
        Ok(())
    }

    /// Waits until the batches that `component` has handed over so far are `enough`, and returns them.
    pub async fn batches(
        &self,
        component: &str,
        within: Duration,
        mut enough: impl FnMut(&[Batch]) -> bool,
    ) -> Outcome<Vec<Batch>> {
        let of_component = |all: &[Batch]| -> Vec<Batch> {
            all.iter().filter(|batch| batch.component == component).cloned().collect()
        };
        let mut batches = self.callback.batches.subscribe();
        let arrival = timeout(within, batches.wait_for(|all| enough(&of_component(all)))).await;
        if let Ok(all) = arrival {
            return Ok(of_component(&all?));
        }
        let seen = of_component(&self.callback.batches.borrow());
        let events: usize = seen.iter().map(|batch| batch.entries.len()).sum();
        Err(Failure::new(format!(
            "{component} handed over {} batches with {events} events within {within:?}: not enough",
            seen.len()
        )))
    }

    /// Waits until the application has been asked for `method`, and returns the latest such call.
    pub async fn call(&self, method: &str, within: Duration) -> Outcome<Call> {
        let latest = |calls: &[Call]| calls.iter().rfind(|call| call.method == method).cloned();
        let mut calls = self.callback.calls.subscribe();
        match timeout(within, calls.wait_for(|calls| latest(calls).is_some())).await {
            Ok(calls) => latest(&calls?).ok_or_else(|| Failure::new(format!("{method} was not noted"))),
            Err(_) => Err(Failure::new(format!("{method} was not called within {within:?}"))),
        }
    }

    /// How often the application has been asked for `method`.
    pub fn count_calls(&self, method: &str) -> usize {
        self.callback.calls.borrow().iter().filter(|call| call.method == method).count()
    }
}

impl Serving {
    fn start(callback: &Arc<Callback>, listener: TcpListener) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::builder()
            .add_service(
                AppCallbackServer::from_arc(Arc::clone(callback))
                    .max_decoding_message_size(LARGEST_BATCH_BYTES),
            )
            .add_service(AppCallbackHealthCheckServer::from_arc(Arc::clone(callback)))
            .add_service(AccountsServer::from_arc(Arc::clone(callback)))
            .serve_with_incoming_shutdown(TcpIncoming::from(listener), async {
                // An application that is dropped serves on until the suite ends.
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            });
        Self { stop, ended: tokio::spawn(server) }
    }
}

struct Callback {
    name: String,
    subscriptions: Vec<Subscription>,
    batches: watch::Sender<Vec<Batch>>,
    calls: watch::Sender<Vec<Call>>,
    /// Events by component, partition and offset that were answered with an error.
    refused: Mutex<HashSet<(String, String, String)>>,
}

impl Callback {
    fn note<T>(&self, method: &'static str, request: &Request<T>) {
        let metadata = request.metadata().clone();
        self.calls.send_modify(|calls| calls.push(Call { method, metadata }));
    }

    /// Notes all of the batch as refused; answers whether any of it is new.
    fn refuse(&self, component: &str, entries: &[TopicEventBulkRequestEntry]) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let place =
            |metadata: &HashMap<String, String>, name: &str| metadata.get(name).cloned().unwrap_or_default();
        entries.iter().fold(false, |any_new, TopicEventBulkRequestEntry { metadata, .. }| {
            let event = (component.to_owned(), place(metadata, "__partition"), place(metadata, "__offset"));
            refused.insert(event) || any_new
        })
    }
}

#[async_trait]
impl AppCallback for Callback {
    async fn list_topic_subscriptions(
        &self,
        request: Request<()>,
    ) -> Result<Response<ListTopicSubscriptionsResponse>, Status> {
        self.note("ListTopicSubscriptions", &request);
        let subscriptions = self.subscriptions.iter().map(|subscription| TopicSubscription {
            pubsub_name: subscription.component.to_owned(),
            topic: subscription.topic.to_owned(),
            metadata: [("rawPayload".to_owned(), subscription.raw_payload.to_string())].into(),
            bulk_subscribe: Some(BulkSubscribeConfig {
                enabled: true,
                max_messages_count: 500,
                max_await_duration_ms: 50,
            }),
            ..TopicSubscription::default()
        });
        Ok(Response::new(ListTopicSubscriptionsResponse { subscriptions: subscriptions.collect() }))
    }

    async fn on_bulk_topic_event(
        &self,
        request: Request<TopicEventBulkRequest>,
    ) -> Result<Response<TopicEventBulkResponse>, Status> {
        let token = request.metadata().get("dapr-api-token").and_then(|token| token.to_str().ok());
        let token = token.map(str::to_owned);
        let TopicEventBulkRequest { pubsub_name: component, topic, entries, .. } = request.into_inner();
        let answer = self
            .subscriptions
            .iter()
            .find(|subscription| subscription.component == component)
            .map(|subscription| subscription.answer)
            .ok_or_else(|| Status::failed_precondition(format!("nobody listens to {component}")))?;
        let is_refused = answer == Answer::ErrorAtFirst && self.refuse(&component, &entries);
        let statuses = entries
            .iter()
            .map(|entry| TopicEventBulkResponseEntry { entry_id: entry.entry_id.clone(), status: 0 })
            .collect();
        let mut is_first = false;
        self.batches.send_modify(|batches| {
            is_first = batches.iter().all(|batch| batch.component != component);
            batches.push(Batch { component, topic, entries, token, received: Instant::now() });
        });
        if answer == Answer::SilenceAtFirst && is_first {
            std::future::pending::<()>().await;
        }
        if is_refused {
            return Err(Status::unavailable("not now"));
        }
        Ok(Response::new(TopicEventBulkResponse { statuses }))
    }

    async fn on_topic_event(
        &self,
        _: Request<TopicEventRequest>,
    ) -> Result<Response<TopicEventResponse>, Status> {
        Err(Status::failed_precondition("events are taken in bulk only"))
    }

    async fn on_invoke(&self, _: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        Err(Status::unimplemented("services are called by gRPC proxying"))
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
    async fn health_check(&self, request: Request<()>) -> Result<Response<HealthCheckResponse>, Status> {
        self.note("HealthCheck", &request);
        Ok(Response::new(HealthCheckResponse {}))
    }
}

#[async_trait]
impl Accounts for Callback {
    /// Answers with the application's name as the only key's id.
    async fn list_signing_keys(
        &self,
        request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        self.note("ListSigningKeys", &request);
        let key = SigningKey { key_id: self.name.clone(), public_key: b"\xFF\x00".to_vec().into() };
        Ok(Response::new(ListSigningKeysResponse { keys: vec![key] }))
    }
}
