//! The accounts role: who exists, and who is calling.
//!
//! Users rest in the pages of one collection. The page of a user follows from the user name, so that two
//! registrations of one name meet in one compare-and-set.

mod list_users;
mod log_in;
mod passwords;
mod profile;
mod register;
mod signing;
mod users;

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRef,
    routing::{get, post},
};
use tidemark_protocol::accounts::{
    ListSigningKeysRequest, ListSigningKeysResponse, SigningKey,
    accounts_server::{Accounts, AccountsServer},
};
use tonic::{Request, Response, Status};

use self::{passwords::Passwords, signing::Signer, users::Users};
use crate::{
    clock::Clock,
    configuration::Environment,
    dapr::SecretStore,
    health::{Dependency, PROBE_DEADLINE},
    identity::Verifier,
    roles::{Foundation, Offer},
    telemetry::WithCauses,
};

/// What the role's handlers share.
#[derive(Clone, FromRef)]
struct AccountsRole {
    users: Users,
    passwords: Passwords,
    signer: Arc<Signer>,
    verifier: Arc<Verifier>,
    clock: Arc<dyn Clock>,
    /// Whether the demo users may register with their own passwords: one is shorter than the rule allows.
    #[from_ref(skip)]
    demo_users: bool,
}

pub fn start(foundation: &Foundation) -> anyhow::Result<Offer> {
    let configuration = &foundation.configuration;
    let pages = foundation.start_pages("accounts", None);
    let secrets = SecretStore::new(foundation.sidecar.clone(), configuration.sidecar.secret_store.clone());
    let signer = Arc::new(Signer::new(secrets, configuration.accounts.token_lifetime));
    let role = AccountsRole {
        users: Users::new(pages.clone(), configuration.events.clone())?,
        passwords: Passwords::new(&configuration.accounts)?,
        signer: Arc::clone(&signer),
        verifier: Arc::clone(&foundation.verifier),
        clock: Arc::clone(&foundation.clock),
        demo_users: configuration.environment == Environment::Development,
    };
    let state = foundation.state.clone();
    let state = Dependency::new("state", true, move || {
        let state = state.clone();
        async move { Ok(state.ping(PROBE_DEADLINE).await?) }
    });
    Ok(Offer {
        router: router(role),
        services: vec![Box::new(move |routes, token| {
            routes.add_service(AccountsServer::with_interceptor(Service { signer }, token));
        })],
        dependencies: vec![state],
        pages: Some(pages),
        ..Offer::default()
    })
}

fn router(role: AccountsRole) -> Router {
    Router::new()
        .route("/auth/register", post(register::handle))
        .route("/api/auth/register", post(register::handle))
        .route("/auth/login", post(log_in::handle))
        .route("/api/auth/login", post(log_in::handle))
        .route("/api/auth/users", get(list_users::handle))
        .route("/api/users/me", get(profile::handle))
        .route("/.well-known/jwks.json", get(signing::handle))
        .with_state(role)
}

/// What other roles ask of this one.
struct Service {
    signer: Arc<Signer>,
}

#[async_trait::async_trait]
impl Accounts for Service {
    async fn list_signing_keys(
        &self,
        _: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        let pair = self.signer.pair().await.map_err(|fault| {
            tracing::warn!(error = %WithCauses(&fault), "signing key unavailable");
            Status::unavailable("the signing key cannot be read at the moment")
        })?;
        let key = SigningKey { key_id: pair.key_id.clone(), public_key: pair.public_key.clone().into() };
        Ok(Response::new(ListSigningKeysResponse { keys: vec![key] }))
    }
}
