//! The pub/sub component, as the relay needs it: bulks of raw bytes, each with its partition key.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use dapr::dapr::proto::runtime::v1::{BulkPublishRequest, BulkPublishRequestEntry};
use tidemark_pages::{OutboxEvent, PublishError, Publisher};

use super::sidecar::{Client, Sidecar};
use crate::telemetry::{
    event_spans::{EventSpans, Way},
    trace_context::TraceContext,
};

const CONTENT_TYPE: &str = "application/octet-stream";

/// The sidecar gave up waiting for the broker after its own retries; a longer wait here would only hide it.
const DEADLINE: Duration = Duration::from_secs(15);

/// One topic of the pub/sub component.
#[derive(Clone)]
pub struct TopicPublisher {
    sidecar: Sidecar,
    component: String,
    topic: &'static str,
}

/// One message for the broker.
pub struct Message {
    pub partition_key: String,
    pub payload: Bytes,
    pub headers: Vec<(&'static str, String)>,
}

/// Some of a bulk did not reach the broker.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {total} events did not reach the broker: {first}")]
struct PartlyPublished {
    failed: usize,
    total: usize,
    first: String,
}

impl TopicPublisher {
    pub fn new(sidecar: Sidecar, component: String, topic: &'static str) -> Self {
        Self { sidecar, component, topic }
    }

    /// The same component's other topic.
    pub fn to_topic(&self, topic: &'static str) -> Self {
        Self { topic, ..self.clone() }
    }

    /// Publishes `messages` in the order given.
    pub async fn publish_raw(
        &self,
        messages: impl IntoIterator<Item = Message>,
        deadline: Duration,
    ) -> Result<(), PublishError> {
        let entries: Vec<BulkPublishRequestEntry> = messages
            .into_iter()
            .enumerate()
            .map(|(number, Message { partition_key, payload, headers })| BulkPublishRequestEntry {
                entry_id: number.to_string(),
                event: payload.into(),
                content_type: CONTENT_TYPE.to_owned(),
                metadata: headers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .chain([("partitionKey".to_owned(), partition_key)])
                    .collect(),
            })
            .collect();
        let total = entries.len();
        let request = BulkPublishRequest {
            pubsub_name: self.component.clone(),
            topic: self.topic.to_owned(),
            entries,
            metadata: HashMap::from([("rawPayload".to_owned(), "true".to_owned())]),
        };
        let send = |mut client: Client, request| async move { client.bulk_publish_event(request).await };
        let answer = self.sidecar.call("bulk_publish_event", request, deadline, send).await;
        let failed = answer.map_err(PublishError::new)?.failed_entries;
        match failed.first() {
            None => Ok(()),
            Some(first) => {
                let first = first.error.clone();
                Err(PublishError::new(PartlyPublished { failed: failed.len(), total, first }))
            }
        }
    }
}

#[async_trait]
impl Publisher for TopicPublisher {
    async fn publish(&self, events: &[Arc<OutboxEvent>]) -> Result<(), PublishError> {
        let mut spans = EventSpans::new(Way::Out, self.topic);
        let mut message = |event: &OutboxEvent| {
            let traceparent = event.attributes.iter().find(|(name, _)| name == TraceContext::HEADER);
            let trace = traceparent.and_then(|(_, text)| text.parse().ok()).map(|trace| spans.begin(trace));
            Message {
                partition_key: event.partition_key.clone(),
                payload: event.payload.clone(),
                headers: trace.map(|trace| (TraceContext::HEADER, trace.traceparent())).into_iter().collect(),
            }
        };
        let messages: Vec<Message> = events.iter().map(|event| message(event)).collect();
        spans.around(Box::pin(self.publish_raw(messages, DEADLINE))).await
    }
}
