//! Passwords: hashed with Argon2id, off the async threads, a few at a time.

use std::sync::Arc;

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use tidemark_domain::user::Password;
use tokio::sync::Semaphore;

use crate::configuration::AccountsConfiguration;

/// How many may wait for a hasher. Beyond that, callers are told to come back.
const WAITING: usize = 64;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    hashers: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Verified when there is no such user, so that the time taken does not tell.
    decoy: Arc<str>,
}

/// Why a password was not hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordsError {
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    #[error("hashing failed: {0}")]
    Hashing(argon2::password_hash::Error),
    #[error("the hasher stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

impl Passwords {
    pub fn new(configuration: &AccountsConfiguration) -> anyhow::Result<Self> {
        let (memory, passes) = (configuration.argon2_memory_kibibytes, configuration.argon2_passes);
        let parameters =
            argon2::Params::new(memory, passes, 1, None).map_err(|fault| anyhow::anyhow!(fault))?;
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
        let decoy = hash(&argon2, "no such user").map_err(|fault| anyhow::anyhow!(fault))?;
        Ok(Self {
            argon2,
            hashers: Arc::new(Semaphore::new(configuration.password_hashers)),
            places: Arc::new(Semaphore::new(WAITING + configuration.password_hashers)),
            decoy: decoy.into(),
        })
    }

    /// The hash of a new password as a PHC string.
    pub async fn hash(&self, password: Password) -> Result<String, PasswordsError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, password.reveal())).await?.map_err(PasswordsError::Hashing)
    }

    /// Whether the password belongs to the hash. Without a hash it takes as long, and does not.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, PasswordsError> {
        let (argon2, exists) = (self.argon2.clone(), hash.is_some());
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        let verify = move || {
            // The stored hash names its own parameters: older ones stay valid.
            let parsed = PasswordHash::new(&hash)?;
            match argon2.verify_password(password.reveal().as_bytes(), &parsed) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::Password) => Ok(false),
                Err(fault) => Err(fault),
            }
        };
        let matches = self.run(verify).await?.map_err(PasswordsError::Hashing)?;
        Ok(exists && matches)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordsError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordsError::Overloaded)?;
        let hasher = Arc::clone(&self.hashers).acquire_owned();
        let hasher = hasher.await.map_err(|_| PasswordsError::Overloaded)?;
        // The work goes on when whoever asked has hung up, and holds its permits as long.
        let work = move || {
            let _permits = (place, hasher);
            work()
        };
        Ok(tokio::task::spawn_blocking(work).await?)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> argon2::password_hash::Result<String> {
    let salt = SaltString::generate(&mut OsRng);
    Ok(argon2.hash_password(password.as_bytes(), &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn passwords() -> Passwords {
        let cheap = crate::configuration::AccountsConfiguration {
            argon2_memory_kibibytes: 64,
            argon2_passes: 1,
            ..accounts()
        };
        Passwords::new(&cheap).unwrap()
    }

    fn accounts() -> AccountsConfiguration {
        AccountsConfiguration {
            registration: None,
            token_lifetime: std::time::Duration::from_secs(1),
            argon2_memory_kibibytes: 19_456,
            argon2_passes: 2,
            password_hashers: 2,
        }
    }

    fn offered(text: &str) -> Password {
        Password::offered(text)
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_is_verified() {
        let passwords = passwords();
        let hash = passwords.hash(offered("correct horse 1")).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(passwords.verify(offered("correct horse 1"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(offered("correct horse 2"), Some(hash)).await.unwrap());
    }

    /// Work that tells when it has begun, and goes on until it is let go.
    fn held_work() -> (impl FnOnce() + Send + 'static, oneshot::Receiver<()>, std::sync::mpsc::Sender<()>) {
        let (tell, begun) = oneshot::channel();
        let (let_go, held) = std::sync::mpsc::channel();
        let work = move || {
            tell.send(()).unwrap();
            // Ends when the other half is dropped.
            let _ = held.recv();
        };
        (work, begun, let_go)
    }

    #[tokio::test]
    async fn work_whose_caller_hung_up_still_counts() {
        let passwords = passwords();
        let mut held = Vec::new();
        for _ in 0..2 {
            let (work, begun, let_go) = held_work();
            let running = passwords.clone();
            let caller = tokio::spawn(async move { running.run(work).await });
            begun.await.unwrap();
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
            held.push(let_go);
        }
        assert_eq!(passwords.hashers.available_permits(), 0);
        assert_eq!(passwords.places.available_permits(), WAITING);
        drop(held);
        assert!(!passwords.verify(offered("any horse 1"), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once_and_who_leaves_it_makes_room() {
        let passwords = passwords();
        let _held = Arc::clone(&passwords.hashers).acquire_many_owned(2).await.unwrap();
        let wait = || passwords.verify(offered("any horse 1"), None);
        let mut waiting: Vec<_> = (0..WAITING + 2).map(|_| Box::pin(wait())).collect();
        for waiting in &mut waiting {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        assert!(matches!(wait().await, Err(PasswordsError::Overloaded)));
        waiting.pop();
        assert!(futures_util::poll!(Box::pin(wait())).is_pending());
    }

    #[tokio::test]
    async fn nobody_logs_in_as_a_user_that_does_not_exist() {
        assert!(!passwords().verify(offered("no such user"), None).await.unwrap());
    }
}
