//! The caller.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    accounts::{self, ShowProfile, UserAnswer},
    values::Moment,
};
use tidemark_domain::User;

use super::{AccountsRole, log_in::refuse_read};
use crate::operations::{Answer, Call};

/// A user as others see them.
pub fn body(user: &User) -> accounts::User {
    accounts::User {
        id: user.id.to_string(),
        username: user.username.as_str().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        created_at: Moment(format!("{:.3}", user.created_at)),
        updated_at: Moment(format!("{:.3}", user.updated_at)),
    }
}

pub async fn show_profile(
    role: Arc<AccountsRole>,
    call: Call,
    _: ShowProfile,
) -> Result<Answer<UserAnswer>, Refusal> {
    let id = call.caller()?.actor.id;
    let user = role.users.by_id(id).await.map_err(|fault| refuse_read(&fault))?;
    let user = user.ok_or_else(|| Refusal::not_found("user", id))?;
    Ok(Answer::from(UserAnswer { user: body(&user) }).at_version(user.version))
}
