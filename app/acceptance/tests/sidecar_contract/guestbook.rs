//! The guestbook, the example of the storage engine in `app/pages`: it works with nothing but what a sidecar
//! offers, whatever is behind it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use dapr::dapr::proto::runtime::v1::PublishEventRequest;
use dapr::dapr::proto::runtime::v1::topic_event_bulk_request_entry::Event;
use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Failure, Outcome, eventually, program, trials};
use tidemark_stack::{ProjectResources, SidecarOptions, project};
use tokio::process::Command;

use super::application::{Answer, Application, Batch, Subscription};
use super::contract::{APP_ID, Contract, Pair};
use super::delivery::SOON;
use super::sidecar::client;

/// How long one probe is waited for.
const GLANCE: Duration = Duration::from_millis(200);

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        a_guestbook_on_redis_and_kafka_is_signed_once_a_request_and_each_signature_is_an_event,
        a_guestbook_on_its_own_components_is_signed_once_a_request_and_each_signature_is_an_event,
    ]
}

async fn a_guestbook_on_redis_and_kafka_is_signed_once_a_request_and_each_signature_is_an_event(
    contract: Arc<Contract>,
) -> Outcome {
    let _calm = contract.calm_redis().await;
    let events = subscription("pubsub-history-0", "task.commented");
    let options =
        SidecarOptions { name: Some("guestbook-on-redis-sidecar".to_owned()), ..SidecarOptions::new(APP_ID) };
    let guestbook = Guestbook::start(&contract, events, options).await?;
    guestbook.is_signed_once_a_request_and_each_signature_is_an_event().await
}

/// The store makes its `ETag`s otherwise than Redis, and minds those of missing items.
async fn a_guestbook_on_its_own_components_is_signed_once_a_request_and_each_signature_is_an_event(
    contract: Arc<Contract>,
) -> Outcome {
    let options = SidecarOptions {
        project_resources: ProjectResources::Nothing,
        resources: vec![project().join("app/pages/examples/components")],
        ..SidecarOptions::new("guestbook")
    };
    let guestbook = Guestbook::start(&contract, subscription("pubsub", "guestbook"), options).await?;
    guestbook.is_heard().await?;
    guestbook.is_signed_once_a_request_and_each_signature_is_an_event().await
}

fn subscription(component: &'static str, topic: &'static str) -> Subscription {
    Subscription { component, topic, raw_payload: false, answer: Answer::Success }
}

/// The program, the sidecar that it is given, and a subscriber to its events.
struct Guestbook {
    program: PathBuf,
    pair: Pair,
    events: Subscription,
}

/// What a run of the program printed.
#[derive(Debug)]
struct Visit {
    /// What became of the two times it signed.
    signed: [String; 2],
    book: Vec<String>,
    published: BTreeSet<SignatureEvent>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SignatureEvent {
    id: String,
    payload: String,
}

impl Guestbook {
    async fn start(contract: &Contract, events: Subscription, options: SidecarOptions) -> Outcome<Self> {
        let program = program::build_example("guestbook").map_err(Failure::new)?;
        let application = Application::start("guestbook", vec![events]).await?;
        Ok(Self { program, pair: contract.pair(application, options).await?, events })
    }

    /// A topic in the sidecar's memory keeps nothing for those who come later: waits until somebody listens.
    async fn is_heard(&self) -> Outcome {
        let client = client(&self.pair.sidecar)?;
        eventually("somebody who listens", SOON, async || {
            let probe = PublishEventRequest {
                pubsub_name: self.events.component.to_owned(),
                topic: self.events.topic.to_owned(),
                data: b"{}".to_vec(),
                data_content_type: "application/json".to_owned(),
                ..PublishEventRequest::default()
            };
            client.clone().publish_event(probe).await.map_err(|status| status.to_string())?;
            let heard = self.pair.application.batches(self.events.component, GLANCE, |all| !all.is_empty());
            heard.await.map(drop).map_err(|failure| failure.to_string())
        })
        .await
    }

