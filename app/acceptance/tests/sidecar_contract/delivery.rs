//! Events from publishing to delivery: bytes, keys, partitions, order, and what follows an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dapr::dapr::proto::runtime::v1::topic_event_bulk_request_entry::Event;
use dapr::dapr::proto::runtime::v1::{
    BulkPublishRequest, BulkPublishRequestEntry, PublishEventRequest, TopicEventBulkRequestEntry,
};
use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Failure, Outcome, trials};

use super::application::{Answer, Batch, Subscription, payload};
use super::contract::{Contract, component};
use super::sidecar::{DEADLINE, call};

pub const SOON: Duration = Duration::from_secs(30);

const RAW: Subscription = Subscription {
    component: "pubsub-history-0",
    topic: "todo-history-events",
    raw_payload: true,
    answer: Answer::Success,
};
const KEYED: Subscription = Subscription {
    component: "pubsub-history-1",
    topic: "task.created",
    raw_payload: true,
    answer: Answer::Success,
};
const ORDERED: Subscription = Subscription {
    component: "pubsub-history-2",
    topic: "task.updated",
    raw_payload: true,
    answer: Answer::Success,
};
const REFUSED: Subscription = Subscription {
    component: "pubsub-history-3",
    topic: "task.deleted",
    raw_payload: true,
    answer: Answer::ErrorAtFirst,
};
const DECODED: Subscription = Subscription {
    component: "pubsub-history-4",
    topic: "task.commented",
    raw_payload: false,
    answer: Answer::Success,
};
const WITHOUT_POLICY: Subscription = Subscription {
    component: "pubsub-without-policy",
    topic: "task.status-changed",
    raw_payload: true,
    answer: Answer::ErrorAtFirst,
};

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        without_an_inbound_policy_a_refused_batch_waits_for_five_seconds,
        raw_payloads_arrive_byte_for_byte,
        without_raw_payload_large_numbers_are_rounded,
        an_entry_says_where_the_broker_keeps_it_and_nothing_else_identifies_it,
        a_partition_key_decides_the_partition_and_arrives_with_the_event,
        a_batch_comes_from_one_partition,
        events_of_one_key_keep_their_order_within_and_across_bulks,
        a_refused_batch_comes_again_whole_and_in_order_and_soon,
        an_accepted_batch_does_not_come_again,
    ]
}

pub fn subscriptions() -> Vec<Subscription> {
    vec![RAW, KEYED, ORDERED, REFUSED, DECODED, WITHOUT_POLICY]
}

/// The project's own components, each in a consumer group of its own.
pub fn components() -> Outcome<Vec<(String, String)>> {
    let mut components = Vec::new();
    for subscription in subscriptions() {
        components.push((subscription.component.to_owned(), consumer_component(subscription)?));
    }
    Ok(components)
}

pub fn consumer_component(Subscription { component: name, topic, .. }: Subscription) -> Outcome<String> {
    let group = format!("value: contract-{topic}");
    let copy = ("value: todo-consumer-group-go", group.as_str());
    if name == WITHOUT_POLICY.component {
        component("pubsub-history-0", &[copy, ("name: pubsub-history-0", &format!("name: {name}"))])
    } else {
        component(name, &[copy])
    }
}

/// Publishes as the application does: one bulk of raw payloads, each with its partition key.
pub async fn publish(
    contract: &Contract,
    topic: &str,
    events: impl IntoIterator<Item = (&str, Vec<u8>)>,
) -> Outcome {
    let entries = events
        .into_iter()
        .enumerate()
        .map(|(number, (key, event))| BulkPublishRequestEntry {
            entry_id: number.to_string(),
            event,
            content_type: "application/octet-stream".to_owned(),
            metadata: [("partitionKey".to_owned(), key.to_owned())].into(),
        })
        .collect();
    let request = BulkPublishRequest {
        pubsub_name: "pubsub".to_owned(),
        topic: topic.to_owned(),
        entries,
        metadata: [("rawPayload".to_owned(), "true".to_owned())].into(),
    };
    let answer = contract.client().await?.bulk_publish_event(call(request, DEADLINE)).await?.into_inner();
    match answer.failed_entries.first() {
        None => Ok(()),
        Some(first) => Err(Failure::new(&first.error)),
    }
}

/// Events whose payload begins with `prefix`: those of one trial.
fn of_trial<'batches>(
    batches: &'batches [Batch],
    prefix: &str,
) -> impl Iterator<Item = &'batches TopicEventBulkRequestEntry> {
    batches
        .iter()
        .flat_map(|batch| &batch.entries)
        .filter(move |entry| payload(entry).starts_with(prefix.as_bytes()))
}

async fn await_events(
    contract: &Contract,
    subscription: Subscription,
    prefix: &str,
    count: usize,
) -> Outcome<Vec<Batch>> {
    let application = &contract.consumer().await?.application;
    application
        .batches(subscription.component, SOON, |batches| of_trial(batches, prefix).count() >= count)
        .await
}

