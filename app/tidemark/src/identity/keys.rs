//! The public keys that tokens are signed with, asked of the accounts role and kept.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, RwLock},
    time::{Instant, sleep_until, timeout},
};
use tracing::{Instrument, warn};

use crate::telemetry::{WithCauses, trace_context::TraceContext};

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
/// How long a key may be used while the accounts role does not answer.
const STALE: Duration = Duration::from_hours(1);
/// The shortest time between two questions, so that made-up key ids cannot flood the accounts role.
const PAUSE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(3);

/// All keys that are valid now, by key id. There are never more than the accounts role names: an id that
/// somebody made up leaves nothing behind.
#[derive(Clone)]
pub struct PublicKeys {
    source: Arc<dyn KeySource>,
    known: Arc<RwLock<Known>>,
    asking: Arc<Mutex<()>>,
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
        Self { source, known: Arc::default(), asking: Arc::default() }
    }

    /// The key of that id, or `None` if there is none now.
    pub async fn find(&self, key_id: &str) -> Result<Option<Arc<DecodingKey>>, KeysUnavailable> {
        if let Some(key) = self.known_for(FRESH, key_id).await {
            return Ok(Some(key));
        }
        match self.known_for(STALE, key_id).await {
            Some(key) => self.renew(key_id, key).await,
            None => self.learn(key_id).await,
        }
    }

    /// One caller at a time asks whether an old key still holds. Nobody else waits for that, and an outage of
    /// the accounts role keeps nobody out.
    async fn renew(
        &self,
        key_id: &str,
        old: Arc<DecodingKey>,
    ) -> Result<Option<Arc<DecodingKey>>, KeysUnavailable> {
        let Ok(turn) = Arc::clone(&self.asking).try_lock_owned() else { return Ok(Some(old)) };
        let failed_at = self.known.read().await.failed_at;
        if failed_at.is_some_and(|failed_at| failed_at.elapsed() < PAUSE) {
            return Ok(Some(old));
        }
        match self.ask(turn).await {
            Ok(()) => Ok(self.known_for(FRESH, key_id).await),
            Err(fault) => {
                warn!(error = %WithCauses(&fault), "keys are used that could not be asked for again");
                Ok(Some(old))
            }
        }
    }

    /// One question at a time; whoever waited finds the answer of the one before, and whoever came while a
    /// question was asked in vain does not ask it again.
    async fn learn(&self, key_id: &str) -> Result<Option<Arc<DecodingKey>>, KeysUnavailable> {
        let came_at = Instant::now();
        let turn = Arc::clone(&self.asking).lock_owned().await;
        if let Some(key) = self.known_for(FRESH, key_id).await {
            return Ok(Some(key));
        }
        let (age, failed_at) = {
            let known = self.known.read().await;
            (known.age(), known.failed_at)
        };
        if age < PAUSE {
            return Ok(None);
        }
        if let Some(failed_at) = failed_at {
            if failed_at > came_at {
                return Err(KeysUnavailable("they were asked for just now, without an answer".into()));
            }
            // What failed before this caller came says nothing of now.
            sleep_until(failed_at + PAUSE).await;
        }
        self.ask(turn).await?;
        Ok(self.known_for(FRESH, key_id).await)
    }

    /// The key, if it was heard of no longer ago than `age`.
    async fn known_for(&self, age: Duration, key_id: &str) -> Option<Arc<DecodingKey>> {
        let known = self.known.read().await;
        if known.age() < age { known.keys.get(key_id).cloned() } else { None }
    }

    /// The question outlives whoever asked it. Otherwise those who hang up would make the next in line begin
    /// anew, and ask without the pause.
    async fn ask(&self, turn: OwnedMutexGuard<()>) -> Result<(), KeysUnavailable> {
        let keys = self.clone();
        let asking = async move {
            let _turn = turn;
            keys.ask_now().await
        };
        let asking = TraceContext::scope_of(TraceContext::current(), asking).in_current_span();
        tokio::spawn(asking).await.unwrap_or_else(|fault| Err(KeysUnavailable(fault.into())))
    }

    async fn ask_now(&self) -> Result<(), KeysUnavailable> {
        let asked = match timeout(DEADLINE, self.source.keys()).await {
            Ok(keys) if keys.as_ref().is_ok_and(Vec::is_empty) => {
                Err(KeysUnavailable("the accounts role names no key".into()))
            }
            Ok(asked) => asked,
            Err(late) => Err(KeysUnavailable(late.into())),
        };
        // `Instant` and not the clock: only the time that has passed matters.
        let now = Some(Instant::now());
        let mut known = self.known.write().await;
        match asked {
            Ok(keys) => {
                let key = |(id, key): (String, Vec<u8>)| (id, Arc::new(DecodingKey::from_ed_der(&key)));
                *known = Known { keys: keys.into_iter().map(key).collect(), asked_at: now, failed_at: None };
                Ok(())
            }
            Err(fault) => {
                known.failed_at = now;
                Err(fault)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;

    /// Answers with the key `known`, or not at all.
    #[derive(Default)]
    struct Accounts {
        away: AtomicBool,
        withdrawn: AtomicBool,
        keyless: AtomicBool,
        questions: AtomicUsize,
    }

    #[async_trait]
    impl KeySource for Accounts {
        async fn keys(&self) -> Result<Vec<(String, Vec<u8>)>, KeysUnavailable> {
            self.questions.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(10)).await;
            if self.away.load(Ordering::Relaxed) {
                return Err(KeysUnavailable("away".into()));
            }
            let id = if self.withdrawn.load(Ordering::Relaxed) { "next" } else { "known" };
            Ok(if self.keyless.load(Ordering::Relaxed) {
                Vec::new()
            } else {
                vec![(id.to_owned(), vec![0; 32])]
            })
        }
    }

    fn keys() -> (Arc<Accounts>, Arc<PublicKeys>) {
        let accounts = Arc::new(Accounts::default());
        (accounts.clone(), Arc::new(PublicKeys::new(accounts)))
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_accounts_role_is_away_known_keys_hold_for_an_hour_and_are_asked_for_once_a_second() {
        let (accounts, keys) = keys();
        assert!(keys.find("known").await.unwrap().is_some());
        accounts.away.store(true, Ordering::Relaxed);
        sleep(FRESH).await;
        let finding = (0..100).map(|_| {
            let keys = keys.clone();
            tokio::spawn(async move { keys.find("known").await.unwrap().is_some() })
        });
        for found in futures_util::future::join_all(finding).await {
            assert!(found.unwrap());
        }
        assert_eq!(accounts.questions.load(Ordering::Relaxed), 2);
        sleep(STALE).await;
        assert!(keys.find("known").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_withdrawn_key_is_unknown_after_five_minutes() {
        let (accounts, keys) = keys();
        assert!(keys.find("known").await.unwrap().is_some());
        accounts.withdrawn.store(true, Ordering::Relaxed);
        assert!(keys.find("known").await.unwrap().is_some());
        sleep(FRESH).await;
        assert!(keys.find("known").await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_after_a_question_failed_is_answered_by_the_next() {
        let (accounts, keys) = keys();
        accounts.away.store(true, Ordering::Relaxed);
        assert!(keys.find("known").await.is_err());
        accounts.away.store(false, Ordering::Relaxed);
        assert!(keys.find("known").await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_for_one_question_share_its_failure() {
        let (accounts, keys) = keys();
        accounts.away.store(true, Ordering::Relaxed);
        let waiting = (0..100).map(|_| keys.find("known"));
        let answers = futures_util::future::join_all(waiting).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(accounts.questions.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_accounts_role_without_a_key_withdraws_none() {
        let (accounts, keys) = keys();
        accounts.keyless.store(true, Ordering::Relaxed);
        assert!(keys.find("known").await.is_err());
        accounts.keyless.store(false, Ordering::Relaxed);
        assert!(keys.find("known").await.unwrap().is_some());
        accounts.keyless.store(true, Ordering::Relaxed);
        sleep(FRESH).await;
        assert!(keys.find("known").await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_up_leaves_the_question_to_the_others() {
        let (accounts, keys) = keys();
        for _ in 0..100 {
            // The answer takes longer.
            drop(timeout(Duration::from_millis(5), keys.find("made up")).await);
        }
        // The first question, and none within the pause after it.
        assert_eq!(accounts.questions.load(Ordering::Relaxed), 1);
        assert!(keys.find("known").await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_key_ids_ask_once_a_second() {
        let (accounts, keys) = keys();
        for number in 0..100 {
            assert!(keys.find(&number.to_string()).await.unwrap().is_none());
        }
        assert_eq!(accounts.questions.load(Ordering::Relaxed), 1);
    }
}
