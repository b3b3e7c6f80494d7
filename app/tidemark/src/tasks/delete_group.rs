//! A group goes into the trash, and with it all that is in it.

use std::sync::Arc;

use tidemark_api::{Reason, Refusal, groups::DeleteGroup, values::Nothing};
use tidemark_domain::GroupId;
use tidemark_pages::{Once, PageEdit};

use super::{
    TasksRole, board::groups_of, change::ChangeError, edit_group::current, refusals, trash::discard_group,
};
use crate::operations::{self, Answer, Call};

/// One commit and one event: its tasks and their comments stay as they are, and can no longer be reached until
/// the group is restored.
pub async fn delete_group(
    role: Arc<TasksRole>,
    call: Call,
    input: DeleteGroup,
) -> Result<Answer<Nothing>, Refusal> {
    let id: GroupId = operations::id("group", &input.id)?;
    if id == GroupId::INBOX {
        let detail = "the Inbox takes tasks without a group and cannot be deleted";
        return Err(Refusal::new(Reason::InboxStays, detail));
    }
    let caller = call.caller()?;
    let (author, seen) = (role.board.author(&call)?, call.seen().clone());
    let delete = move |edit: &mut PageEdit<'_>| {
        let group = current(edit, id, &seen)?;
        discard_group(edit, &author, group);
        Ok::<_, ChangeError>(())
    };
    let page = groups_of(&caller.workspace).page(id.page());
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let deleted = role.board.pages.edit_once(&page, key, delete).await;
    let deleted = deleted.map_err(|fault| refusals::of_change("group", id, fault))?;
    Ok(Answer::from(Nothing {}).replayed(matches!(deleted, Once::Again(_))))
}
