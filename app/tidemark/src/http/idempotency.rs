//! `Idempotency-Key`: a retried POST returns the first answer instead of acting twice.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use sha2::{Digest, Sha256};
use tidemark_domain::{CommandId, UserId};

use super::problem::Problem;
use crate::pages;

/// Tells on an answer that it is the first one again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The header as the client sent it, if it did.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Option<String>);

/// What tells one request from another, short enough to be kept with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestIdentity {
    /// Who asked for what kind of thing under which key.
    pub key: [u8; 16],
    /// What exactly was asked.
    pub fingerprint: [u8; 16],
}

impl IdempotencyKey {
    const LONGEST: usize = 255;

    /// The identity of a request by `caller` to `operation` with `body`, if it carries a key.
    pub fn identify(&self, caller: UserId, operation: &str, body: &[u8]) -> Option<RequestIdentity> {
        let key = self.0.as_deref()?;
        let caller = caller.to_string();
        Some(RequestIdentity {
            key: digest(&[caller.as_bytes(), operation.as_bytes(), key.as_bytes()]),
            fingerprint: digest(&[body]),
        })
    }

    /// The key as the request's events carry it.
    pub fn command_id(&self) -> Option<CommandId> {
        self.0.as_deref().and_then(|key| CommandId::parse(key).ok())
    }

    fn parse(value: Option<&HeaderValue>) -> Result<Self, Problem> {
        let Some(value) = value else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default();
        if (1..=Self::LONGEST).contains(&text.len()) {
            Ok(Self(Some(text.to_owned())))
        } else {
            Err(Problem::invalid_field(
                "Idempotency-Key",
                "Idempotency-Key must be 1 to 255 ASCII characters",
            ))
        }
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash.finalize()[..16]);
    digest
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Self::parse(parts.headers.get("idempotency-key")).map_err(IntoResponse::into_response)
    }
}

/// Says on `response` that it is the first answer again.
pub fn mark_replayed(response: &mut Response) {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
}

impl From<RequestIdentity> for pages::IdempotencyKey {
    fn from(identity: RequestIdentity) -> Self {
        Self { key: identity.key, fingerprint: identity.fingerprint }
    }
}

/// The key came before with another body.
pub fn key_reused() -> Problem {
    let detail = "this Idempotency-Key was used with another request body";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_callers_operations_and_values_differ() {
        let key = |text: &str| IdempotencyKey(Some(text.to_owned()));
        let (ada, ben) = (UserId::new(0, [1; 8]), UserId::new(0, [2; 8]));
        let first = key("a").identify(ada, "create task", b"{}").unwrap();
        assert_eq!(key("a").identify(ada, "create task", b"{}"), Some(first));
        assert_ne!(key("a").identify(ben, "create task", b"{}").unwrap().key, first.key);
        assert_ne!(key("a").identify(ada, "create group", b"{}").unwrap().key, first.key);
        assert_ne!(key("b").identify(ada, "create task", b"{}").unwrap().key, first.key);
        let other_body = key("a").identify(ada, "create task", b"{ }").unwrap();
        assert!(other_body.key == first.key && other_body.fingerprint != first.fingerprint);
    }
}
