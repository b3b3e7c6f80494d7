//! The state store through a sidecar.

use std::time::Duration;

use dapr::dapr::proto::common::v1::{Etag, StateItem, StateOptions, state_options::StateConcurrency};
use dapr::dapr::proto::runtime::v1::{
    BulkStateItem, DeleteStateRequest, ExecuteStateTransactionRequest, GetBulkStateRequest, GetStateRequest,
    SaveStateRequest, TransactionalStateOperation,
};
use tonic::Status;

use super::sidecar::{Client, DEADLINE, call};

const COMPONENT: &str = "statestore";

/// What a store answers for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub value: Vec<u8>,
    pub etag: String,
}

impl Item {
    pub fn new(value: impl Into<Vec<u8>>, etag: &str) -> Self {
        Self { value: value.into(), etag: etag.to_owned() }
    }

    /// How a store says that there is nothing.
    pub fn missing() -> Self {
        Self::new([], "")
    }
}

#[derive(Clone)]
pub struct Store {
    client: Client,
    deadline: Duration,
}

impl Store {
    pub fn new(client: Client) -> Self {
        Self { client, deadline: DEADLINE }
    }

    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    pub async fn get(&self, key: &str) -> Result<Item, Status> {
        let request = GetStateRequest {
            store_name: COMPONENT.to_owned(),
            key: key.to_owned(),
            ..GetStateRequest::default()
        };
        let answer = self.client.clone().get_state(call(request, self.deadline)).await?.into_inner();
        Ok(Item { value: answer.data, etag: answer.etag })
    }

    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<BulkStateItem>, Status> {
        let request = GetBulkStateRequest {
            store_name: COMPONENT.to_owned(),
            keys: keys.to_vec(),
            parallelism: 4,
            ..GetBulkStateRequest::default()
        };
        Ok(self.client.clone().get_bulk_state(call(request, self.deadline)).await?.into_inner().items)
    }

    /// Saves as the application does: first-write with an `ETag`.
    pub async fn save(&self, key: &str, value: impl Into<Vec<u8>>, etag: &str) -> Result<(), Status> {
        self.save_item(first_write(item(key, value, Some(etag)))).await
    }

    pub async fn save_item(&self, item: StateItem) -> Result<(), Status> {
        self.save_items(vec![item]).await
    }

    pub async fn save_items(&self, states: Vec<StateItem>) -> Result<(), Status> {
        let request = SaveStateRequest { store_name: COMPONENT.to_owned(), states };
        self.client.clone().save_state(call(request, self.deadline)).await.map(drop)
    }

    pub async fn delete(&self, key: &str, etag: Option<&str>) -> Result<(), Status> {
        let StateItem { key, etag, options, .. } = first_write(item(key, [], etag));
        let store_name = COMPONENT.to_owned();
        let request = DeleteStateRequest { store_name, key, etag, options, ..DeleteStateRequest::default() };
        self.client.clone().delete_state(call(request, self.deadline)).await.map(drop)
    }

    pub async fn save_together(&self, items: Vec<StateItem>) -> Result<(), Status> {
        let operations = items
            .into_iter()
            .map(|item| TransactionalStateOperation {
                operation_type: "upsert".to_owned(),
                request: Some(item),
            })
            .collect();
        let store_name = COMPONENT.to_owned();
        let request = ExecuteStateTransactionRequest { store_name, operations, ..Default::default() };
        self.client.clone().execute_state_transaction(call(request, self.deadline)).await.map(drop)
    }
}

/// An item without options.
pub fn item(key: &str, value: impl Into<Vec<u8>>, etag: Option<&str>) -> StateItem {
    StateItem {
        key: key.to_owned(),
        value: value.into(),
        etag: etag.map(|value| Etag { value: value.to_owned() }),
        ..StateItem::default()
    }
}

pub fn first_write(item: StateItem) -> StateItem {
    with_concurrency(item, StateConcurrency::ConcurrencyFirstWrite)
}

pub fn last_write(item: StateItem) -> StateItem {
    with_concurrency(item, StateConcurrency::ConcurrencyLastWrite)
}

fn with_concurrency(item: StateItem, concurrency: StateConcurrency) -> StateItem {
    StateItem { options: Some(StateOptions { concurrency: concurrency.into(), consistency: 0 }), ..item }
}

pub fn expiring(mut item: StateItem, seconds: u32) -> StateItem {
    item.metadata.insert("ttlInSeconds".to_owned(), seconds.to_string());
    item
}
