//! A group comes back from the trash as it was, with all that is in it.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    groups::{GroupAnswer, RestoreGroup},
};
use tidemark_domain::{Change, Group, GroupId};
use tidemark_pages::PageEdit;
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, TRASH, groups_of},
    change::ChangeError,
    edit_group::answer,
    refusals,
};
use crate::operations::{self, Answer, Call};

/// One that is not in the trash stays as it is. Tasks that were deleted one by one stay in the trash.
pub async fn restore_group(
    role: Arc<TasksRole>,
    call: Call,
    input: RestoreGroup,
) -> Result<Answer<GroupAnswer>, Refusal> {
    let id: GroupId = operations::id("group", &input.id)?;
    let caller = call.caller()?;
    let author = role.board.author(&call)?;
    let restore = move |edit: &mut PageEdit<'_>| {
        let entry = edit.get(&id.entry()).ok_or(ChangeError::NotFound)?;
        let mut group = board::read_group(id.page(), entry)?;
        if entry.label == TRASH {
            group = Group { updated_at: edit.now(), ..group };
            group.version = edit.put(&id.entry(), "", stored::write_group(&group, None));
            author.tell(edit, &id, Change::GroupRestored { group: group.clone() });
        }
        Ok(group)
    };
    let page = groups_of(&caller.workspace).page(id.page());
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let restored = role.board.pages.edit_once(&page, key, restore).await;
    let restored = restored.map_err(|fault| refusals::of_change("group", id, fault))?;
    answer(&role, &caller.workspace, id, restored).await
}
