//! Passwords, tokens and keys of one stack: made at its first start, kept in its state folder, never shared.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::StackError;
use crate::state_folder::write_private;

/// The secrets of one stack.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// Redis's password.
    pub redis_password: String,
    /// The password of the role that the application's history belongs to.
    pub postgres_password: String,
    /// What callers of a sidecar's interface must show.
    pub dapr_api_token: String,
    /// What a sidecar shows its application.
    pub app_api_token: String,
    /// The key that signs access tokens: Ed25519, PKCS#8, PEM.
    pub jwt_signing_key: String,
}

impl Secrets {
    /// Reads the secrets of a stack, or makes them.
    pub(crate) fn open(path: &Path) -> Result<Self, StackError> {
        let damaged = |source| StackError::Damaged { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secrets = Self::generate();
                write_private(path, &serde_json::to_string_pretty(&secrets).map_err(damaged)?)?;
                Ok(secrets)
            }
            Err(source) => Err(StackError::File { action: "read", path: path.to_owned(), source }),
        }
    }

    /// The secrets of a system that somebody else runs, from the file behind its component `secretstore`. Its
    /// tokens are not in it, and a sidecar beside that system has tokens of its own.
    pub(crate) fn of_store(path: &Path) -> Result<Self, StackError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Store {
            redis_password: String,
            postgres_password: String,
            jwt_signing_key: String,
        }
        let text = fs::read(path).map_err(StackError::file("read", path))?;
        let Store { redis_password, postgres_password, jwt_signing_key } = serde_json::from_slice(&text)
            .map_err(|source| StackError::Damaged { path: path.to_owned(), source })?;
        Ok(Self { redis_password, postgres_password, jwt_signing_key, ..Self::generate() })
    }

    fn generate() -> Self {
        let random = || HEXLOWER.encode(&rand::random::<[u8; 24]>());
        let key = SigningKey::from_bytes(&rand::random());
        let pem = key.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key has a PKCS#8 form");
        Self {
            redis_password: random(),
            postgres_password: random(),
            dapr_api_token: random(),
            app_api_token: random(),
            jwt_signing_key: pem.to_string(),
        }
    }

    /// Writes the file behind the component `secretstore`: what components need, and the signing key, which
    /// is the one entry that `dapr/configuration.yaml` lets an application read.
    pub(crate) fn write_secret_store(&self, path: PathBuf) -> Result<PathBuf, StackError> {
        let entries = json!({
            "redis-password": self.redis_password,
            "postgres-password": self.postgres_password,
            "jwt-signing-key": self.jwt_signing_key,
        });
        write_private(&path, &entries.to_string())?;
        Ok(path)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secrets")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let first = Secrets::open(&path).unwrap();
        let second = Secrets::open(&path).unwrap();
        assert_eq!(first.redis_password, second.redis_password);
        assert_ne!(first.redis_password, first.postgres_password);
        assert!(first.jwt_signing_key.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
