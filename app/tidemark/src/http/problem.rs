//! Refusals as HTTP clients see them: RFC 9457 problem documents, one shape for every role.
//!
//! Beside the standard members, `code` names the reason for programs, `error` is the first message as text
//! for simple clients, `errors` has one entry a member that broke a rule, and `requestId` finds the request in
//! the logs.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use tidemark_api::{FieldFault, Reason, Refusal};

use super::request::RequestId;

/// A refusal that is an HTTP answer.
#[derive(Debug, Clone)]
pub struct Problem(pub Refusal);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    error: &'a str,
    errors: &'a [FieldFault],
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let refusal = self.0;
        let reason = refusal.reason();
        let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let document = Document {
            r#type: format!("urn:tidemark:problem:{}", reason.code()),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: refusal.detail(),
            code: reason.code(),
            error: refusal.faults().first().map_or(refusal.detail(), |first| &first.message),
            errors: refusal.faults(),
            current_version: refusal.current_version(),
            request_id: RequestId::current(),
        };
        let body = serde_json::to_vec(&document).expect("a problem document always makes JSON");
        (status, headers(&refusal), body).into_response()
    }
}

fn headers(refusal: &Refusal) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name, value| drop(headers.insert(name, HeaderValue::from_static(value)));
    set(header::CONTENT_TYPE, "application/problem+json");
    match refusal.reason() {
        Reason::TokenMissing => set(header::WWW_AUTHENTICATE, "Bearer realm=\"tidemark\""),
        Reason::TokenExpired => set(
            header::WWW_AUTHENTICATE,
            "Bearer realm=\"tidemark\", error=\"invalid_token\", error_description=\"expired\"",
        ),
        Reason::TokenInvalid => {
            set(header::WWW_AUTHENTICATE, "Bearer realm=\"tidemark\", error=\"invalid_token\"");
        }
        Reason::UnsupportedMediaType => set(header::ACCEPT, "application/json"),
        Reason::UnsupportedEncoding => set(header::ACCEPT_ENCODING, "gzip, identity"),
        Reason::Unavailable => set(header::RETRY_AFTER, "1"),
        _ => {}
    }
    if let Some(version) = refusal.current_version()
        && let Ok(tag) = HeaderValue::try_from(format!("\"{version}\""))
    {
        headers.insert(header::ETAG, tag);
    }
    headers
}

/// For paths that nothing serves.
pub async fn no_such_path(uri: http::Uri) -> Problem {
    Problem(Refusal::new(Reason::NoSuchPath, format!("nothing is served at {}", uri.path())))
}

/// For methods that a path does not take.
pub async fn method_not_allowed(method: http::Method, uri: http::Uri) -> Response {
    if method == http::Method::OPTIONS {
        // The router adds what the path takes, as to the refusal below.
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem(Refusal::new(Reason::MethodNotAllowed, format!("{} does not take {method}", uri.path())))
        .into_response()
}
