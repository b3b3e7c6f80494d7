//! Users in pages: the page follows from the name.

use sha2::{Digest, Sha256};
use tidemark_domain::{
    Access, ActionId, Actor, Causes, Change, CommandId, Event, User, UserId, Workspace,
    user::{DisplayName, Username},
};
use tidemark_pages::{
    CollectionKey, EditError, Entry, IdempotencyKey, InvalidCollectionKey, Once, OutboxEvent, PageKey, Pages,
    StoreError,
};
use tidemark_protocol::{
    ledger,
    stored::{self, CorruptEntry, UserRecord},
};

use crate::{configuration::EventConfiguration, damage::readable, telemetry::trace_context::TraceContext};

/// Where users lie.
pub const COLLECTION: &str = "users";

/// Pages that users are spread over. Fixed for ever: a user's page follows from it and from what the name looks
/// like, so that two registrations of names that look alike meet in one compare-and-set.
pub const SHARDS: u32 = 256;

/// All users.
#[derive(Clone)]
pub struct Users {
    pages: Pages,
    collection: CollectionKey,
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
        Ok(Self { pages, collection: CollectionKey::parse(COLLECTION)?, events })
    }

    fn page_of(&self, form: &str) -> PageKey {
        let digest = Sha256::digest(form);
        let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        self.collection.page(number % SHARDS)
    }

    pub async fn by_name(&self, username: &Username) -> Result<Option<UserRecord>, StoreError> {
        let folded = username.folded();
        // Those who registered when names that look alike were let in lie where the name itself leads.
        let pages = [self.page_of(&username.likeness()), self.page_of(&folded)];
        let views = self.pages.read_many(&pages).await?;
        let records = views.iter().zip(&pages).flat_map(|(view, page)| {
            view.entries().iter().filter_map(|entry| readable(read(entry, page.number())))
        });
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
        let (folded, likeness) = (new.username.folded(), new.username.likeness());
        let (page, older) = (self.page_of(&likeness), self.page_of(&folded));
        if older != page {
            let view = self.pages.read(&older).await.map_err(EditError::Unavailable)?;
            let taken = find(view.entries(), older.number(), |name| name.folded() == folded);
            if taken.map_err(|fault| EditError::Rejected(fault.into()))?.is_some() {
                return Err(EditError::Rejected(RegistrationRefused::NameTaken));
            }
        }
        let number = page.number();
        let (publish, format) = (self.events.kafka_enabled, self.events.event_format.into());
        let edit = move |edit: &mut tidemark_pages::PageEdit<'_>| {
            if find(edit.entries(), number, |name| name.likeness() == likeness)?.is_some() {
                return Err(RegistrationRefused::NameTaken);
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
}

/// Reads a user's entry of the page with that number.
pub fn read(entry: &Entry, page: u32) -> Result<UserRecord, CorruptEntry> {
    stored::read_user(page, &entry.id, entry.version, entry.value.clone())
}

/// The user that is meant. An entry that cannot be read is not passed over: it may be the one.
fn find(
    entries: &[Entry],
    page: u32,
    is_meant: impl Fn(&Username) -> bool,
) -> Result<Option<UserRecord>, CorruptEntry> {
    for entry in entries {
        let record = read(entry, page)?;
        if is_meant(&record.user.username) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
