//! A guestbook in a Dapr state store: a request to sign it counts once, however often it comes, and every
//! signature is an event on a topic.
//!
//! ```text
//! guestbook [OPTIONS] <NAME> <WORDS>
//!
//! --request <UUID>       names the request, so that a later run can repeat it; otherwise it is a new one
//! --sidecar <URL>        the sidecar's gRPC API (DAPR_GRPC_ENDPOINT, http://127.0.0.1:50001)
//! --token <TOKEN>        what the sidecar asks for (DAPR_API_TOKEN)
//! --state-store <NAME>   the state store component (STATE_STORE, statestore)
//! --pubsub <NAME>        the pub/sub component (PUBSUB, pubsub)
//! --topic <NAME>         the topic of the events (TOPIC, guestbook)
//! ```
//!
//! The store may be any that offers `ETag`s and a time to live, the broker any that Dapr knows. The README of the
//! crate says how to start it all.
//!
//! `visit` and `sign` show the use of the pages. Below them is what the pages ask for, a [`StateStore`], a
//! [`Publisher`] and a [`Clock`], made of the sidecar's calls.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use clap::Parser;
use dapr::{
    client::ApiTokenInterceptor,
    dapr::proto::{
        common::v1::{Etag, StateItem, StateOptions, state_options::StateConcurrency},
        runtime::v1::{
            DeleteStateRequest, GetStateRequest, PublishEventRequest, SaveStateRequest,
            dapr_client::DaprClient,
        },
    },
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tidemark_pages::{
    Clock, CollectionKey, Configuration, IdempotencyKey, Once, OutboxEvent, Pages, Ports, Precondition,
    PublishError, Publisher, SaveError, StateStore, StoreError, Versioned,
};
use tonic::{
    Code, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

/// Signs the guestbook, signs it again as a client does whose answer was lost, and lists it.
#[derive(Parser)]
struct Arguments {
    /// Who signs
    name: String,
    /// What they write
    words: String,
    /// Names the request, so that a later run can repeat it [default: a new one]
    #[arg(long)]
    request: Option<Uuid>,
    /// The sidecar's gRPC API
    #[arg(long, env = "DAPR_GRPC_ENDPOINT", default_value = "http://127.0.0.1:50001")]
    sidecar: String,
    /// What the sidecar asks for
    #[arg(long, env = "DAPR_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The state store component
    #[arg(long, env, default_value = "statestore")]
    state_store: String,
    /// The pub/sub component
    #[arg(long, env, default_value = "pubsub")]
    pubsub: String,
    /// The topic of the events
    #[arg(long, env, default_value = "guestbook")]
    topic: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let sidecar = Arc::new(Sidecar::new(&arguments)?);
    let ports = Ports {
        store: sidecar.clone(),
        publisher: sidecar,
        clock: Arc::new(SystemClock),
        work: None,
        context: None,
    };
    // Two processes that live at the same time must not have the same name.
    let pages = Pages::start(ports, Configuration::new("guestbook", Uuid::new_v4().to_string()));
    let visited = visit(&pages, &arguments).await;
    // Publishes what waits. If this process died before, a later one would.
    let left = pages.drain(Duration::from_secs(10)).await;
    visited?;
    ensure!(left.is_complete(), "the next run has to finish this: {left:?}");
    Ok(())
}

async fn visit(pages: &Pages, arguments: &Arguments) -> anyhow::Result<()> {
    let book = CollectionKey::parse("guestbook/hall")?;
    let request = arguments.request.unwrap_or_else(Uuid::new_v4);
    let signature = format!("{}: {}", arguments.name, arguments.words);
    println!("request {request} {}", sign(pages, &book, request, &signature).await?);
    println!("request {request} {}", sign(pages, &book, request, &signature).await?);

    let mut from = Some(0);
    while let Some(number) = from {
        let read = pages.read_collection(&book, number, 16).await?;
        for entry in read.pages.iter().flat_map(|page| page.entries()) {
            println!("{}. {}", entry.number, String::from_utf8_lossy(&entry.value));
        }
        from = read.next;
    }
    Ok(())
}

/// Signs the book once for all calls with the same `request`, and tells what became of this one.
async fn sign(pages: &Pages, book: &CollectionKey, request: Uuid, signature: &str) -> anyhow::Result<String> {
    let fingerprint = Sha256::digest(signature)[..16].try_into()?;
    let key = IdempotencyKey { key: request.into_bytes(), fingerprint };
    let signature = Bytes::from(signature.to_owned());
    let signed = pages.append(book, Some(key), move |page| {
        let number = page.sequence();
        let name = format!("signature-{number}");
        page.put(&name, "signature", signature.clone());
        // Committed together with the entry, published afterwards.
        let id = page.event_id();
        page.emit(OutboxEvent {
            id,
            partition_key: "hall".to_owned(),
            entity: name,
            attributes: Vec::new(),
            payload: signature.clone(),
        });
        Ok::<_, Infallible>(number)
    });
    Ok(match signed.await? {
        Once::First(number) => format!("signed the book as number {number}"),
        Once::Again(first) => {
            let entry = first.entry.context("a signature is remembered with its entry")?;
            format!("had signed the book as number {}", entry.number)
        }
    })
}

/// The state store and the broker, reached through the sidecar.
struct Sidecar {
    client: DaprClient<InterceptedService<Channel, ApiTokenInterceptor>>,
    state_store: String,
    pubsub: String,
    topic: String,
}

impl Sidecar {
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        // Every call must end within a bounded time.
        let endpoint = Endpoint::from_shared(arguments.sidecar.clone())?
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(5));
        let token = ApiTokenInterceptor::try_new(arguments.token.clone())?;
        Ok(Self {
            client: DaprClient::with_interceptor(endpoint.connect_lazy(), token),
            state_store: arguments.state_store.clone(),
            pubsub: arguments.pubsub.clone(),
            topic: arguments.topic.clone(),
        })
    }
}

