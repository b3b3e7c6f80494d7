//! The bytes of a JSON body, at most so many.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tidemark_api::{Reason, Refusal};
use tokio::time::timeout;

/// The largest body that is read [bytes].
pub const LARGEST_BODY: usize = 1 << 20;

/// The longest that a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the request came without a body, or with one of no bytes.
pub fn is_absent(body: &Body) -> bool {
    body.size_hint().exact() == Some(0)
}

/// Reads a body that says it is JSON.
pub async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    if !is_json(headers.get(header::CONTENT_TYPE)) {
        let detail = "send the body as Content-Type: application/json";
        return Err(Refusal::new(Reason::UnsupportedMediaType, detail));
    }
    let read = timeout(PATIENCE, Limited::new(body, LARGEST_BODY).collect()).await;
    let Ok(read) = read else {
        let detail = format!("the body did not arrive within {} seconds", PATIENCE.as_secs());
        return Err(Refusal::new(Reason::MalformedBody, detail));
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(fault) if fault.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {LARGEST_BODY} bytes");
            Err(Refusal::new(Reason::BodyTooLarge, detail))
        }
        Err(_) => Err(Refusal::new(Reason::MalformedBody, "the body ended early")),
    }
}

fn is_json(content_type: Option<&http::HeaderValue>) -> bool {
    let media_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}
