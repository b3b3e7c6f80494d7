//! Nothing published is lost while the application or its sidecar is away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Outcome, eventually, trials};

use super::application::{Answer, Application, Batch, Subscription};
use super::contract::{Contract, options};
use super::delivery::{SOON, consumer_component, publish};

/// Kafka waits for a killed consumer as long as `sessionTimeout` says, 6 s.
const AFTER_A_KILL: Duration = Duration::from_secs(45);

const AWAY: Subscription = Subscription {
    component: "pubsub-history-0",
    topic: "group.changed",
    raw_payload: true,
    answer: Answer::Success,
};
const KILLED: Subscription = Subscription {
    component: "pubsub-history-1",
    topic: "user.registered",
    raw_payload: true,
    answer: Answer::SilenceAtFirst,
};

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        a_batch_that_a_killed_sidecar_had_handed_over_comes_again_and_nothing_is_lost,
        events_published_while_the_application_is_away_wait_for_it_in_order,
    ]
}

fn numbered(numbers: std::ops::Range<u32>) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    numbers.map(|number| ("one key", format!("{number:04}").into_bytes()))
}

fn distinct(batches: &[Batch]) -> BTreeSet<&[u8]> {
    batches.iter().flat_map(Batch::payloads).collect()
}

async fn events_published_while_the_application_is_away_wait_for_it_in_order(
    contract: Arc<Contract>,
) -> Outcome {
    let application = Application::start("away", vec![AWAY]).await?;
    let components = [(AWAY.component, consumer_component(AWAY)?)];
    let pair = contract.pair(application, options("away", components)).await?;
    publish(&contract, AWAY.topic, numbered(0..10)).await?;
    pair.application.batches(AWAY.component, SOON, |batches| distinct(batches).len() == 10).await?;

    pair.application.stop().await?;
    publish(&contract, AWAY.topic, numbered(10..50)).await?;
    eventually("the sidecar has noticed and stopped its subscription", SOON, async || {
        let log = pair.sidecar.part().log_tail(20);
        if log.contains("App entered un-healthy status") { Ok(()) } else { Err(log) }
    })
    .await?;
    publish(&contract, AWAY.topic, numbered(50..100)).await?;
    pair.application.serve().await?;
    let batches =
        pair.application.batches(AWAY.component, SOON, |batches| distinct(batches).len() == 100).await?;
    let mut arrived: Vec<&[u8]> = batches.iter().flat_map(Batch::payloads).collect();
    arrived.dedup();
    assert!(arrived.is_sorted(), "repeats may come, but nothing out of order");
    // An application with other subscriptions needs a new sidecar.
    assert_eq!(pair.application.count_calls("ListTopicSubscriptions"), 1);
    Ok(())
}

async fn a_batch_that_a_killed_sidecar_had_handed_over_comes_again_and_nothing_is_lost(
    contract: Arc<Contract>,
) -> Outcome {
    let application = Application::start("killed", vec![KILLED]).await?;
    let components = [(KILLED.component, consumer_component(KILLED)?)];
    let pair = contract.pair(application, options("killed", components)).await?;
    publish(&contract, KILLED.topic, numbered(0..60)).await?;
    let unanswered = pair.application.batches(KILLED.component, SOON, |batches| !batches.is_empty()).await?;
    pair.sidecar.part().kill().await?;
    publish(&contract, KILLED.topic, numbered(60..100)).await?;
    pair.sidecar.part().start().await?;

    let batches = pair
        .application
        .batches(KILLED.component, AFTER_A_KILL, |batches| {
            distinct(batches).len() == 100 && batches.len() > 1
        })
        .await?;
    let again = batches.get(1..).unwrap_or_default();
    let accepted = distinct(again);
    assert!(distinct(&unanswered).is_subset(&accepted), "the unanswered batch came again");
    assert_eq!(accepted.len(), 100, "nothing is lost");
    Ok(())
}
