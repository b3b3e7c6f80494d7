//! A new group.

use std::{convert::Infallible, sync::Arc};

use tidemark_api::{
    Refusal,
    groups::{CreateGroup, GroupAnswer},
};
use tidemark_domain::{
    Change, Group, GroupId,
    group::{Discussion, GroupName},
};
use tidemark_pages::{EditError, PageEdit};
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, Author, Board, groups_of},
    bodies,
};
use crate::operations::{Answer, Call, Check, made, refusals};

pub async fn create_group(
    role: Arc<TasksRole>,
    call: Call,
    input: CreateGroup,
) -> Result<Answer<GroupAnswer>, Refusal> {
    let mut check = Check::default();
    let name = check.field("/name", GroupName::parse(&input.name));
    let discussion = input.discussion.as_deref().unwrap_or_default();
    let discussion = check.field("/discussion", Discussion::parse(discussion));
    let (Some(name), Some(discussion)) = (name, discussion) else { return Err(check.refusal()) };

    let caller = call.caller()?;
    let author = role.board.author(&call)?;
    let key = call.identity("", &input).map(Into::into);
    let create = move |edit: &mut PageEdit<'_>| {
        let id = GroupId::new(edit.number(), rand::random());
        Ok::<_, Infallible>(put_new_group(edit, &author, id, name.clone(), discussion.clone()))
    };
    let created = role.board.pages.append(&groups_of(&caller.workspace), key, create).await;
    let (group, replayed) = made(created.map_err(refusals::of_edit)?, board::read_group)?;
    Ok(Answer::from(GroupAnswer { group: bodies::group(&group, 0, Some(Vec::new())) })
        .at_version(group.version)
        .with_id(&group.id)
        .replayed(replayed))
}

fn put_new_group(
    edit: &mut PageEdit<'_>,
    author: &Author,
    id: GroupId,
    name: GroupName,
    discussion: Discussion,
) -> Group {
    let now = edit.now();
    let group = Group {
        id,
        name,
        discussion,
        created_by: author.caller.actor.id,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    edit.put(&id.entry(), "", stored::write_group(&group, None));
    author.tell(edit, &id, Change::GroupCreated { group: group.clone() });
    group
}

/// The group for tasks that name none. It is made when it is first needed.
pub async fn inbox(board: &Board, author: &Author) -> Result<Group, Refusal> {
    let workspace = &author.caller.workspace;
    if let Some(group) = board.group(workspace, GroupId::INBOX).await? {
        return Ok(group);
    }
    let author = author.clone();
    let page = groups_of(&author.caller.workspace).page(GroupId::INBOX.page());
    let create = move |edit: &mut PageEdit<'_>| match edit.get(&GroupId::INBOX.entry()) {
        Some(entry) => board::read_group(GroupId::INBOX.page(), entry),
        None => Ok(put_inbox(edit, &author)),
    };
    board.pages.edit(&page, create).await.map_err(|fault| match fault {
        EditError::Rejected(corrupt) => refusals::of_damage(&corrupt),
        other => refusals::of_edit(other),
    })
}

/// Makes the Inbox.
pub fn put_inbox(edit: &mut PageEdit<'_>, author: &Author) -> Group {
    let name = GroupName::parse("Inbox").expect("a short word is a valid name");
    let discussion = Discussion::parse("").expect("empty is a valid discussion");
    put_new_group(edit, author, GroupId::INBOX, name, discussion)
}
