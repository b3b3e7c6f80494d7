//! Users in pages: the page follows from the name, and so that no two names look alike, what a name looks like is
//! taken before the user is made.
//!
//! Both lie in pages of their own kind. A registration that ends between the two has taken a likeness for a name
//! that nobody has: whoever registers that name later finds it theirs.

use sha2::{Digest, Sha256};
use tidemark_domain::{
    Access, ActionId, Actor, Causes, Change, CommandId, Event, User, UserId, Workspace,
    user::{DisplayName, Username},
};
use tidemark_pages::{
    CollectionKey, EditError, Entry, IdempotencyKey, InvalidCollectionKey, Once, OutboxEvent, PageEdit,
    PageKey, Pages, StoreError,
};
use tidemark_protocol::{
    ledger,
    stored::{self, CorruptEntry, UserRecord},
};

use crate::{configuration::EventConfiguration, damage::readable, telemetry::trace_context::TraceContext};

/// Where users lie.
pub const COLLECTION: &str = "users";
/// Where it lies which name has which likeness.
pub const LIKENESSES: &str = "likenesses";

/// Pages that users, and likenesses, are spread over. Fixed for ever: a user's page follows from it.
pub const SHARDS: u32 = 256;

/// All users.
#[derive(Clone)]
pub struct Users {
    pages: Pages,
    collection: CollectionKey,
    likenesses: CollectionKey,
    events: EventConfiguration,
}

/// Why users could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadUsersError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

/// Why a registration was turned down.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationRefused {
    #[error("the user name is taken, or looks like one that is")]
    NameTaken,
    #[error(transparent)]
    Corrupt(#[from] CorruptEntry),
}

/// Everything a registration needs, checked.
#[derive(Clone)]
pub struct NewUser {
    pub username: Username,
    pub display_name: DisplayName,
    pub password_hash: String,
    pub traceparent: Option<String>,
    pub action_id: ActionId,
    pub command_id: Option<CommandId>,
}

impl Users {
    pub fn new(pages: Pages, events: EventConfiguration) -> Result<Self, InvalidCollectionKey> {
        let (collection, likenesses) = (CollectionKey::parse(COLLECTION)?, CollectionKey::parse(LIKENESSES)?);
        Ok(Self { pages, collection, likenesses, events })
    }

    pub async fn by_name(&self, username: &Username) -> Result<Option<UserRecord>, StoreError> {
        let folded = username.folded();
        let page = page_of(&self.collection, &folded);
        let view = self.pages.read(&page).await?;
        let records = view.entries().iter().filter_map(|entry| readable(read(entry, page.number())));
        // The last one: all are looked at, so that how long a log-in takes does not tell whether there is such a user.
        Ok(records.filter(|record| record.user.username.folded() == folded).last())
    }

    pub async fn by_id(&self, id: UserId) -> Result<Option<User>, ReadUsersError> {
        let view = self.pages.read(&self.collection.page(id.page())).await?;
        let Some(entry) = view.get(&id.entry()) else { return Ok(None) };
        Ok(Some(read(entry, id.page())?.user))
    }

    /// The users of consecutive shards.
    pub async fn in_shards(&self, shards: std::ops::Range<u32>) -> Result<Vec<Vec<User>>, StoreError> {
        let pages: Vec<PageKey> = shards.clone().map(|shard| self.collection.page(shard)).collect();
        let views = self.pages.read_many(&pages).await?;
        let users = views.iter().zip(shards).map(|(view, shard)| {
            view.entries().iter().filter_map(|entry| Some(readable(read(entry, shard))?.user)).collect()
        });
        Ok(users.collect())
    }

    /// Registers a user, once for all calls with the same key.
    pub async fn register(
        &self,
        new: NewUser,
        key: Option<IdempotencyKey>,
    ) -> Result<Once<User>, EditError<RegistrationRefused>> {
        let folded = new.username.folded();
        self.take_likeness(&new.username.likeness(), folded.clone()).await?;
        let page = page_of(&self.collection, &folded);
        let number = page.number();
        let (publish, format) = (self.events.kafka_enabled, self.events.event_format.into());
        let edit = move |edit: &mut PageEdit<'_>| {
            for entry in edit.entries() {
                // One that cannot be read is not passed over: it may have this name.
                if read(entry, number)?.user.username.folded() == folded {
                    return Err(RegistrationRefused::NameTaken);
                }
            }
            let now = edit.now();
            let user = User {
                id: UserId::new(number, rand::random()),
                username: new.username.clone(),
                display_name: new.display_name.clone(),
                created_at: now,
                updated_at: now,
                version: 1,
            };
            edit.put(&user.id.entry(), "", stored::write_user(&user, &new.password_hash));
            if publish {
                let event = Event {
                    id: edit.event_id(),
                    occurred_at: now,
                    workspace: Workspace::shared(),
                    actor: Actor { id: user.id, name: user.username.clone() },
                    change: Change::UserRegistered { user: user.clone() },
                    action_id: new.action_id,
                    command_id: new.command_id.clone(),
                    causes: Causes::default(),
                    access: Access::default(),
                    traceparent: new.traceparent.clone(),
                };
                edit.emit(OutboxEvent {
                    id: event.id,
                    partition_key: ledger::partition_key(&event.change, &event.actor),
                    entity: user.id.to_string(),
                    attributes: TraceContext::attributes(event.traceparent.as_deref()),
                    payload: ledger::encode(&event, format).into(),
                });
            }
            Ok(user)
        };
        self.pages.edit_once(&page, key, edit).await
    }

    /// Takes `likeness` for the name with that folded form, unless another name has it.
    async fn take_likeness(
        &self,
        likeness: &str,
        folded: String,
    ) -> Result<(), EditError<RegistrationRefused>> {
        let id = likeness.to_owned();
        let take = move |edit: &mut PageEdit<'_>| match edit.get(&id) {
            Some(taken) if taken.value == folded.as_bytes() => Ok(()),
            Some(_) => Err(RegistrationRefused::NameTaken),
            None => {
                edit.put(&id, "", folded.clone().into());
                Ok(())
            }
        };
        self.pages.edit(&page_of(&self.likenesses, likeness), take).await
    }
}

/// The page of whatever has that form.
fn page_of(collection: &CollectionKey, form: &str) -> PageKey {
    let digest = Sha256::digest(form);
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    collection.page(number % SHARDS)
}

/// Reads a user's entry of the page with that number.
pub fn read(entry: &Entry, page: u32) -> Result<UserRecord, CorruptEntry> {
    stored::read_user(page, &entry.id, entry.version, entry.value.clone())
}
