//! Somebody beside the application with a sidecar of their own: sees everything on the ledger and in its
//! dead-letter topic, publishes what the application never would, and looks into the history's tables.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{collections::HashSet, fs};

use bytes::Bytes;
use dapr::client::ApiTokenInterceptor;
use dapr::dapr::proto::common::v1::{InvokeRequest, InvokeResponse};
use dapr::dapr::proto::runtime::v1::app_callback_health_check_server::{
    AppCallbackHealthCheck, AppCallbackHealthCheckServer,
};
use dapr::dapr::proto::runtime::v1::app_callback_server::{AppCallback, AppCallbackServer};
use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use dapr::dapr::proto::runtime::v1::topic_event_bulk_request_entry::Event;
use dapr::dapr::proto::runtime::v1::{
    BindingEventRequest, BindingEventResponse, BulkPublishRequest, BulkPublishRequestEntry,
    BulkSubscribeConfig, HealthCheckResponse, InvokeBindingRequest, JobEventRequest, JobEventResponse,
    ListInputBindingsResponse, ListTopicSubscriptionsResponse, TopicEventBulkRequest, TopicEventBulkResponse,
    TopicEventBulkResponseEntry, TopicEventRequest, TopicEventResponse, TopicSubscription,
};
use serde_json::Value;
use tidemark_acceptance::{Failure, Outcome};
use tidemark_protocol::ledger::{self, HistoryEvent};
use tidemark_stack::{ProjectResources, SidecarOptions, Stack, project};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, async_trait};

const APP_ID: &str = "observer";
const SUBSCRIPTION: &str = "observer-pubsub";
const LARGEST_BATCH_BYTES: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_secs(15);

type Client = DaprClient<InterceptedService<Channel, ApiTokenInterceptor>>;

/// A message as it lies on a topic.
#[derive(Debug, Clone)]
pub struct Seen {
    pub partition: String,
    pub payload: Bytes,
    /// The event, if it is one. Read once: trials look through all messages whenever one comes.
    pub event: Option<HistoryEvent>,
    /// The key and the headers, and where the broker keeps it.
    pub metadata: HashMap<String, String>,
}

impl Seen {
    /// Whether it is an event of this entity.
    pub fn is_of(&self, entity: &str) -> bool {
        self.event.as_ref().is_some_and(|event| event.payload.entity_id == entity)
    }
}

pub struct Observer {
    client: Client,
    notes: Arc<Notes>,
}

impl Observer {
    pub async fn start(stack: &Stack) -> Outcome<Self> {
        let notes = Arc::new(Notes::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut options = SidecarOptions::new(APP_ID);
        options.app_port = Some(listener.local_addr()?.port());
        options.project_resources = ProjectResources::Nothing;
        options.resources = vec![project().join("dapr")];
        let subscription = component("pubsub-history-0")?
            .replace("name: pubsub-history-0", &format!("name: {SUBSCRIPTION}"))
            .replace("value: todo-consumer-group-go", "value: observer");
        options.inline_resources = [
            ("secretstore.yaml".to_owned(), component("secretstore")?),
            ("historydb.yaml".to_owned(), component("historydb")?),
            ("pubsub.yaml".to_owned(), component("pubsub")?),
            ("subscription.yaml".to_owned(), subscription),
        ]
        .into();
        options.auto_restart = true;
        let server = Server::builder()
            .add_service(
                AppCallbackServer::from_arc(Arc::clone(&notes))
                    .max_decoding_message_size(LARGEST_BATCH_BYTES),
            )
            .add_service(AppCallbackHealthCheckServer::from_arc(Arc::clone(&notes)))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        let sidecar = stack.start_sidecar(options).await?;
        let channel = Endpoint::from_shared(sidecar.grpc_endpoint())?
            .connect_timeout(Duration::from_secs(2))
            .connect_lazy();
        let token = ApiTokenInterceptor::try_new(Some(sidecar.api_token().to_owned()))?;
        let client = DaprClient::new(InterceptedService::new(channel, token))
            .max_decoding_message_size(LARGEST_BATCH_BYTES);
        Ok(Self { client, notes })
    }

    /// Waits until the ledger holds what `find` looks for. It is called with all messages so far, those of one
    /// partition in their order.
    #[track_caller]
    pub fn on_ledger<T>(
        &self,
        awaited: &str,
        within: Duration,
        find: impl FnMut(&[Arc<Seen>]) -> Option<T>,
    ) -> impl Future<Output = Outcome<T>> {
        await_note(&self.notes.ledger, format!("{awaited} on the ledger"), within, find)
    }

    /// As [`Observer::on_ledger`], for the ledger's dead-letter topic.
    #[track_caller]
    pub fn in_dead_letters<T>(
        &self,
        awaited: &str,
        within: Duration,
        find: impl FnMut(&[Arc<Seen>]) -> Option<T>,
    ) -> impl Future<Output = Outcome<T>> {
        await_note(&self.notes.dead_letters, format!("{awaited} in the dead-letter topic"), within, find)
    }

    /// What the ledger holds now.
    pub fn ledger(&self) -> Vec<Arc<Seen>> {
        self.notes.ledger.borrow().clone()
    }

    /// Publishes raw bytes to the ledger, in order, all with one key.
    pub async fn publish(&self, key: &str, payloads: impl IntoIterator<Item = Vec<u8>>) -> Outcome {
        let entries = payloads
            .into_iter()
            .enumerate()
            .map(|(number, event)| BulkPublishRequestEntry {
                entry_id: number.to_string(),
                event,
                content_type: "application/octet-stream".to_owned(),
                metadata: [("partitionKey".to_owned(), key.to_owned())].into(),
            })
            .collect();
        let request = BulkPublishRequest {
            pubsub_name: "pubsub".to_owned(),
            topic: ledger::TOPIC.to_owned(),
            entries,
            metadata: [("rawPayload".to_owned(), "true".to_owned())].into(),
        };
        let answer = self.client.clone().bulk_publish_event(with_deadline(request)).await?.into_inner();
        match answer.failed_entries.first() {
            None => Ok(()),
            Some(first) => Err(Failure::new(&first.error)),
        }
    }

    /// The rows of a query, each an object with the columns as members.
    pub async fn rows(&self, sql: &str, parameters: &[&str]) -> Outcome<Vec<Value>> {
        let sql = format!("SELECT coalesce(json_agg(t), '[]')::text FROM ({sql}) AS t");
        let mut metadata = HashMap::from([("sql".to_owned(), sql)]);
        if !parameters.is_empty() {
            metadata.insert("params".to_owned(), serde_json::to_string(parameters)?);
        }
        let request = InvokeBindingRequest {
            name: "historydb".to_owned(),
            operation: "query".to_owned(),
            metadata,
            data: Vec::new(),
        };
        let answer = self.client.clone().invoke_binding(with_deadline(request)).await?.into_inner();
        let table: Vec<Vec<String>> = serde_json::from_slice(&answer.data)?;
        let text = table.into_iter().flatten().next().ok_or_else(|| Failure::new("the query failed"))?;
        Ok(serde_json::from_str(&text)?)
    }
}

fn with_deadline<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// One of the project's components, offered to whoever loads it.
fn component(name: &str) -> Outcome<String> {
    let text = fs::read_to_string(project().join("components").join(format!("{name}.yaml")))?;
    let end = text.find("\nscopes:").unwrap_or(text.len());
    let (unscoped, _) = text.split_at(end);
    Ok(format!("{unscoped}\n"))
}

#[track_caller]
fn await_note<T>(
    notes: &watch::Sender<Vec<Arc<Seen>>>,
    awaited: String,
    within: Duration,
    mut find: impl FnMut(&[Arc<Seen>]) -> Option<T>,
) -> impl Future<Output = Outcome<T>> {
    let place = std::panic::Location::caller();
    let mut notes = notes.subscribe();
    async move {
        let wait = async {
            loop {
                let found = find(&notes.borrow_and_update());
                if let Some(found) = found {
                    return Ok(found);
                }
                notes.changed().await?;
            }
        };
        match timeout(within, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::at(place, format!("{awaited}: not within {within:?}"))),
        }
    }
}