#[async_trait]
impl StateStore for Sidecar {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        let request = GetStateRequest {
            store_name: self.state_store.clone(),
            key: key.to_owned(),
            ..GetStateRequest::default()
        };
        let item = self.client.clone().get_state(request).await.map_err(StoreError::new)?.into_inner();
        // That there is nothing is told by an empty ETag.
        Ok((!item.etag.is_empty()).then(|| Versioned { value: item.data.into(), etag: item.etag }))
    }

    /// One after the other, to be short. `GetBulkState` reads them in one call.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            items.push(self.get(key).await?);
        }
        Ok(items)
    }

    async fn save(
        &self,
        key: &str,
        value: Bytes,
        precondition: Precondition,
        time_to_live: Option<Duration>,
    ) -> Result<(), SaveError> {
        let seconds = time_to_live.map(|time| time.as_secs().max(1).to_string());
        let item = StateItem {
            key: key.to_owned(),
            value: value.into(),
            etag: etag(precondition),
            options: Some(first_write()),
            metadata: seconds.map(|seconds| ("ttlInSeconds".to_owned(), seconds)).into_iter().collect(),
        };
        let request = SaveStateRequest { store_name: self.state_store.clone(), states: vec![item] };
        self.client.clone().save_state(request).await.map(drop).map_err(save_error)
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<(), SaveError> {
        let request = DeleteStateRequest {
            store_name: self.state_store.clone(),
            key: key.to_owned(),
            etag: etag(precondition),
            options: Some(first_write()),
            metadata: HashMap::new(),
        };
        self.client.clone().delete_state(request).await.map(drop).map_err(save_error)
    }

    /// Stores make their `ETag`s in different ways: pages are read after each save to learn it.
    fn next_etag(&self, _saved_over: Option<&str>) -> Option<String> {
        None
    }
}

/// Without an `ETag`, first-write demands that there is no item.
fn etag(precondition: Precondition) -> Option<Etag> {
    match precondition {
        Precondition::Absent => None,
        Precondition::Etag(value) => Some(Etag { value }),
    }
}

fn first_write() -> StateOptions {
    StateOptions { concurrency: StateConcurrency::ConcurrencyFirstWrite.into(), consistency: 0 }
}

/// Only a mismatch is told apart. After everything else the pages look whether the save happened.
fn save_error(status: Status) -> SaveError {
    match status.code() {
        Code::Aborted => SaveError::Refused(StoreError::new(status)),
        _ => SaveError::Unknown(StoreError::new(status)),
    }
}

#[async_trait]
impl Publisher for Sidecar {
    /// One after the other, which keeps their order with every broker.
    async fn publish(&self, events: &[Arc<OutboxEvent>]) -> Result<(), PublishError> {
        for event in events {
            let metadata = [
                ("partitionKey", event.partition_key.clone()),
                // Whoever gets the event twice knows it by its id.
                ("cloudevent.id", event.id.to_string()),
            ];
            let request = PublishEventRequest {
                pubsub_name: self.pubsub.clone(),
                topic: self.topic.clone(),
                data: event.payload.to_vec(),
                data_content_type: "text/plain".to_owned(),
                metadata: metadata.map(|(name, value)| (name.to_owned(), value)).into(),
            };
            self.client.clone().publish_event(request).await.map_err(PublishError::new)?;
            println!("event {} is published: {}", event.id, String::from_utf8_lossy(&event.payload));
        }
        Ok(())
    }
}

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
