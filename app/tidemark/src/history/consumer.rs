//! Events into rows.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use metrics::{counter, histogram};
use serde::Serialize;
use tidemark_protocol::ledger::{self, HistoryEvent};
use tokio::time::timeout;
use tracing::{debug, error};
use uuid::Uuid;

use super::schema::Schema;
use crate::dapr::{
    ConsumeError, DatabaseBinding, DatabaseError, Delivery, EventConsumer, Message, TopicPublisher,
};
use crate::telemetry::WithCauses;

/// Consumes the ledger.
pub struct Consumer {
    database: DatabaseBinding,
    dead_letters: TopicPublisher,
    schema: Schema,
}

/// The tables are not ready: the batch comes again.
#[derive(Debug, thiserror::Error)]
#[error("the history tables are not ready")]
struct NotReady;

/// How long a batch waits for the tables before the sidecar is told to bring it again.
const PATIENCE: Duration = Duration::from_secs(5);
const PUBLISH_DEADLINE: Duration = Duration::from_secs(10);

/// An event as the columns hold it.
#[derive(Serialize)]
struct Row {
    timestamp: String,
    event_type: String,
    entity: String,
    entity_id: String,
    group_id: Option<String>,
    group_name: Option<String>,
    task_id: Option<String>,
    task_name: Option<String>,
    changes: String,
    user_name: String,
    workspace: String,
    event_id: Uuid,
    event_data: HistoryEvent,
}

/// A delivery that can never become a row.
struct DeadLetter {
    delivery: Delivery,
    reason: String,
}

impl Consumer {
    pub fn new(database: DatabaseBinding, ledger: &TopicPublisher, schema: Schema) -> Self {
        Self { database, dead_letters: ledger.to_topic(ledger::DEAD_LETTER_TOPIC), schema }
    }

    /// Writes the rows with one statement. If the data of any row is at fault, writes them one by one and
    /// returns those that the database will never take.
    async fn write(&self, rows: Vec<(Delivery, Row)>) -> Result<Vec<DeadLetter>, DatabaseError> {
        let batch: Vec<&Row> = rows.iter().map(|(_, row)| row).collect();
        match self.record(&batch).await {
            Ok(()) => return Ok(Vec::new()),
            Err(fault) if !fault.is_data_fault() => return Err(fault),
            Err(_) => {}
        }
        let mut refused = Vec::new();
        for (delivery, row) in rows {
            match self.record(&[&row]).await {
                Ok(()) => {}
                Err(fault) if fault.is_data_fault() => {
                    let reason = WithCauses(&fault).to_string();
                    refused.push(DeadLetter { delivery, reason });
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(refused)
    }

    async fn record(&self, rows: &[&Row]) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = serde_json::to_string(rows).expect("strings and numbers always make JSON");
        self.database.execute("SELECT record_events($1::text::jsonb)", &[&rows]).await
    }

    async fn bury(&self, dead: Vec<DeadLetter>) -> Result<(), ConsumeError> {
        if dead.is_empty() {
            return Ok(());
        }
        for letter in &dead {
            counter!("consumer_dead_letters_total", "topic" => ledger::TOPIC).increment(1);
            let (partition, offset) = (&letter.delivery.partition, &letter.delivery.offset);
            error!(partition, offset, reason = letter.reason, "event went to the dead-letter topic");
        }
        let messages = dead.into_iter().map(|letter| Message {
            partition_key: letter.delivery.partition.clone(),
            payload: letter.delivery.payload,
            headers: vec![
                ("reason", letter.reason),
                ("originTopic", ledger::TOPIC.to_owned()),
                ("originPartition", letter.delivery.partition),
                ("originOffset", letter.delivery.offset),
            ],
        });
        let published = self.dead_letters.publish_raw(messages, PUBLISH_DEADLINE).await;
        published.map_err(|fault| ConsumeError(fault.into()))
    }
}

fn read(payload: &[u8]) -> Result<Row, String> {
    let event = ledger::decode(payload).map_err(|fault| WithCauses(&fault).to_string())?;
    let event_id = ledger::event_id(&event).ok_or("the event id is no UUID")?;
    let timestamp = Timestamp::from_millisecond(event.timestamp).map_err(|fault| fault.to_string())?;
    let payload = event.payload.clone();
    Ok(Row {
        timestamp: timestamp.to_string(),
        event_type: event.event_type.clone(),
        entity: payload.entity,
        entity_id: payload.entity_id,
        group_id: payload.group_id,
        group_name: payload.group_name,
        task_id: payload.task_id,
        task_name: payload.task_name,
        changes: payload.changes,
        user_name: payload.user,
        workspace: payload.workspace,
        event_id,
        event_data: event,
    })
}

#[async_trait]
impl EventConsumer for Consumer {
    async fn consume(&self, batch: Vec<Delivery>) -> Result<(), ConsumeError> {
        let mut schema = self.schema.clone();
        if !matches!(timeout(PATIENCE, schema.ready()).await, Ok(Some(_))) {
            return Err(ConsumeError(NotReady.into()));
        }
        histogram!("consumer_events_per_batch", "topic" => ledger::TOPIC)
            .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let (mut rows, mut dead) = (Vec::with_capacity(batch.len()), Vec::new());
        for delivery in batch {
            match read(&delivery.payload) {
                Ok(row) => rows.push((delivery, row)),
                Err(reason) => dead.push(DeadLetter { delivery, reason }),
            }
        }
        for (_, row) in &rows {
            debug!(
                event_type = row.event_type,
                time = row.timestamp,
                changes = row.changes,
                "event recorded"
            );
        }
        dead.extend(self.write(rows).await.map_err(|fault| ConsumeError(fault.into()))?);
        self.bury(dead).await
    }
}