fn metadata<'entry>(entry: &'entry TopicEventBulkRequestEntry, name: &str) -> &'entry str {
    entry.metadata.get(name).map_or("", String::as_str)
}

/// The payload in a form in which a difference can be seen; different bytes look different.
fn readable(entry: &TopicEventBulkRequestEntry) -> String {
    payload(entry).escape_ascii().to_string()
}

async fn raw_payloads_arrive_byte_for_byte(contract: Arc<Contract>) -> Outcome {
    let payloads: [&[u8]; 4] = [
        b"exact {\"number\": 9007199254740993, \"float\": 1.0, \"spaced\" :  true}",
        b"exact \x00\x00\x00\x00\x07\xC3\x28\xFF\xFE\x80",
        b"exact \"a JSON text\"",
        b"exact \r\n\t ",
    ];
    publish(&contract, RAW.topic, payloads.map(|payload| ("bytes", payload.to_vec()))).await?;
    let batches = await_events(&contract, RAW, "exact", payloads.len()).await?;
    let arrived: Vec<String> = of_trial(&batches, "exact").map(readable).collect();
    assert_eq!(arrived, payloads.map(|payload| payload.escape_ascii().to_string()));
    for entry in of_trial(&batches, "exact") {
        assert!(matches!(entry.event, Some(Event::Bytes(_))), "{entry:?}");
        assert_eq!(entry.content_type, "");
    }
    Ok(())
}

/// Why payloads are raw.
async fn without_raw_payload_large_numbers_are_rounded(contract: Arc<Contract>) -> Outcome {
    let request = PublishEventRequest {
        pubsub_name: "pubsub".to_owned(),
        topic: DECODED.topic.to_owned(),
        data: b"{\"number\":9007199254740993}".to_vec(),
        data_content_type: "application/json".to_owned(),
        metadata: HashMap::new(),
    };
    contract.client().await?.publish_event(call(request, DEADLINE)).await?;
    let batches = await_events(&contract, DECODED, "{\"number\"", 1).await?;
    let arrived: Vec<&[u8]> = of_trial(&batches, "{\"number\"").map(payload).collect();
    assert_eq!(arrived, [b"{\"number\":9007199254740992}"]);
    Ok(())
}

/// There is no message id: consumers find repeats by the event's own id.
async fn an_entry_says_where_the_broker_keeps_it_and_nothing_else_identifies_it(
    contract: Arc<Contract>,
) -> Outcome {
    let events = (0..50).map(|number| ("place", format!("place {number}").into_bytes()));
    publish(&contract, RAW.topic, events).await?;
    let batches = await_events(&contract, RAW, "place", 50).await?;
    for batch in &batches {
        assert_eq!(batch.topic, RAW.topic);
        for (index, entry) in batch.entries.iter().enumerate() {
            assert_eq!(entry.entry_id, index.to_string(), "an entry's id is its index in the batch");
            assert_eq!(metadata(entry, "__topic"), RAW.topic);
            metadata(entry, "__timestamp").parse::<u64>()?;
        }
    }
    let mut offsets = Vec::new();
    for entry in of_trial(&batches, "place") {
        let partition: u8 = metadata(entry, "__partition").parse()?;
        offsets.push((partition, metadata(entry, "__offset").parse::<u64>()?));
    }
    assert!(offsets.is_sorted(), "one key, one partition, rising offsets: {offsets:?}");
    let places: BTreeSet<(u8, u64)> = offsets.iter().copied().collect();
    assert_eq!(places.len(), 50, "partition and offset tell events apart");
    Ok(())
}

