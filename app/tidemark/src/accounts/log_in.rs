//! A token for a name and a password.

use std::sync::Arc;

use tidemark_api::{
    Reason, Refusal,
    accounts::{LogIn, LoggedIn, Session},
    values::{Moment, Secret},
};
use tidemark_domain::user::{Password, Username};

use super::{AccountsRole, passwords::PasswordsError, users::ReadUsersError};
use crate::operations::{Answer, Call, Check, refusals};

/// Whoever fails is not told whether the name or the password is wrong.
pub async fn log_in(role: Arc<AccountsRole>, call: Call, input: LogIn) -> Result<Answer<LoggedIn>, Refusal> {
    let mut check = Check::default();
    let username = check.field("/username", Username::registered(&input.username));
    check.that(!input.password.0.is_empty(), "/password", "password is required");
    let Some(username) = username else { return Err(check.refusal()) };
    check.passed()?;

    let record = role.users.by_name(&username).await.map_err(|fault| refusals::of_read(&fault))?;
    let hash = record.as_ref().map(|record| record.password_hash.clone());
    let password = Password::offered(&input.password.0);
    let matches = role.passwords.verify(password, hash).await.map_err(|fault| refuse(&fault))?;
    let Some(record) = record.filter(|_| matches) else {
        report_failure(&username, &call);
        return Err(Refusal::new(Reason::BadCredentials, "Invalid username or password"));
    };
    let issued = role.signer.issue(&record.user, role.clock.now()).await.map_err(|fault| fault.refusal())?;
    let session = Session {
        id: record.user.id.to_string(),
        username: record.user.username.into(),
        token: Secret(issued.token.clone()),
        expires_at: Moment(format!("{:.3}", issued.expires_at)),
    };
    Ok(LoggedIn { success: true, data: session, token: Secret(issued.token) }.into())
}

/// The security log: one line for every failed try.
fn report_failure(username: &Username, call: &Call) {
    let origin = call.origin();
    tracing::warn!(
        target: "security",
        event = "failed_login",
        username = username.as_str(),
        ip = origin.address,
        user_agent = origin.user_agent,
        "log-in refused"
    );
}

pub fn refuse(fault: &PasswordsError) -> Refusal {
    match fault {
        PasswordsError::Overloaded => Refusal::unavailable("too many log-ins at the moment"),
        PasswordsError::Hashing(_) | PasswordsError::Stopped(_) => refusals::internal(fault),
    }
}

pub fn refuse_read(fault: &ReadUsersError) -> Refusal {
    match fault {
        ReadUsersError::Store(cause) => refusals::of_read(cause),
        ReadUsersError::Corrupt(cause) => refusals::of_damage(cause),
    }
}