    async fn run(&self, request: &str, name: &str, words: &str) -> Outcome<Output> {
        let output = Command::new(&self.program)
            .args(["--topic", self.events.topic, "--request", request, name, words])
            .env("DAPR_GRPC_ENDPOINT", self.pair.sidecar.grpc_endpoint())
            .env("DAPR_API_TOKEN", self.pair.sidecar.api_token())
            .kill_on_drop(true)
            .output();
        Ok(output.await?)
    }

    async fn visit(&self, request: &str, name: &str, words: &str) -> Outcome<Visit> {
        let output = self.run(request, name, words).await?;
        let text = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("the guestbook ended with {}: {text}{told}", output.status)));
        }
        let (events, told): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("event "));
        let published = events.iter().filter_map(|line| {
            let (id, payload) = line.strip_prefix("event ")?.split_once(" is published: ")?;
            Some(SignatureEvent { id: id.to_owned(), payload: payload.to_owned() })
        });
        let mut told = told.into_iter().map(str::to_owned);
        let mut signed = || told.next().ok_or_else(|| Failure::new(format!("no signature in {text}")));
        Ok(Visit { signed: [signed()?, signed()?], book: told.collect(), published: published.collect() })
    }

    async fn is_signed_once_a_request_and_each_signature_is_an_event(&self) -> Outcome {
        const ADAS: &str = "00000000-0000-4000-8000-00000000ada0";
        const BOBS: &str = "00000000-0000-4000-8000-00000000b0b0";
        let signed =
            |request: &str, number: u8| format!("request {request} signed the book as number {number}");
        let had_signed =
            |request: &str, number: u8| format!("request {request} had signed the book as number {number}");

        let first = self.visit(ADAS, "Ada", "I was here").await?;
        assert_eq!(first.signed, [signed(ADAS, 1), had_signed(ADAS, 1)]);
        assert_eq!(first.book, ["1. Ada: I was here"]);

        let again = self.visit(ADAS, "Ada", "I was here").await?;
        assert_eq!(again.signed, [had_signed(ADAS, 1), had_signed(ADAS, 1)]);
        assert_eq!(again.book, ["1. Ada: I was here"]);
        assert_eq!(again.published, BTreeSet::new());

        let other_words = self.run(ADAS, "Ada", "I was never here").await?;
        let told = String::from_utf8_lossy(&other_words.stderr);
        assert!(told.contains("the idempotency key belongs to another request"), "{told}");

        let second = self.visit(BOBS, "Bob", "So was I").await?;
        assert_eq!(second.signed, [signed(BOBS, 2), had_signed(BOBS, 2)]);
        assert_eq!(second.book, ["1. Ada: I was here", "2. Bob: So was I"]);

        let published: BTreeSet<SignatureEvent> = first.published.union(&second.published).cloned().collect();
        let payloads: Vec<&str> = published.iter().map(|event| event.payload.as_str()).collect();
        assert_eq!(payloads, ["Ada: I was here", "Bob: So was I"], "their ids rise with time");
        let arrived = self.pair.application.batches(self.events.component, SOON, |batches| {
            let events: Vec<SignatureEvent> = signature_events(batches).collect();
            published.iter().all(|event| events.iter().any(|arrived| arrived.payload == event.payload))
        });
        let arrived: BTreeSet<SignatureEvent> = signature_events(&arrived.await?).collect();
        assert_eq!(arrived, published, "an event has one id, however often it comes");
        Ok(())
    }
}

/// What has come, without what other trials have published to the same topic.
fn signature_events(batches: &[Batch]) -> impl Iterator<Item = SignatureEvent> {
    let entries = batches.iter().flat_map(|batch| &batch.entries);
    entries.filter_map(|entry| match &entry.event {
        Some(Event::CloudEvent(event)) if event.data_content_type == "text/plain" => {
            let payload = String::from_utf8_lossy(&event.data).into_owned();
            Some(SignatureEvent { id: event.id.clone(), payload })
        }
        _ => None,
    })
}
