//! The W3C trace context of a request: taken from the caller or begun here, carried through every call that
//! the request makes and inside the events that it leaves.

use std::{fmt, str::FromStr, sync::Arc};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use rand::Rng;
use tidemark_pages::{CallContext, Work};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Which trace, and which span of it, is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// The text is no `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct InvalidTraceparent;

tokio::task_local! {
    static CURRENT: TraceContext;
}

impl TraceContext {
    pub const HEADER: &'static str = "traceparent";

    /// Of work that no request asked for. A sidecar that hears nothing would begin a trace of its own for every
    /// call; this tells it not to.
    pub const NOBODYS: Self = Self { trace_id: 1, span_id: 1, flags: 0 };

    /// A new trace. Of all of them, `share` [0 to 1] are recorded.
    pub fn begin(share: f64) -> Self {
        let mut random = rand::rng();
        Self {
            trace_id: random.random::<u128>() | 1,
            span_id: random.random::<u64>() | 1,
            flags: u8::from(random.random_bool(share)),
        }
    }

    /// The context of the task that runs now: its span if spans are exported, else what its request brought.
    pub fn current() -> Option<Self> {
        Self::of(&tracing::Span::current()).or_else(|| CURRENT.try_with(|current| *current).ok())
    }

    /// The context of this span, if spans are exported.
    pub fn of(span: &tracing::Span) -> Option<Self> {
        let context = span.context();
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| Self {
            trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(span.span_id().to_bytes()),
            flags: span.trace_flags().to_u8(),
        })
    }

    /// Whether the trace is being recorded.
    pub fn is_recorded(self) -> bool {
        self.flags & 1 == 1
    }

    /// The context of the task that runs now, if its trace is being recorded, as the pages carry it.
    pub fn recorded() -> Option<Arc<dyn CallContext>> {
        Some(Arc::new(Self::current().filter(|trace| trace.is_recorded())?))
    }

    /// What an event carries beside its payload, so that its way can be followed: nothing, if its trace is not
    /// recorded.
    pub fn attributes(traceparent: Option<&str>) -> Vec<(String, String)> {
        let trace =
            traceparent.and_then(|text| text.parse::<Self>().ok()).filter(|trace| trace.is_recorded());
        trace.map(|trace| (Self::HEADER.to_owned(), trace.traceparent())).into_iter().collect()
    }

    /// Runs `future` in `trace` if there is one.
    pub async fn scope_of<F: Future>(trace: Option<Self>, future: F) -> F::Output {
        match trace {
            Some(trace) => trace.scope(future).await,
            None => future.await,
        }
    }

    /// Runs `future` with this context as the current one.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Makes `span` a child of this context.
    pub fn adopt(self, span: &tracing::Span) {
        let parent = SpanContext::new(
            TraceId::from_bytes(self.trace_id.to_be_bytes()),
            SpanId::from_bytes(self.span_id.to_be_bytes()),
            TraceFlags::new(self.flags),
            true,
            TraceState::NONE,
        );
        // Fails only where no span layer is installed: then there is nothing to adopt.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }

    pub fn traceparent(self) -> String {
        self.to_string()
    }

    /// The trace's id as log lines and error answers show it.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl CallContext for TraceContext {
    fn enclose<'work>(&self, work: Work<'work>) -> Work<'work> {
        Box::pin(self.scope(work))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace_id, span_id, flags] = parts[..] else { return Err(InvalidTraceparent) };
        let lower_hex =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let lengths = (version.len(), trace_id.len(), span_id.len(), flags.len());
        if version != "00" || lengths != (2, 32, 16, 2) || !parts.iter().copied().all(lower_hex) {
            return Err(InvalidTraceparent);
        }
        let context = Self {
            trace_id: u128::from_str_radix(trace_id, 16).map_err(|_| InvalidTraceparent)?,
            span_id: u64::from_str_radix(span_id, 16).map_err(|_| InvalidTraceparent)?,
            flags: u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceparent)?,
        };
        if context.trace_id == 0 || context.span_id == 0 { Err(InvalidTraceparent) } else { Ok(context) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_traceparent_reads_back_as_it_was_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
        let begun = TraceContext::begin(0.5);
        assert_eq!(begun.to_string().parse(), Ok(begun));
    }

    #[test]
    fn the_share_decides_how_many_new_traces_are_recorded() {
        assert!(TraceContext::begin(1.0).is_recorded());
        assert!(!TraceContext::begin(0.0).is_recorded());
        assert!(!TraceContext::NOBODYS.is_recorded());
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(wrong.parse::<TraceContext>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_carries_its_trace_only_if_that_is_recorded() {
        let recorded = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let carried = vec![("traceparent".to_owned(), recorded.to_owned())];
        assert_eq!(TraceContext::attributes(Some(recorded)), carried);
        let others =
            [None, Some("no trace"), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")];
        for other in others {
            assert_eq!(TraceContext::attributes(other), []);
        }
    }

    #[tokio::test]
    async fn a_scope_has_its_context_and_outside_there_is_none() {
        let begun = TraceContext::begin(0.5);
        assert_eq!(begun.scope(async { TraceContext::current() }).await, Some(begun));
        assert_eq!(TraceContext::current(), None);
    }

    proptest! {
        #[test]
        fn any_traceparent_is_read_or_refused(text in "\\PC{0,60}|[0-9]{2}-[0-9a-g]{32}-[0-9a-fA]{16}-[0-9a-f]{2}(-[0-9]{2})?|00-[0-9a-f+-]{52}") {
            if let Ok(trace) = text.parse::<TraceContext>() {
                prop_assert_eq!(trace.to_string(), text);
            }
        }
    }
}
