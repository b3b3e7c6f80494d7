//! Tokens are signed here and nowhere else. The private key comes from the secret store at first use and
//! never leaves this module; the public one is told to everybody.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tidemark_api::{
    Refusal,
    accounts::{self, ListSigningKeys, SigningKeys},
};
use tidemark_domain::{User, Workspace};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::AccountsRole;
use crate::{
    dapr::{SecretStore, SidecarError},
    identity::token::{AUDIENCE, Claims, ISSUER},
    operations::{Answer, Call, refusals},
};

/// The name of the key in the secret store: an Ed25519 private key, PKCS#8 in PEM.
const SECRET: &str = "jwt-signing-key";

/// Signs tokens.
pub struct Signer {
    secrets: SecretStore,
    lifetime: Duration,
    pair: OnceCell<SigningPair>,
}

/// The key in use.
pub struct SigningPair {
    private_key: EncodingKey,
    /// The 32 bytes that verify.
    pub public_key: Vec<u8>,
    pub key_id: String,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the secret store did not answer")]
    Store(#[from] SidecarError),
    #[error("the secret store has no {SECRET}")]
    NoKey,
    #[error("{SECRET} is not an Ed25519 private key in PKCS#8 PEM")]
    NotAKey,
    #[error("the token could not be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

impl SigningError {
    /// The refusal behind the error. Only the store may answer after a pause: without a key, or with one that is
    /// none, somebody has to act.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Store(_) => refusals::unavailable("the signing key cannot be read at the moment", self),
            Self::NoKey | Self::NotAKey | Self::Sign(_) => refusals::internal(self),
        }
    }
}

/// A token and when it ends.
pub struct IssuedToken {
    pub token: String,
    pub expires_at: Timestamp,
}

impl Signer {
    pub fn new(secrets: SecretStore, lifetime: Duration) -> Self {
        Self { secrets, lifetime, pair: OnceCell::new() }
    }

    /// The key in use, read from the secret store when it is first asked for.
    pub async fn pair(&self) -> Result<&SigningPair, SigningError> {
        self.pair
            .get_or_try_init(|| async {
                let pem = self.secrets.secret(SECRET).await?.ok_or(SigningError::NoKey)?;
                SigningPair::parse(pem.expose_secret()).ok_or(SigningError::NotAKey)
            })
            .await
    }

    /// A token for a new session of `user`.
    pub async fn issue(&self, user: &User, now: Timestamp) -> Result<IssuedToken, SigningError> {
        let pair = self.pair().await?;
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let issued_at = now.as_second();
        let expires_at = issued_at.saturating_add(lifetime);
        let claims = Claims {
            sub: user.id.to_string(),
            user_id: user.id.to_string(),
            username: user.username.as_str().to_owned(),
            sid: Uuid::new_v4().to_string(),
            workspace: Workspace::shared().to_string(),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: issued_at,
            exp: expires_at,
        };
        let header = Header { kid: Some(pair.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &pair.private_key)?;
        Ok(IssuedToken { token, expires_at: Timestamp::from_second(expires_at).unwrap_or(Timestamp::MAX) })
    }
}

impl SigningPair {
    fn parse(text: &str) -> Option<Self> {
        let document = pem::parse(text).ok()?;
        let key_pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.contents()).ok()?;
        let public_key = key_pair.public_key().as_ref().to_vec();
        // Named after the key itself, so that every replica calls it the same.
        let key_id = URL_SAFE_NO_PAD.encode(&Sha256::digest(&public_key)[..12]);
        Some(Self { private_key: EncodingKey::from_ed_der(document.contents()), public_key, key_id })
    }
}

/// How long the public keys may be kept by whoever has read them.
const KEPT: Duration = Duration::from_mins(5);

pub async fn list_signing_keys(
    role: Arc<AccountsRole>,
    _: Call,
    _: ListSigningKeys,
) -> Result<Answer<SigningKeys>, Refusal> {
    let pair = role.signer.pair().await.map_err(|fault| fault.refusal())?;
    let key = accounts::SigningKey {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        alg: "EdDSA".to_owned(),
        purpose: "sig".to_owned(),
        kid: pair.key_id.clone(),
        x: URL_SAFE_NO_PAD.encode(&pair.public_key),
    };
    Ok(Answer::from(SigningKeys { keys: vec![key] }).good_for(KEPT))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemark_api::Reason;
    use tonic::{Code, Status};

    use super::*;
    use crate::strange::any_or_damaged;

    #[test]
    fn only_a_secret_store_that_does_not_answer_is_told_as_unavailable() {
        let (code, status) = (Code::Unavailable, Status::unavailable("connection refused"));
        let away = SigningError::Store(SidecarError { operation: "get_secret", code, status });
        assert_eq!(away.refusal().reason(), Reason::Unavailable);
        let unsigned = jsonwebtoken::errors::ErrorKind::InvalidKeyFormat.into();
        for fault in [SigningError::NoKey, SigningError::NotAKey, SigningError::Sign(unsigned)] {
            assert_eq!(fault.refusal().reason(), Reason::Internal, "{fault}");
        }
    }

    proptest! {
        #[test]
        fn any_key_is_read_or_refused(bytes in any_or_damaged(good())) {
            if let Some(pair) = SigningPair::parse(&String::from_utf8_lossy(&bytes)) {
                prop_assert_eq!(pair.public_key.len(), 32);
            }
        }
    }

    fn good() -> Vec<Vec<u8>> {
        let key = Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
        vec![pem::encode(&pem::Pem::new("PRIVATE KEY", key.as_ref())).into_bytes()]
    }
}
