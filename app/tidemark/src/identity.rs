//! Who is calling: the token on a request, checked in every role without asking anybody.

pub mod keys;
pub mod token;

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use tidemark_domain::{Actor, Workspace};

pub use keys::PublicKeys;
pub use token::{TokenError, Verifier};

use crate::http::{Problem, request};

/// The person that a request comes from, and the workspace it may reach.
#[derive(Debug, Clone)]
pub struct Caller {
    pub actor: Actor,
    pub workspace: Workspace,
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let verifier = Arc::<Verifier>::from_ref(state);
        let caller = match bearer_token(parts) {
            Some(token) => verifier.verify(token).await,
            None => Err(TokenError::Missing),
        };
        caller.map(|caller| (*caller).clone()).map_err(|fault| refuse(&fault).into_response())
    }
}

fn bearer_token(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refuse(fault: &TokenError) -> Problem {
    let challenge = |text| HeaderValue::from_static(text);
    match fault {
        TokenError::Missing => {
            Problem::new(StatusCode::UNAUTHORIZED, "token-missing", "Access token required")
                .with_header(header::WWW_AUTHENTICATE, challenge("Bearer realm=\"tidemark\""))
        }
        TokenError::Expired => {
            Problem::new(StatusCode::UNAUTHORIZED, "token-expired", "Access token expired").with_header(
                header::WWW_AUTHENTICATE,
                challenge(
                    "Bearer realm=\"tidemark\", error=\"invalid_token\", error_description=\"expired\"",
                ),
            )
        }
        TokenError::Invalid => Problem::new(StatusCode::FORBIDDEN, "token-invalid", "Invalid token")
            .with_header(
                header::WWW_AUTHENTICATE,
                challenge("Bearer realm=\"tidemark\", error=\"invalid_token\""),
            ),
        TokenError::KeysUnavailable(cause) => {
            request::unavailable("tokens cannot be checked at the moment", cause)
        }
    }
}
