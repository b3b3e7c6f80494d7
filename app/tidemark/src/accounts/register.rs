//! `POST /api/auth/register` (also `/auth/register`): a new user.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tidemark_domain::{
    User, UserId,
    user::{DisplayName, Password, Username},
};
use uuid::Uuid;

use super::{
    AccountsRole,
    profile::UserBody,
    users::{self, NewUser, Refusal},
};
use crate::{
    http::{
        Check, JsonBody, Problem,
        idempotency::{self, IdempotencyKey},
        refusal, request,
    },
    pages::{EditError, Once},
    seed,
    telemetry::trace_context::TraceContext,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    username: Option<String>,
    password: Option<String>,
    display_name: Option<String>,
}

/// Answers 201 with the user; 400 for names and passwords against the rules, 409 for a name that is taken.
pub async fn handle(
    State(role): State<AccountsRole>,
    key: IdempotencyKey,
    JsonBody { value: body, bytes }: JsonBody<Registration>,
) -> Result<Response, Problem> {
    let mut check = Check::default();
    let username = check.field("/username", Username::parse(body.username.as_deref().unwrap_or_default()));
    let (name, given) = (body.username.as_deref(), body.password.as_deref().unwrap_or_default());
    let password = if role.demo_users && seed::is_demo_user(name.unwrap_or_default(), given) {
        Ok(Password::offered(given))
    } else {
        Password::parse(given, username.as_ref())
    };
    let password = check.field("/password", password);
    let display_name =
        check.field("/displayName", DisplayName::parse(body.display_name.as_deref().unwrap_or_default()));
    let parsed = username.zip(password).zip(display_name);
    let ((username, password), display_name) = check.finish(parsed)?;

    let password_hash = role.passwords.hash(password).await.map_err(|fault| super::log_in::refuse(&fault))?;
    let traceparent = TraceContext::current().map(TraceContext::traceparent);
    let (action_id, command_id) = (Uuid::new_v4(), key.command_id());
    let new = NewUser { username, display_name, password_hash, traceparent, action_id, command_id };
    // Nobody is logged in yet: the key belongs to the name.
    let nobody = UserId::new(0, [0; 8]);
    let operation = format!("register {}", new.username.folded());
    let key = key.identify(nobody, &operation, &bytes).map(Into::into);
    let (user, replayed): (User, bool) = match role.users.register(new, key).await {
        Ok(Once::First(user)) => (user, false),
        Ok(Once::Again(first)) => {
            let record =
                users::read(&first.entry, first.page.number()).map_err(|fault| request::internal(&fault))?;
            (record.user, true)
        }
        Err(EditError::Rejected(Refusal::NameTaken)) => {
            return Err(Problem::new(StatusCode::CONFLICT, "username-taken", "this user name is taken"));
        }
        Err(EditError::Rejected(Refusal::Corrupt(fault))) => return Err(request::internal(&fault)),
        Err(other) => return Err(refusal::of_edit(other)),
    };
    let mut response = (StatusCode::CREATED, Json(json!({ "user": UserBody::from(&user) }))).into_response();
    if replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}
