//! The state store component, as pages need it: one key, one compare-and-set.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use dapr::dapr::proto::{
    common::v1::{Etag, StateItem, StateOptions, state_options::StateConcurrency},
    runtime::v1::{DeleteStateRequest, GetBulkStateRequest, GetStateRequest, SaveStateRequest},
};
use metrics::counter;
use tidemark_pages::{Precondition, SaveError, StateStore, StoreError, Versioned};
use tokio::time::Instant;
use tonic::Code;

use super::save_queue::{SaveQueue, save_error};
use super::sidecar::{Client, Sidecar, SidecarError};

/// Keys that the sidecar reads at the same time for one bulk request.
const BULK_PARALLELISM: i32 = 32;

/// An `ETag` that no item has: the Redis store counts versions from 1. With it, a save succeeds on a missing
/// item alone.
const NO_ITEM: &str = "-1";

/// The state store component.
#[derive(Clone)]
pub struct StateComponent {
    sidecar: Sidecar,
    component: String,
    deadline: Duration,
    saves: SaveQueue,
}

/// The sidecar could not read one item of a bulk.
#[derive(Debug, thiserror::Error)]
#[error("state item {key} could not be read: {message}")]
struct UnreadableItem {
    key: String,
    message: String,
}

impl StateComponent {
    pub fn new(sidecar: Sidecar, component: String, deadline: Duration) -> Self {
        let saves = SaveQueue::new(sidecar.clone(), component.clone(), deadline);
        Self { sidecar, component, deadline, saves }
    }

    /// Answers whether the store answers.
    pub async fn ping(&self, deadline: Duration) -> Result<(), SidecarError> {
        self.read("health", deadline).await.map(drop)
    }

    async fn read(&self, key: &str, deadline: Duration) -> Result<Option<Versioned>, SidecarError> {
        let may_pass = |fault: &SidecarError| fault.may_pass();
        within(deadline, may_pass, |left| self.read_once(key, left)).await
    }

    async fn read_once(&self, key: &str, deadline: Duration) -> Result<Option<Versioned>, SidecarError> {
        let request = GetStateRequest {
            store_name: self.component.clone(),
            key: key.to_owned(),
            ..GetStateRequest::default()
        };
        counter!("state_keys_read_total").increment(1);
        let send = |mut client: Client, request| async move { client.get_state(request).await };
        let item = self.sidecar.call("get_state", request, deadline, send).await?;
        Ok(versioned(item.data, item.etag))
    }
}

impl StateComponent {
    /// The items in the order of the keys, by one call.
    async fn read_bulk(
        &self,
        keys: &[String],
        deadline: Duration,
    ) -> Result<Vec<Option<Versioned>>, BulkError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        counter!("state_keys_read_total").increment(keys.len() as u64);
        let request = GetBulkStateRequest {
            store_name: self.component.clone(),
            keys: keys.to_vec(),
            parallelism: BULK_PARALLELISM,
            metadata: HashMap::new(),
        };
        let send = |mut client: Client, request| async move { client.get_bulk_state(request).await };
        let items = self.sidecar.call("get_bulk_state", request, deadline, send).await?.items;
        let mut found = HashMap::with_capacity(items.len());
        for item in items {
            if !item.error.is_empty() {
                return Err(UnreadableItem { key: item.key, message: item.error }.into());
            }
            found.insert(item.key, versioned(item.data, item.etag));
        }
        // Answers come in any order, and twice for a key that was asked for twice.
        Ok(keys.iter().map(|key| found.get(key).cloned().flatten()).collect())
    }
}

/// Why a bulk was not read.
#[derive(Debug, thiserror::Error)]
enum BulkError {
    #[error(transparent)]
    Call(#[from] SidecarError),
    #[error(transparent)]
    Item(#[from] UnreadableItem),
}

impl BulkError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Call(fault) => fault.may_pass(),
            Self::Item(_) => true,
        }
    }

    /// The sidecar says the one of what it would send, the client the other of what it would take.
    fn is_too_large(&self) -> bool {
        matches!(self, Self::Call(fault) if matches!(fault.code, Code::ResourceExhausted | Code::OutOfRange))
    }
}

