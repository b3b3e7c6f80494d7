//! Whether a caller may: asked here, for every operation and every interface.

use std::sync::Arc;

use tidemark_api::{Access, Declaration, Reason, Refusal};

use super::refusals;
use crate::identity::{Caller, TokenError, Verifier};

/// The proof that a call was let in, with whom it was let in as. Not `Debug`: it holds the token.
#[derive(Clone)]
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use tidemark_api::{Operation, tasks::DeleteTask};

    use super::*;
    use crate::{
        clock::SystemClock,
        identity::{KeySource, KeysUnavailable, PublicKeys},
    };

    /// An accounts role whose secret store holds no usable key: it answers 500.
    struct NoKey;

    #[async_trait]
    impl KeySource for NoKey {
        async fn keys(&self) -> Result<Vec<(String, Vec<u8>)>, KeysUnavailable> {
            Err(KeysUnavailable(Refusal::internal().into()))
        }
    }

    #[tokio::test]
    async fn while_accounts_has_no_usable_key_a_caller_is_told_to_come_back() {
        let verifier = Verifier::new(PublicKeys::new(Arc::new(NoKey)), Arc::new(SystemClock));
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"some"}"#);
        let token = format!("{header}.e30.AAAA");
        let refused = admit(&DeleteTask::DECLARATION, &verifier, Some(&token)).await.err().unwrap();
        assert_eq!(refused.reason(), Reason::Unavailable);
    }
}
