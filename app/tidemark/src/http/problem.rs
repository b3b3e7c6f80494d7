//! Errors as clients see them: RFC 9457 problem documents, one shape for every role.
//!
//! Beside the standard members, `code` names the reason for programs, `error` is the first message as text
//! for simple clients, `errors` has one entry a field that broke a rule, and `requestId` finds the request in the logs.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::request::RequestId;

/// One field of the request that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// A JSON pointer into the body, such as `/name`, or `?limit` for a query parameter.
    pub pointer: String,
    pub message: String,
}

/// An answer that says what went wrong. Boxed, because results carry one everywhere.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    current_version: Option<u64>,
    headers: HeaderMap,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    error: &'a str,
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            current_version: None,
            headers: HeaderMap::new(),
        }))
    }

    /// Input that breaks rules, field by field. There must be at least one.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map(|error| error.message.clone()).unwrap_or_default();
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid-input", detail);
        problem.0.errors = errors;
        problem
    }

    pub fn invalid_field(pointer: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), message: message.to_string() }])
    }

    /// There is nothing of that id, or nothing that the caller may know of.
    pub fn not_found(kind: &str, id: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("{kind} {id} not found"))
    }

    /// A passing fault: the same request may succeed after a pause.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A fault of this program. The cause is for the log alone.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "an internal error occurred")
    }

    /// The entity has changed since the version that the caller named.
    pub fn stale(kind: &str, current_version: u64) -> Self {
        let detail = format!("the {kind} has changed; it is at version {current_version} now");
        let mut problem = Self::new(StatusCode::PRECONDITION_FAILED, "stale-version", detail);
        problem.0.current_version = Some(current_version);
        problem.with_header(header::ETAG, super::conditional::etag(current_version))
    }

    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, code, detail, errors, current_version, headers } = *self.0;
        let document = Document {
            r#type: format!("urn:tidemark:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &detail,
            code,
            error: errors.first().map_or(&detail, |first| &first.message),
            errors: &errors,
            current_version,
            request_id: RequestId::current(),
        };
        let body = serde_json::to_vec(&document).expect("a problem document always makes JSON");
        let mut response = (status, headers, body).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// For paths that nothing serves.
pub async fn no_such_path(uri: http::Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", format!("nothing is served at {}", uri.path()))
}

/// For methods that a path does not take.
pub async fn method_not_allowed(method: http::Method, uri: http::Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