async fn a_partition_key_decides_the_partition_and_arrives_with_the_event(
    contract: Arc<Contract>,
) -> Outcome {
    let keys: Vec<String> = (0..60).map(|number| format!("group-{number}")).collect();
    let event = |key: &str| format!("keyed {key}").into_bytes();
    for _ in 0..2 {
        publish(&contract, KEYED.topic, keys.iter().map(|key| (key.as_str(), event(key)))).await?;
    }
    let single = PublishEventRequest {
        pubsub_name: "pubsub".to_owned(),
        topic: KEYED.topic.to_owned(),
        data: event("group-7"),
        data_content_type: "application/octet-stream".to_owned(),
        metadata: [("rawPayload", "true"), ("partitionKey", "group-7")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    contract.client().await?.publish_event(call(single, DEADLINE)).await?;

    let batches = await_events(&contract, KEYED, "keyed", 2 * keys.len() + 1).await?;
    let mut partitions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in of_trial(&batches, "keyed") {
        let key = metadata(entry, "__key");
        assert_eq!(readable(entry), format!("keyed {key}"), "the key came with its own event");
        partitions.entry(key).or_default().insert(metadata(entry, "__partition"));
    }
    assert_eq!(partitions.len(), keys.len());
    assert!(partitions.values().all(|of_key| of_key.len() == 1), "{partitions:?}");
    let used: BTreeSet<&str> = partitions.into_values().flatten().collect();
    assert_eq!(used.len(), 6, "keys spread over all partitions: {used:?}");
    Ok(())
}

async fn a_batch_comes_from_one_partition(contract: Arc<Contract>) -> Outcome {
    let keys: Vec<String> = (0..30).map(|number| format!("group-{number}")).collect();
    let events = (0..300).zip(keys.iter().cycle());
    let events = events.map(|(number, key)| (key.as_str(), format!("mixed {number}").into_bytes()));
    publish(&contract, KEYED.topic, events).await?;
    let batches = await_events(&contract, KEYED, "mixed", 300).await?;
    for batch in &batches {
        let partitions: BTreeSet<&str> =
            batch.entries.iter().map(|entry| metadata(entry, "__partition")).collect();
        assert_eq!(partitions.len(), 1, "{partitions:?}");
    }
    assert!(batches.iter().any(|batch| batch.entries.len() > 1), "no batch had two events");
    Ok(())
}

async fn events_of_one_key_keep_their_order_within_and_across_bulks(contract: Arc<Contract>) -> Outcome {
    const BULKS: u32 = 10;
    const EVENTS_OF_A_KEY_IN_A_BULK: u32 = 25;
    let keys = ["one", "two", "three", "four"];
    for bulk in 0..BULKS {
        let numbers = (0..EVENTS_OF_A_KEY_IN_A_BULK).map(|number| bulk * EVENTS_OF_A_KEY_IN_A_BULK + number);
        let events = numbers.flat_map(|number| keys.map(|key| (key, format!("order {number}").into_bytes())));
        publish(&contract, ORDERED.topic, events).await?;
    }
    let of_a_key = BULKS * EVENTS_OF_A_KEY_IN_A_BULK;
    let batches = await_events(&contract, ORDERED, "order", of_a_key as usize * keys.len()).await?;
    for key in keys {
        let arrived: Vec<String> = of_trial(&batches, "order")
            .filter(|entry| metadata(entry, "__key") == key)
            .map(readable)
            .collect();
        let published: Vec<String> = (0..of_a_key).map(|number| format!("order {number}")).collect();
        assert_eq!(arrived, published, "{key}");
    }
    Ok(())
}

/// Publishes a bulk under one key to a subscription that refuses every batch at first. Returns, for each
/// batch, what came, what came in the next call, and the time between the two.
async fn refused_and_repeated(
    contract: &Contract,
    subscription: Subscription,
    prefix: &str,
) -> Outcome<Vec<(Batch, Batch, Duration)>> {
    let events = (0..200).map(|number| ("refused", format!("{prefix} {number}").into_bytes()));
    publish(contract, subscription.topic, events).await?;
    let batches = await_events(contract, subscription, prefix, 400).await?;
    let of_this_trial: Vec<Batch> = batches
        .into_iter()
        .filter(|batch| of_trial(std::slice::from_ref(batch), prefix).next().is_some())
        .collect();
    let pairs = of_this_trial.chunks_exact(2).map(|pair| {
        let [first, second] = pair else { unreachable!("chunks of two") };
        (first.clone(), second.clone(), second.received - first.received)
    });
    Ok(pairs.collect())
}

async fn a_refused_batch_comes_again_whole_and_in_order_and_soon(contract: Arc<Contract>) -> Outcome {
    let pairs = refused_and_repeated(&contract, REFUSED, "repeated").await?;
    assert!(pairs.iter().any(|(first, _, _)| first.entries.len() > 1), "no batch had two events");
    for (first, second, pause) in &pairs {
        assert_eq!(first.payloads(), second.payloads());
        assert!(*pause < Duration::from_secs(2), "came again after {pause:?}");
    }
    Ok(())
}

/// Why `dapr/resiliency.yaml` has an inbound policy for every component that is subscribed.
async fn without_an_inbound_policy_a_refused_batch_waits_for_five_seconds(
    contract: Arc<Contract>,
) -> Outcome {
    let pairs = refused_and_repeated(&contract, WITHOUT_POLICY, "late").await?;
    for (first, second, pause) in &pairs {
        assert_eq!(first.payloads(), second.payloads());
        assert!(*pause > Duration::from_secs(4), "came again after {pause:?}");
    }
    Ok(())
}

async fn an_accepted_batch_does_not_come_again(contract: Arc<Contract>) -> Outcome {
    let first = (0..20).map(|number| ("accepted", format!("accepted {number}").into_bytes()));
    publish(&contract, REFUSED.topic, first).await?;
    await_events(&contract, REFUSED, "accepted", 40).await?;
    let last = [("accepted", b"accepted last".to_vec())];
    publish(&contract, REFUSED.topic, last).await?;
    let batches = await_events(&contract, REFUSED, "accepted", 42).await?;
    let mut deliveries: BTreeMap<&[u8], u32> = BTreeMap::new();
    for entry in of_trial(&batches, "accepted") {
        *deliveries.entry(payload(entry)).or_default() += 1;
    }
    assert_eq!(deliveries.len(), 21);
    assert!(deliveries.values().all(|count| *count == 2), "once refused, once accepted: {deliveries:?}");
    Ok(())
}
