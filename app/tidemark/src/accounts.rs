//! The accounts role: who exists, and who is calling.
//!
//! Users rest in the pages of one collection. The page of a user follows from the user name, so that two
//! registrations of one name meet in one compare-and-set; so do names that look alike, in pages of their own.

mod create_user;
mod list_users;
mod log_in;
mod passwords;
mod profile;
mod register;
mod repair;
mod signing;
mod users;

use std::sync::Arc;

use tidemark_pages::Pages;

pub use self::{create_user::create_user, repair::repair};
use self::{passwords::Passwords, signing::Signer, users::Users};
use crate::{
    clock::Clock,
    configuration::{Environment, Registration},
    dapr::SecretStore,
    foundation::{Foundation, Offer},
    health::{Dependency, PROBE_DEADLINE},
    operations::Offered,
};

/// What the role's actions share.
struct AccountsRole {
    users: Users,
    passwords: Passwords,
    signer: Signer,
    clock: Arc<dyn Clock>,
    registration: Registration,
    /// Whether the users of the demonstration may register with their own passwords.
    demo_users: bool,
}

impl AccountsRole {
    fn new(foundation: &Foundation, pages: &Pages, registration: Registration) -> anyhow::Result<Self> {
        let configuration = &foundation.configuration;
        let secrets =
            SecretStore::new(foundation.sidecar.clone(), configuration.sidecar.secret_store.clone());
        Ok(Self {
            users: Users::new(pages.clone(), configuration.events.clone())?,
            passwords: Passwords::new(&configuration.accounts)?,
            signer: Signer::new(secrets, configuration.accounts.token_lifetime),
            clock: Arc::clone(&foundation.clock),
            registration,
            demo_users: configuration.environment == Environment::Development,
        })
    }
}

fn start_pages(foundation: &Foundation) -> Pages {
    foundation.start_pages("accounts", None)
}

pub fn start(foundation: &Foundation) -> anyhow::Result<Offer> {
    let pages = start_pages(foundation);
    let role = AccountsRole::new(foundation, &pages, foundation.configuration.registration())?;
    let role = Arc::new(role);
    let state = foundation.state.clone();
    let state = Dependency::new("state", true, move || {
        let state = state.clone();
        async move { Ok(state.ping(PROBE_DEADLINE).await?) }
    });
    Ok(Offer {
        operations: vec![
            Offered::new(&role, register::register),
            Offered::new(&role, log_in::log_in),
            Offered::new(&role, list_users::list_users),
            Offered::new(&role, profile::show_profile),
            Offered::new(&role, signing::list_signing_keys),
        ],
        dependencies: vec![state],
        pages: Some(pages),
        ..Offer::default()
    })
}
