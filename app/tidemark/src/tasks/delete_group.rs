//! The end of a group, its tasks and their comments.

use std::sync::Arc;

use tidemark_api::{Reason, Refusal, groups::DeleteGroup, values::Nothing};
use tidemark_domain::{Change, GroupId};
use tidemark_pages::{Once, PageEdit};

use super::{
    TasksRole,
    board::groups_of,
    cascade::Unfinished,
    edit_group::{EditGroupError, current},
    refusals,
};
use crate::operations::{self, Answer, Call};

/// Answers once the group is gone, as a rule with everything in it: what a crash leaves is finished by the
/// sweep.
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
        let unfinished = Unfinished::of_group(&author, id, group.name.as_str().to_owned());
        edit.remove(&id.entry());
        let version = group.version + 1;
        author.tell(edit, &id, Change::GroupDeleted { group, version });
        let marker = unfinished.marker();
        edit.set_pending(&marker);
        Ok::<_, EditGroupError>(marker)
    };
    let page = groups_of(&caller.workspace).page(id.page());
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let deleted = role.board.pages.edit_once(&page, key, delete).await;
    match deleted.map_err(|fault| refusals::of_group(id, fault))? {
        Once::First(marker) => {
            role.cascades.finished(&role.board.pages, &page, &marker).await;
            Ok(Nothing {}.into())
        }
        Once::Again(_) => Ok(Answer::from(Nothing {}).replayed(true)),
    }
}
