//! `GET /api/auth/users`: everybody, by pages.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{AccountsRole, log_in::refuse_read, users::SHARDS};
use crate::{
    http::{ListQuery, Problem, page},
    identity::Caller,
};

#[derive(Serialize)]
pub struct UserList {
    users: Vec<ListedUser>,
    next: Option<String>,
}

#[derive(Serialize)]
pub struct ListedUser {
    #[serde(rename = "_id")]
    id: String,
    username: String,
}

/// Shards read by one request to the store.
const STEP: u32 = 64;

/// Answers 200 with the users; their order is fixed but has no meaning.
pub async fn handle(
    State(role): State<AccountsRole>,
    _: Caller,
    query: ListQuery,
) -> Result<Json<UserList>, Problem> {
    let (mut shard, mut skip) = query.position::<(u32, usize)>()?;
    let mut users = Vec::new();
    while shard < SHARDS {
        let end = shard.saturating_add(STEP).min(SHARDS);
        let read = role.users.in_shards(shard..end).await.map_err(|fault| refuse_read(&fault))?;
        for (number, shard_users) in (shard..end).zip(read) {
            for (index, user) in shard_users.iter().enumerate().skip(skip) {
                if users.len() == query.limit {
                    return Ok(Json(UserList { users, next: Some(page::cursor(&(number, index))) }));
                }
                let username = user.username.as_str().to_owned();
                users.push(ListedUser { id: user.id.to_string(), username });
            }
            skip = 0;
        }
        shard = end;
    }
    Ok(Json(UserList { users, next: None }))
}
