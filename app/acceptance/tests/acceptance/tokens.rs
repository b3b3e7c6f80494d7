//! Access tokens that no log-in gives out: for other workspaces, expired, forged.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome};

/// Makes tokens with the stack's own signing key.
pub struct Mint {
    key: EncodingKey,
    key_id: String,
    /// The claims of a real token.
    claims: Value,
}

impl Mint {
    /// `token` is a real one, from which the minted ones differ as asked.
    pub fn new(signing_key: &str, token: &str) -> Outcome<Self> {
        let key_id = part(token, 0)?["kid"].as_str().unwrap_or_default().to_owned();
        Ok(Self { key: EncodingKey::from_ed_pem(signing_key.as_bytes())?, key_id, claims: part(token, 1)? })
    }

    /// A token that differs from a real one in some claims; `null` leaves a claim out.
    pub fn token(&self, changes: &Value) -> Outcome<String> {
        self.signed_by(&self.key, &self.key_id, changes)
    }

    /// A token in the name of another key.
    pub fn with_key_id(&self, key_id: &str) -> Outcome<String> {
        self.signed_by(&self.key, key_id, &json!({}))
    }

    /// A token that somebody else has signed.
    pub fn forged(&self) -> Outcome<String> {
        let pem = SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF)?;
        self.signed_by(&EncodingKey::from_ed_pem(pem.as_bytes())?, &self.key_id, &json!({}))
    }

    /// A token that claims to need no signature.
    pub fn unsigned(&self) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "typ": "JWT", "alg": "none", "kid": self.key_id });
        format!("{}.{}.", encode(&header), encode(&self.claims))
    }

    /// A token signed with the public key as if it were a shared secret.
    pub fn confused(&self, public_key: &[u8]) -> Outcome<String> {
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::HS256) };
        Ok(jsonwebtoken::encode(&header, &self.claims, &EncodingKey::from_secret(public_key))?)
    }

    /// When the real token was issued [s since 1970].
    pub fn issued_at(&self) -> i64 {
        self.claims["iat"].as_i64().unwrap_or_default()
    }

    fn signed_by(&self, key: &EncodingKey, key_id: &str, changes: &Value) -> Outcome<String> {
        let mut claims = self.claims.clone();
        for (name, value) in changes.as_object().into_iter().flatten() {
            match (value, claims.as_object_mut()) {
                (Value::Null, Some(claims)) => drop(claims.remove(name)),
                (value, Some(claims)) => drop(claims.insert(name.clone(), value.clone())),
                (_, None) => {}
            }
        }
        let header = Header { kid: Some(key_id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        Ok(jsonwebtoken::encode(&header, &claims, key)?)
    }
}

/// The header or the claims of a token, unchecked.
fn part(token: &str, number: usize) -> Outcome<Value> {
    let part = token.split('.').nth(number).ok_or_else(|| Failure::new(format!("{token} is no token")))?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}
