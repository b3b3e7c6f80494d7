//! The public keys that tokens are signed with, asked of the accounts role and kept.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use tokio::{
    sync::{Mutex, RwLock},
    time::{Instant, timeout},
};

/// The accounts role did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the signing keys could not be read from the accounts role")]
pub struct KeysUnavailable(#[source] pub Box<dyn Error + Send + Sync>);

/// Where the keys are asked for.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The key ids and the 32 bytes of each key that tokens may be signed with now.
    async fn keys(&self) -> Result<Vec<(String, Vec<u8>)>, KeysUnavailable>;
}

/// How long a key may be used without asking again: a key that was withdrawn is unknown after that.
const FRESH: Duration = Duration::from_mins(5);
/// The shortest time between two questions, so that made-up key ids cannot flood the accounts role.
const PAUSE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(3);

/// All keys that are valid now, by key id.
pub struct PublicKeys {
    source: Arc<dyn KeySource>,
    known: RwLock<Known>,
    asking: Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, Arc<DecodingKey>>,
    asked_at: Option<Instant>,
    /// When the last question got no answer.
    failed_at: Option<Instant>,
}

impl Known {
    fn age(&self) -> Duration {
        self.asked_at.map_or(Duration::MAX, |asked_at| asked_at.elapsed())
    }
}

impl PublicKeys {
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, known: RwLock::default(), asking: Mutex::default() }
    }

    /// The key of that id, or `None` if there is none now.
    pub async fn find(&self, key_id: &str) -> Result<Option<Arc<DecodingKey>>, KeysUnavailable> {
        if let Some(key) = self.fresh(key_id).await {
            return Ok(Some(key));
        }
        // One question at a time; whoever waited finds the answer of the one before.
        let _turn = self.asking.lock().await;
        if let Some(key) = self.fresh(key_id).await {
            return Ok(Some(key));
        }
        if self.known.read().await.failed_at.is_some_and(|failed_at| failed_at.elapsed() < PAUSE) {
            // Whoever waited behind a question without an answer does not ask it again.
            return Err(KeysUnavailable("they were asked for a moment ago, without an answer".into()));
        }
        if self.known.read().await.age() >= PAUSE
            && let Err(fault) = self.ask().await
        {
            self.known.write().await.failed_at = Some(Instant::now());
            return Err(fault);
        }
        Ok(self.known.read().await.keys.get(key_id).cloned())
    }

    async fn fresh(&self, key_id: &str) -> Option<Arc<DecodingKey>> {
        let known = self.known.read().await;
        if known.age() < FRESH { known.keys.get(key_id).cloned() } else { None }
    }

    async fn ask(&self) -> Result<(), KeysUnavailable> {
        let asked = timeout(DEADLINE, self.source.keys()).await;
        let keys = asked.map_err(|late| KeysUnavailable(late.into()))??.into_iter();
        let keys = keys.map(|(id, key)| (id, Arc::new(DecodingKey::from_ed_der(&key)))).collect();
        // `Instant` and not the clock: only the time that has passed matters.
        *self.known.write().await = Known { keys, asked_at: Some(Instant::now()), failed_at: None };
        Ok(())
    }
}