/// Reads, and once more if that fails for what may pass, all within the deadline. A connection to the sidecar or to the
/// store that breaks under a read is no outage, and a read may be repeated without a thought.
async fn within<T, E, F: Future<Output = Result<T, E>>>(
    deadline: Duration,
    may_pass: impl FnOnce(&E) -> bool,
    read: impl Fn(Duration) -> F,
) -> Result<T, E> {
    let until = Instant::now() + deadline;
    match read(deadline).await {
        Err(fault) if may_pass(&fault) && Instant::now() < until => read(until - Instant::now()).await,
        outcome => outcome,
    }
}

/// The sidecar answers "nothing there" with an empty `ETag`.
fn versioned(data: Vec<u8>, etag: String) -> Option<Versioned> {
    (!etag.is_empty()).then(|| Versioned { value: data.into(), etag })
}

/// Optimistic concurrency: without this option the store would ignore the `ETag`.
fn first_write() -> StateOptions {
    StateOptions { concurrency: StateConcurrency::ConcurrencyFirstWrite.into(), consistency: 0 }
}

fn etag(precondition: Precondition) -> Etag {
    let value = match precondition {
        Precondition::Absent => NO_ITEM.to_owned(),
        Precondition::Etag(etag) => etag,
    };
    Etag { value }
}

#[async_trait]
impl StateStore for StateComponent {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        self.read(key, self.deadline).await.map_err(StoreError::new)
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let read = within(self.deadline, BulkError::may_pass, |left| self.read_bulk(keys, left)).await;
        match read {
            // Together they are more than one answer may be: pages of long texts. Half of them may fit.
            Err(fault) if fault.is_too_large() && keys.len() > 1 => {
                let (first, second) = keys.split_at(keys.len() / 2);
                let mut found = self.get_many(first).await?;
                found.extend(self.get_many(second).await?);
                Ok(found)
            }
            read => read.map_err(StoreError::new),
        }
    }

    async fn save(
        &self,
        key: &str,
        value: Bytes,
        precondition: Precondition,
        time_to_live: Option<Duration>,
    ) -> Result<(), SaveError> {
        let mut item = StateItem {
            key: key.to_owned(),
            value: value.into(),
            etag: Some(etag(precondition)),
            options: Some(first_write()),
            metadata: HashMap::new(),
        };
        let Some(time) = time_to_live else { return self.saves.save(item).await };
        // What lives for a short time only, such as a lease, waits for nobody and depends on nobody.
        item.metadata.insert("ttlInSeconds".to_owned(), time.as_secs().max(1).to_string());
        let request = SaveStateRequest { store_name: self.component.clone(), states: vec![item] };
        let send = |mut client: Client, request| async move { client.save_state(request).await };
        let saved = self.sidecar.call("save_state", request, self.deadline, send).await;
        saved.map_err(|fault| save_error(fault, true))
    }

    async fn delete(&self, key: &str, precondition: Precondition) -> Result<(), SaveError> {
        let request = DeleteStateRequest {
            store_name: self.component.clone(),
            key: key.to_owned(),
            etag: Some(etag(precondition)),
            options: Some(first_write()),
            metadata: HashMap::new(),
        };
        let send = |mut client: Client, request| async move { client.delete_state(request).await };
        let deleted = self.sidecar.call("delete_state", request, self.deadline, send).await;
        deleted.map_err(|fault| save_error(fault, true))
    }

    fn next_etag(&self, saved_over: Option<&str>) -> Option<String> {
        match saved_over {
            None => Some("1".to_owned()),
            Some(etag) => Some((etag.parse::<u64>().ok()? + 1).to_string()),
        }
    }
}
