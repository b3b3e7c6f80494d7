//! Whether a caller may: asked here, for every operation and every interface.

use std::sync::Arc;

use tidemark_api::{Access, Declaration, Reason, Refusal};

use super::refusals;
use crate::identity::{Caller, TokenError, Verifier};

/// The proof that a call was let in, with whom it was let in as.
#[derive(Debug, Clone)]
pub struct Admission {
    caller: Option<Arc<Caller>>,
    token: Option<Arc<str>>,
}

impl Admission {
    /// Nobody's, for what is open to anyone.
    pub fn nobodys() -> Self {
        Self { caller: None, token: None }
    }

    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// The token, to be shown to other roles.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Lets a call in, or says why not.
pub async fn admit(
    declaration: &Declaration,
    verifier: &Verifier,
    token: Option<&str>,
) -> Result<Admission, Refusal> {
    match declaration.access {
        Access::Anyone => Ok(Admission::nobodys()),
        Access::SignedIn => {
            let Some(token) = token else { return Err(refuse(&TokenError::Missing)) };
            let caller = verifier.verify(token).await.map_err(|fault| refuse(&fault))?;
            Ok(Admission { caller: Some(caller), token: Some(token.into()) })
        }
    }
}

fn refuse(fault: &TokenError) -> Refusal {
    match fault {
        TokenError::Missing => Refusal::new(Reason::TokenMissing, "Access token required"),
        TokenError::Expired => Refusal::new(Reason::TokenExpired, "Access token expired"),
        TokenError::Invalid => Refusal::new(Reason::TokenInvalid, "Invalid token"),
        TokenError::KeysUnavailable(cause) => {
            refusals::unavailable("tokens cannot be checked at the moment", cause)
        }
    }
}
