//! What happens around every request: its id, its trace, its metrics, and an answer even to a panic.

use std::any::Any;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method};
use metrics::{counter, gauge, histogram};
use opentelemetry::trace::Status;
use tidemark_api::Refusal;
use tokio::time::Instant;
use tracing::{Instrument, debug, error, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use super::{problem::Problem, unread};
use crate::telemetry::trace_context::TraceContext;

/// The name by which clients, logs and support find a request.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

tokio::task_local! {
    static CURRENT: RequestId;
}

impl RequestId {
    pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
    const LONGEST: usize = 128;

    /// The id of the request that the current task serves.
    pub fn current() -> Option<String> {
        CURRENT.try_with(|id| id.as_str().to_owned()).ok()
    }

    fn of(request: &Request) -> Self {
        // Harmless in any log. The edge keeps the same ones.
        let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let usable = |id: &&HeaderValue| {
            (1..=Self::LONGEST).contains(&id.len()) && id.as_bytes().iter().all(is_harmless)
        };
        match request.headers().get(Self::HEADER).filter(usable) {
            Some(id) => Self(id.clone()),
            None => Self(
                HeaderValue::try_from(Uuid::now_v7().simple().to_string())
                    .expect("hexadecimal digits are a valid header value"),
            ),
        }
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Counts a request for as long as it is kept: also one whose caller hangs up, which is dropped midway.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        gauge!("http_requests_in_flight").increment(1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!("http_requests_in_flight").decrement(1);
    }
}

/// The middleware around every route. Of the requests whose caller has not decided, `traced_share` are traced.
pub async fn around(State(traced_share): State<f64>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(&request);
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route_name = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let incoming = request.headers().get(TraceContext::HEADER).and_then(|value| value.to_str().ok());
    let trace = incoming
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| TraceContext::begin(if is_for_watching(route_name) { 0.0 } else { traced_share }));
    let span = info_span!(
        "request",
        otel.name = format!("{method} {route_name}"),
        otel.kind = "server",
        http.method = method,
        http.route = route_name,
        request.id = id.as_str(),
        trace.id = trace.trace_id(),
    );
    trace.adopt(&span);
    let in_flight = InFlight::begin();
    let (request, unread) = unread::watch(request);
    let served = trace.scope(CURRENT.scope(id.clone(), next.run(request))).instrument(span.clone());
    let mut response = served.await;
    drop(in_flight);

    let (status, elapsed) = (response.status(), started.elapsed());
    // Not a field of the span: its line in the log would be written anew for it.
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    let labels = [
        ("method", method.to_owned()),
        ("route", route_name.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    counter!("http_requests_total", &labels).increment(1);
    histogram!("http_request_duration_seconds", "method" => method, "route" => labels[1].1.clone())
        .record(elapsed);
    span.in_scope(|| debug!(status = status.as_u16(), ?elapsed, "request served"));
    response.headers_mut().insert(RequestId::HEADER, id.0);
    unread.discard().await;
    response
}

/// A method as metrics and traces name it: whoever makes one up makes no new series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Probes and scrapes come all day. The rules in `observability/prometheus` leave out the same.
fn is_for_watching(route: &str) -> bool {
    route.starts_with("/health") || matches!(route, "/api/health" | "/metrics")
}

/// The answer to a request whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer that calls this hands over the box")]
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    error!(panic = message, "request handler panicked");
    Problem(Refusal::internal()).into_response()
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::{Request, RequestId, is_for_watching, known};

    #[test]
    fn a_made_up_method_makes_no_series() {
        assert_eq!((known(&Method::PUT), known(&Method::from_bytes(b"BREW").unwrap())), ("PUT", "other"));
    }

    #[test]
    fn probes_and_scrapes_are_told_from_work() {
        assert!(["/health", "/health/ready", "/api/health", "/metrics"].into_iter().all(is_for_watching));
        assert!(!["/api/groups/{id}", "/", "unmatched"].into_iter().any(is_for_watching));
    }

    proptest! {
        #[test]
        fn any_id_is_read_or_refused(id in prop_oneof![prop::collection::vec(any::<u8>(), 0..140), "[a-z._-]{0,140}".prop_map(String::into_bytes)]) {
            if let Ok(request) = Request::get("/").header(RequestId::HEADER, id).body(axum::body::Body::empty()) {
                let id = RequestId::of(&request);
                let is_harmless = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
                prop_assert!((1..=128).contains(&id.as_str().len()) && id.as_str().chars().all(is_harmless));
            }
        }
    }
}
