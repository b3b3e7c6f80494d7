//! A new user.

use std::sync::Arc;

use tidemark_api::{
    Reason, Refusal,
    accounts::{Register, UserAnswer},
};
use tidemark_domain::user::{DisplayName, Password, Username};
use tidemark_pages::EditError;
use uuid::Uuid;

use super::{
    AccountsRole, profile,
    users::{self, NewUser, RegistrationRefused},
};
use crate::{
    configuration::Registration,
    demonstration,
    operations::{Answer, Call, Check, made, refusals},
    telemetry::trace_context::TraceContext,
};

pub async fn register(
    role: Arc<AccountsRole>,
    call: Call,
    input: Register,
) -> Result<Answer<UserAnswer>, Refusal> {
    if role.registration == Registration::Closed {
        let detail = "registration is closed; ask whoever runs this installation for an account";
        return Err(Refusal::new(Reason::RegistrationClosed, detail));
    }
    let mut check = Check::default();
    let username = check.field("/username", Username::parse(&input.username));
    let password = if role.demo_users && demonstration::is_user(&input.username, &input.password.0) {
        Ok(Password::offered(&input.password.0))
    } else {
        Password::parse(&input.password.0, username.as_ref())
    };
    let password = check.field("/password", password);
    let display_name = input.display_name.as_deref().unwrap_or_default();
    let display_name = check.field("/displayName", DisplayName::parse(display_name));
    let (Some(username), Some(password), Some(display_name)) = (username, password, display_name) else {
        return Err(check.refusal());
    };

    // Nobody is logged in yet: the key belongs to the name.
    let key = call.identity(&username.folded(), &input).map(Into::into);
    let password_hash = role.passwords.hash(password).await.map_err(|fault| super::log_in::refuse(&fault))?;
    let traceparent = TraceContext::current().map(TraceContext::traceparent);
    let (action_id, command_id) = (Uuid::new_v4(), call.command_id());
    let new = NewUser { username, display_name, password_hash, traceparent, action_id, command_id };
    let registered = role.users.register(new, key).await.map_err(refuse)?;
    let (user, replayed) =
        made(registered, |page, entry| users::read(entry, page).map(|record| record.user))?;
    Ok(Answer::from(UserAnswer { user: profile::body(&user) }).replayed(replayed))
}

fn refuse(fault: EditError<RegistrationRefused>) -> Refusal {
    match fault {
        EditError::Rejected(RegistrationRefused::NameTaken) => {
            Refusal::new(Reason::UsernameTaken, "this user name is taken, or looks like one that is")
        }
        EditError::Rejected(RegistrationRefused::Corrupt(fault)) => refusals::of_damage(&fault),
        other => refusals::of_edit(other),
    }
}
