//! Another name or discussion.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    groups::{GroupAnswer, UnchangedGroup, UpdateGroup},
};
use tidemark_domain::{
    Change, Group, GroupId,
    group::{Discussion, GroupName},
};
use tidemark_pages::PageEdit;
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::groups_of,
    bodies,
    change::{ChangeError, stays, stays_at},
    edit_group::{answer, current},
    refusals,
};
use crate::operations::{self, Answer, Call, Check};

/// Members that are absent stay as they are.
pub async fn update_group(
    role: Arc<TasksRole>,
    call: Call,
    input: UpdateGroup,
) -> Result<Answer<GroupAnswer>, Refusal> {
    let id: GroupId = operations::id("group", &input.id)?;
    let mut check = Check::default();
    // Empty text is what `null` stands for, and no name.
    let name = input.name.clone().or_cleared(String::new());
    let name = check.field("/name", name.as_deref().map(GroupName::parse).transpose());
    let discussion = input.discussion.clone().or_cleared(String::new());
    let discussion = check.field("/discussion", discussion.as_deref().map(Discussion::parse).transpose());
    let (Some(name), Some(discussion)) = (name, discussion) else { return Err(check.refusal()) };

    let caller = call.caller()?;
    let (author, seen, unchanged) = (role.board.author(&call)?, call.seen().clone(), input.unchanged.clone());
    let update = move |edit: &mut PageEdit<'_>| {
        let before = current(edit, id, &seen)?;
        stays_unchanged(&before, &unchanged)?;
        let mut group = Group {
            name: name.clone().unwrap_or_else(|| before.name.clone()),
            discussion: discussion.clone().unwrap_or_else(|| before.discussion.clone()),
            ..before.clone()
        };
        if group != before {
            group.updated_at = edit.now();
            group.version = edit.put(&id.entry(), "", stored::write_group(&group, None));
            author.tell(edit, &id, Change::GroupUpdated { before, after: group.clone() });
        }
        Ok(group)
    };
    let page = groups_of(&caller.workspace).page(id.page());
    let key = call.identity(&id.to_string(), &input).map(Into::into);
    let updated = role.board.pages.edit_once(&page, key, update).await;
    let updated = updated.map_err(|fault| refusals::of_change("group", id, fault))?;
    answer(&role, &caller.workspace, id, updated).await
}

/// What nobody sets must be what is there.
fn stays_unchanged(group: &Group, sent: &UnchangedGroup) -> Result<(), ChangeError> {
    stays_at(sent.version, group.version)?;
    let shown = bodies::group(group, 0, None);
    stays(sent.own_id.as_ref(), &shown.id, "_id")?;
    stays(sent.created_by.as_ref(), &shown.created_by, "createdBy")?;
    stays(sent.created_at.as_ref(), &shown.created_at, "createdAt")?;
    stays(sent.updated_at.as_ref(), &shown.updated_at, "updatedAt")
}
