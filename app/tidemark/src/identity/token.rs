//! Tokens: JWTs signed with Ed25519. What they claim, and when they are believed.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use tidemark_domain::{Actor, UserId, Workspace, user::Username};

use super::{
    Caller,
    keys::{KeysUnavailable, PublicKeys},
};
use crate::clock::Clock;

pub const ISSUER: &str = "todo-app";
pub const AUDIENCE: &str = "todo-users";

/// How many verified tokens are remembered. A signature check costs more than the rest of a small request.
const REMEMBERED_TOKENS: usize = 20_000;

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    pub sub: String,
    pub user_id: String,
    pub username: String,
    /// The session that the token belongs to.
    pub sid: String,
    pub workspace: String,
    pub iss: String,
    pub aud: String,
    /// Seconds since 1970-01-01T00:00:00Z, as `exp`.
    pub iat: i64,
    pub exp: i64,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("there is no token")]
    Missing,
    #[error("the token has expired")]
    Expired,
    #[error("the token is malformed, forged, or meant for somebody else")]
    Invalid,
    #[error(transparent)]
    KeysUnavailable(#[from] KeysUnavailable),
}

/// Checks tokens.
pub struct Verifier {
    keys: PublicKeys,
    clock: Arc<dyn Clock>,
    validation: Validation,
    verified: Cache<String, Verified>,
}

#[derive(Clone)]
struct Verified {
    caller: Arc<Caller>,
    expires_at: i64,
    checked_at: i64,
}

/// How long a verified token is believed without looking at its signature again: a withdrawn key is
/// noticed after that.
const BELIEVED: Duration = Duration::from_mins(1);

impl Verifier {
    pub fn new(keys: PublicKeys, clock: Arc<dyn Clock>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked below against our own clock.
        validation.validate_exp = false;
        Self { keys, clock, validation, verified: Cache::new(REMEMBERED_TOKENS) }
    }

    /// The caller that `token` stands for.
    pub async fn verify(&self, token: &str) -> Result<Arc<Caller>, TokenError> {
        let now = self.clock.now().as_second();
        let believed = i64::try_from(BELIEVED.as_secs()).unwrap_or(i64::MAX);
        if let Some(verified) = self.verified.get(token)
            && now - verified.checked_at < believed
        {
            return if now < verified.expires_at { Ok(verified.caller) } else { Err(TokenError::Expired) };
        }
        let claims = self.check_signature(token).await?;
        if now >= claims.exp {
            return Err(TokenError::Expired);
        }
        let caller = Arc::new(caller(&claims).ok_or(TokenError::Invalid)?);
        let verified = Verified { caller: Arc::clone(&caller), expires_at: claims.exp, checked_at: now };
        self.verified.insert(token.to_owned(), verified);
        Ok(caller)
    }

    async fn check_signature(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let key_id = header.kid.ok_or(TokenError::Invalid)?;
        let key = self.keys.find(&key_id).await?.ok_or(TokenError::Invalid)?;
        jsonwebtoken::decode::<Claims>(token, &key, &self.validation).map(|token| token.claims).map_err(
            |fault| match fault.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            },
        )
    }
}

fn caller(claims: &Claims) -> Option<Caller> {
    let id: UserId = claims.user_id.parse().ok()?;
    let name = Username::registered(&claims.username).ok()?;
    let workspace = Workspace::parse(&claims.workspace).ok()?;
    (claims.sub == claims.user_id).then_some(Caller { actor: Actor { id, name }, workspace })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, Header};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    use super::*;
    use crate::{clock::SystemClock, identity::KeySource, strange::any_or_damaged};

    struct OneKey(Vec<u8>);

    #[async_trait]
    impl KeySource for OneKey {
        async fn keys(&self) -> Result<Vec<(String, Vec<u8>)>, KeysUnavailable> {
            Ok(vec![("known".to_owned(), self.0.clone()), ("short".to_owned(), vec![7])])
        }
    }

    /// Who knows one key, and a token that is signed with it.
    static KNOWN: LazyLock<(Verifier, String)> = LazyLock::new(|| {
        let pair = Ed25519KeyPair::generate().unwrap();
        let id = UserId::new(0, [7; 8]).to_string();
        let claims = Claims {
            sub: id.clone(),
            user_id: id,
            username: "Ada".to_owned(),
            sid: "s".to_owned(),
            workspace: "default".to_owned(),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: 0,
            exp: 9_000_000_000,
        };
        let header = Header { kid: Some("known".to_owned()), ..Header::new(Algorithm::EdDSA) };
        let private_key = EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref());
        let token = jsonwebtoken::encode(&header, &claims, &private_key).unwrap();
        let keys = PublicKeys::new(Arc::new(OneKey(pair.public_key().as_ref().to_vec())));
        (Verifier::new(keys, Arc::new(SystemClock)), token)
    });

    /// The good token, and what a forger makes of it: its claims under other headers.
    fn good() -> Vec<Vec<u8>> {
        let token = &KNOWN.1;
        let rest = token.split_once('.').unwrap().1;
        let headers = [
            r#"{"alg":"none","kid":"known"}"#,
            r#"{"alg":"HS256","kid":"known"}"#,
            r#"{"alg":"EdDSA","kid":"short"}"#,
            r#"{"alg":"EdDSA","kid":"unknown"}"#,
            r#"{"alg":"EdDSA"}"#,
        ];
        let forged = headers.map(|header| format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header)).into_bytes());
        forged.into_iter().chain([token.clone().into_bytes()]).collect()
    }

    proptest! {
        #[test]
        fn any_token_is_read_or_refused(bytes in any_or_damaged(good())) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let (verifier, token) = &*KNOWN;
            let text = String::from_utf8_lossy(&bytes);
            match runtime.block_on(verifier.verify(&text)) {
                Ok(caller) => {
                    prop_assert_eq!(&text, token);
                    prop_assert_eq!(caller.actor.name.as_str(), "Ada");
                }
                Err(fault) => prop_assert!(matches!(fault, TokenError::Invalid) && text != *token),
            }
        }
    }
}
