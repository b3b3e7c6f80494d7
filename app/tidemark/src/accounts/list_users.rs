//! Everybody, by pages.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    accounts::{ListUsers, ListedUser, UserList},
};

use super::{AccountsRole, users::SHARDS};
use crate::operations::{Answer, Call, paging, refusals::of_read};

/// Shards read by one request to the store.
const STEP: u32 = 64;

pub async fn list_users(
    role: Arc<AccountsRole>,
    _: Call,
    input: ListUsers,
) -> Result<Answer<UserList>, Refusal> {
    let limit = paging::limit(input.limit, paging::DEFAULT_LIMIT, paging::LARGEST_LIMIT)?;
    let (mut shard, mut skip) = paging::position::<(u32, usize)>(input.cursor.as_deref())?;
    if shard >= SHARDS {
        return Err(paging::refuse_cursor());
    }
    let mut users = Vec::new();
    while shard < SHARDS {
        let end = shard.saturating_add(STEP).min(SHARDS);
        let read = role.users.in_shards(shard..end).await.map_err(|fault| of_read(&fault))?;
        for (number, shard_users) in (shard..end).zip(read) {
            for (index, user) in shard_users.iter().enumerate().skip(skip) {
                if users.len() == limit {
                    return Ok(UserList { users, next: Some(paging::cursor(&(number, index))) }.into());
                }
                let username = user.username.as_str().to_owned();
                users.push(ListedUser { id: user.id.to_string(), username });
            }
            skip = 0;
        }
        shard = end;
    }
    Ok(UserList { users, next: None }.into())
}
