//! `tidemark users create`: a user made by whoever runs the installation, whether registration is open or not.

use std::sync::Arc;

use tidemark_api::accounts::{Register, User};

use super::{AccountsRole, register::register, start_pages};
use crate::{configuration::Registration, foundation::Foundation, operations::Call};

/// Makes a user by the rules of a registration. Returns when the event of it is published, or else at the drain
/// deadline: then a replica of the accounts role publishes it.
pub async fn create_user(foundation: &Foundation, input: Register) -> anyhow::Result<User> {
    let pages = start_pages(foundation);
    let role = Arc::new(AccountsRole::new(foundation, &pages, Registration::Open)?);
    let registered = register(role, Call::nobodys(), input).await;
    pages.drain(foundation.configuration.drain_deadline).await;
    let user = registered.map_err(|refusal| {
        let faults: Vec<&str> = refusal.faults().iter().map(|fault| fault.message.as_str()).collect();
        if faults.is_empty() { anyhow::anyhow!(refusal) } else { anyhow::anyhow!(faults.join("; ")) }
    })?;
    Ok(user.output.user)
}