/// What was delivered, each message once.
#[derive(Default)]
struct Notes {
    ledger: watch::Sender<Vec<Arc<Seen>>>,
    dead_letters: watch::Sender<Vec<Arc<Seen>>>,
    known: Mutex<HashSet<(String, String, String)>>,
}

impl Notes {
    fn note(&self, TopicEventBulkRequest { topic, entries, .. }: TopicEventBulkRequest) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = Vec::with_capacity(entries.len());
        for entry in entries {
            let payload = match entry.event {
                Some(Event::Bytes(bytes)) => bytes,
                Some(Event::CloudEvent(event)) => event.data,
                None => Vec::new(),
            };
            let place = |name: &str| entry.metadata.get(name).cloned().unwrap_or_default();
            let (partition, offset) = (place("__partition"), place("__offset"));
            // A batch may come again. Dead letters name another topic's place, and are told apart by nothing.
            if topic != ledger::TOPIC || known.insert((topic.clone(), partition.clone(), offset)) {
                let (event, payload) = (ledger::decode(&payload).ok(), payload.into());
                seen.push(Arc::new(Seen { partition, payload, event, metadata: entry.metadata }));
            }
        }
        let notes = if topic == ledger::TOPIC { &self.ledger } else { &self.dead_letters };
        notes.send_modify(|notes| notes.extend(seen));
    }
}

#[async_trait]
impl AppCallback for Notes {
    async fn list_topic_subscriptions(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListTopicSubscriptionsResponse>, Status> {
        let subscriptions = [ledger::TOPIC, ledger::DEAD_LETTER_TOPIC].map(|topic| TopicSubscription {
            pubsub_name: SUBSCRIPTION.to_owned(),
            topic: topic.to_owned(),
            metadata: [("rawPayload".to_owned(), "true".to_owned())].into(),
            bulk_subscribe: Some(BulkSubscribeConfig {
                enabled: true,
                max_messages_count: 500,
                max_await_duration_ms: 10,
            }),
            ..TopicSubscription::default()
        });
        Ok(Response::new(ListTopicSubscriptionsResponse { subscriptions: subscriptions.into() }))
    }

    async fn on_bulk_topic_event(
        &self,
        request: Request<TopicEventBulkRequest>,
    ) -> Result<Response<TopicEventBulkResponse>, Status> {
        let request = request.into_inner();
        let success =
            |entry_id: &String| TopicEventBulkResponseEntry { entry_id: entry_id.clone(), status: 0 };
        let statuses = request.entries.iter().map(|entry| success(&entry.entry_id)).collect();
        self.note(request);
        Ok(Response::new(TopicEventBulkResponse { statuses }))
    }

    async fn on_topic_event(
        &self,
        _: Request<TopicEventRequest>,
    ) -> Result<Response<TopicEventResponse>, Status> {
        Err(Status::failed_precondition("events are taken in bulk only"))
    }

    async fn on_invoke(&self, _: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        Err(Status::unimplemented("an observer offers nothing"))
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
impl AppCallbackHealthCheck for Notes {
    async fn health_check(&self, _: Request<()>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {}))
    }
}
