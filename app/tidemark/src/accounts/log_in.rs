//! `POST /api/auth/login` (also `/auth/login`): a token for a name and a password.

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use tidemark_domain::user::{Password, Username};

use super::{AccountsRole, passwords::PasswordsError, users::ReadUsersError};
use crate::http::{Check, JsonBody, Problem, request};

#[derive(Deserialize)]
pub struct Credentials {
    username: Option<String>,
    password: Option<String>,
}

#[derive(Serialize)]
pub struct LoggedIn {
    success: bool,
    data: Session,
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    #[serde(rename = "_id")]
    id: String,
    username: String,
    token: String,
    expires_at: String,
}

/// Answers 200 with a token; 401 if name and password do not belong together, without telling which is wrong.
pub async fn handle(
    State(role): State<AccountsRole>,
    headers: HeaderMap,
    JsonBody { value: body, .. }: JsonBody<Credentials>,
) -> Result<Json<LoggedIn>, Problem> {
    let mut check = Check::default();
    let username =
        check.field("/username", Username::registered(body.username.as_deref().unwrap_or_default()));
    let password = check.field("/password", body.password.ok_or("password is required"));
    let (username, password) = check.finish(username.zip(password))?;

    let record = role.users.by_name(&username).await.map_err(|fault| refuse_read(&fault))?;
    let hash = record.as_ref().map(|record| record.password_hash.clone());
    let matches =
        role.passwords.verify(Password::offered(&password), hash).await.map_err(|fault| refuse(&fault))?;
    let Some(record) = record.filter(|_| matches) else {
        report_failure(&username, &headers);
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "bad-credentials",
            "Invalid username or password",
        ));
    };
    let issued = role
        .signer
        .issue(&record.user, role.clock.now())
        .await
        .map_err(|fault| request::unavailable("tokens cannot be signed at the moment", &fault))?;
    let session = Session {
        id: record.user.id.to_string(),
        username: record.user.username.into(),
        token: issued.token.clone(),
        expires_at: format!("{:.3}", issued.expires_at),
    };
    Ok(Json(LoggedIn { success: true, data: session, token: issued.token }))
}

/// The security log: one line for every failed try.
fn report_failure(username: &Username, headers: &HeaderMap) {
    let text =
        |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or("");
    tracing::warn!(
        target: "security",
        event = "failed_login",
        username = username.as_str(),
        ip = text(header::HeaderName::from_static("x-real-ip")),
        user_agent = text(header::USER_AGENT),
        "log-in refused"
    );
}

pub fn refuse(fault: &PasswordsError) -> Problem {
    match fault {
        PasswordsError::Overloaded => Problem::unavailable("too many log-ins at the moment"),
        PasswordsError::Hashing(_) | PasswordsError::Stopped(_) => request::internal(fault),
    }
}

pub fn refuse_read(fault: &ReadUsersError) -> Problem {
    match fault {
        ReadUsersError::Store(cause) => request::unavailable("users cannot be read at the moment", cause),
        ReadUsersError::Corrupt(cause) => request::internal(cause),
    }
}
