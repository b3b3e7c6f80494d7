//! Spans of events on their way. Events travel together and belong to different traces: each whose trace is
//! recorded has a span of its own there.

use opentelemetry::trace::Status;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::trace_context::TraceContext;

/// What is done with events of one topic, all at once.
pub struct EventSpans {
    way: Way,
    topic: String,
    spans: Vec<Span>,
    first: Option<TraceContext>,
}

/// In which direction they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Out,
    In,
}

impl EventSpans {
    pub fn new(way: Way, topic: &str) -> Self {
        Self { way, topic: topic.to_owned(), spans: Vec::new(), first: None }
    }

    /// Begins the span of one event, and returns the context that goes on from it.
    pub fn begin(&mut self, trace: TraceContext) -> TraceContext {
        if !trace.is_recorded() {
            return trace;
        }
        let topic = self.topic.as_str();
        let (name, kind, operation) = match self.way {
            Way::Out => (format!("publish {topic}"), "producer", "send"),
            Way::In => (format!("process {topic}"), "consumer", "process"),
        };
        let span = info_span!(
            parent: None,
            "event",
            otel.name = name,
            otel.kind = kind,
            messaging.destination.name = topic,
            messaging.operation.type = operation,
        );
        trace.adopt(&span);
        let context = TraceContext::of(&span).unwrap_or(trace);
        self.spans.push(span);
        self.first.get_or_insert(context);
        context
    }

    /// Does the work that the events share, and ends their spans. What it calls can belong to one trace only:
    /// that of the first.
    pub async fn around<T, E>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let outcome = TraceContext::scope_of(self.first, work).await;
        if outcome.is_err() {
            for span in &self.spans {
                span.set_status(Status::error(""));
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{SpanKind, TracerProvider};
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SdkTracerProvider, SpanData, SpanExporter},
    };
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Keeps what is exported.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    impl Kept {
        /// Has the spans of this thread exported, for as long as the guard is kept.
        fn listen(&self) -> tracing::subscriber::DefaultGuard {
            let provider = SdkTracerProvider::builder().with_simple_exporter(self.clone()).build();
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tidemark"));
            tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
        }
    }

    fn trace(number: u8, flags: u8) -> TraceContext {
        format!("00-{number:032x}-00000000000000aa-{flags:02x}").parse().unwrap()
    }

    #[tokio::test]
    async fn every_recorded_event_has_a_span_in_its_own_trace() {
        let kept = Kept::default();
        let _guard = kept.listen();
        let mut spans = EventSpans::new(Way::Out, "marks");
        let unrecorded = trace(1, 0);
        assert_eq!(spans.begin(unrecorded), unrecorded);
        let carried: Vec<TraceContext> = [2, 3].map(|number| spans.begin(trace(number, 1))).into();
        let current = spans.around(async { Ok::<_, ()>(TraceContext::current()) }).await.unwrap();
        assert_eq!(current, Some(carried[0]), "calls belong to the first trace");

        let ended = kept.0.lock().unwrap();
        let seen = |span: &SpanData| (span.name.to_string(), span.span_kind.clone(), span.status.clone());
        let whole = ("publish marks".to_owned(), SpanKind::Producer, Status::Unset);
        assert_eq!(ended.iter().map(seen).collect::<Vec<_>>(), [whole.clone(), whole]);
        for (span, carried) in ended.iter().zip(&carried) {
            let context = &span.span_context;
            assert_eq!(carried.traceparent(), format!("00-{}-{}-01", context.trace_id(), context.span_id()));
            assert_eq!(span.parent_span_id.to_string(), "00000000000000aa");
        }
    }

    #[tokio::test]
    async fn what_fails_is_marked_in_every_trace() {
        let kept = Kept::default();
        let _guard = kept.listen();
        let mut spans = EventSpans::new(Way::In, "marks");
        spans.begin(trace(1, 1));
        spans.begin(trace(2, 1));
        spans.around(async { Err::<(), _>("the database is away") }).await.unwrap_err();
        let ended = kept.0.lock().unwrap();
        assert_eq!(ended.len(), 2);
        for span in ended.iter() {
            assert_eq!(span.name, "process marks");
            assert_eq!(span.status, Status::error(""));
        }
    }

    #[tokio::test]
    async fn where_spans_go_nowhere_the_context_goes_on_as_it_came() {
        let mut spans = EventSpans::new(Way::Out, "marks");
        assert_eq!(spans.begin(trace(1, 1)), trace(1, 1));
    }
}
