//! `GET /api/users/me`: the caller.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde::Serialize;
use serde_json::json;
use tidemark_domain::User;

use super::{AccountsRole, log_in::refuse_read};
use crate::{
    http::{Problem, conditional},
    identity::Caller,
};

/// A user as others see them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserBody {
    #[serde(rename = "_id")]
    id: String,
    username: String,
    display_name: String,
    created_at: String,
    updated_at: String,
}

impl From<&User> for UserBody {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.as_str().to_owned(),
            display_name: user.display_name.as_str().to_owned(),
            created_at: format!("{:.3}", user.created_at),
            updated_at: format!("{:.3}", user.updated_at),
        }
    }
}

/// Answers 200 with the user.
pub async fn handle(State(role): State<AccountsRole>, caller: Caller) -> Result<Response, Problem> {
    let user = role.users.by_id(caller.actor.id).await.map_err(|fault| refuse_read(&fault))?;
    let user = user.ok_or_else(|| Problem::not_found("user", caller.actor.id))?;
    let etag = [(header::ETAG, conditional::etag(user.version))];
    Ok((etag, Json(json!({ "user": UserBody::from(&user) }))).into_response())
}
