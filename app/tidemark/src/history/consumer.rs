//! Events into rows.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use metrics::{counter, histogram};
use tidemark_domain::{EntityKind, EventKind};
use tidemark_protocol::ledger::{self, HistoryEvent};
use tokio::time::timeout;
use tracing::{debug, error};

use super::schema::Schema;
use crate::clock::Clock;
use crate::dapr::{
    ConsumeError, DatabaseBinding, DatabaseError, Delivery, EventConsumer, Message, TopicPublisher,
};
use crate::telemetry::WithCauses;

/// Consumes the ledger.
pub struct Consumer {
    database: DatabaseBinding,
    dead_letters: TopicPublisher,
    schema: Schema,
    clock: Arc<dyn Clock>,
}

/// The tables are not ready: the batch comes again.
#[derive(Debug, thiserror::Error)]
#[error("the history tables are not ready")]
struct NotReady;

/// How long a batch waits for the tables before the sidecar is told to bring it again.
const PATIENCE: Duration = Duration::from_secs(5);
const PUBLISH_DEADLINE: Duration = Duration::from_secs(10);

/// A delivery that can never become a row.
struct DeadLetter {
    delivery: Delivery,
    reason: String,
}

impl Consumer {
    pub fn new(
        database: DatabaseBinding,
        ledger: &TopicPublisher,
        schema: Schema,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { database, dead_letters: ledger.to_topic(ledger::DEAD_LETTER_TOPIC), schema, clock }
    }

    /// Writes the rows with one statement. If the data of any row is at fault, writes them one by one and
    /// returns those that the database will never take.
    async fn write(&self, rows: Vec<(Delivery, HistoryEvent)>) -> Result<Vec<DeadLetter>, DatabaseError> {
        let batch: Vec<&HistoryEvent> = rows.iter().map(|(_, event)| event).collect();
        match self.record(&batch).await {
            Ok(()) => {
                self.count(&batch);
                return Ok(Vec::new());
            }
            Err(fault) if !fault.is_data_fault() => return Err(fault),
            Err(_) => {}
        }
        let mut refused = Vec::new();
        for (delivery, event) in rows {
            match self.record(&[&event]).await {
                Ok(()) => self.count(&[&event]),
                Err(fault) if fault.is_data_fault() => {
                    let reason = WithCauses(&fault).to_string();
                    refused.push(DeadLetter { delivery, reason });
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(refused)
    }

    /// The database takes the columns out of the events itself: sent beside them they would double the bytes.
    async fn record(&self, events: &[&HistoryEvent]) -> Result<(), DatabaseError> {
        if events.is_empty() {
            return Ok(());
        }
        let events = serde_json::to_string(events).expect("strings and numbers always make JSON");
        self.database.execute("SELECT record_events($1::text::jsonb)", &[&events]).await
    }

    /// Counts events that can be read from now on. A repeated delivery counts again, with its true age.
    fn count(&self, events: &[&HistoryEvent]) {
        let now = self.clock.now().as_millisecond();
        for event in events {
            let (entity, change) = labels(event);
            counter!("history_events_total", "entity" => entity, "type" => change).increment(1);
            // Clocks of two machines differ: what seems to come from the future is as young as can be.
            let age_milliseconds = u64::try_from(now - event.timestamp).unwrap_or_default();
            histogram!("history_event_age_seconds").record(Duration::from_millis(age_milliseconds));
        }
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

/// What was changed and how. Whoever may write to the topic may write any word: what is none of ours is `other`,
/// since each value of a label is a series of its own.
fn labels(event: &HistoryEvent) -> (&'static str, &'static str) {
    let entity =
        EntityKind::ALL.map(EntityKind::as_str).into_iter().find(|name| *name == event.payload.entity);
    let change = EventKind::ALL.map(EventKind::as_str).into_iter().find(|name| *name == event.event_type);
    (entity.unwrap_or("other"), change.unwrap_or("other"))
}

/// The event, if it can become a row.
fn read(payload: &[u8]) -> Result<HistoryEvent, String> {
    let event = ledger::decode(payload).map_err(|fault| WithCauses(&fault).to_string())?;
    ledger::event_id(&event).ok_or("the event id is no UUID")?;
    Timestamp::from_millisecond(event.timestamp).map_err(|fault| fault.to_string())?;
    Ok(event)
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
                Ok(event) => rows.push((delivery, event)),
                Err(reason) => dead.push(DeadLetter { delivery, reason }),
            }
        }
        for (_, event) in &rows {
            let (event_type, time) = (&event.event_type, event.timestamp);
            debug!(event_type, time, changes = event.payload.changes, "event arrived");
        }
        dead.extend(self.write(rows).await.map_err(|fault| ConsumeError(fault.into()))?);
        self.bury(dead).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::strange::any_or_damaged;

    proptest! {
        #[test]
        fn any_event_is_read_or_refused(bytes in any_or_damaged(good())) {
            match read(&bytes) {
                Ok(event) => {
                    prop_assert!(ledger::event_id(&event).is_some());
                    labels(&event);
                }
                Err(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }

    /// An event as the first release wrote it, in both formats.
    fn good() -> Vec<Vec<u8>> {
        let avro = include_bytes!("../../../protocol/schemas/samples/todo-history-events.v1.bin").to_vec();
        let json = serde_json::to_vec(&ledger::decode(&avro).unwrap()).unwrap();
        vec![avro, json]
    }
}
