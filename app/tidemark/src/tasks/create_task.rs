//! A new task.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    tasks::{CreateTask, TaskAnswer},
};
use tidemark_domain::{
    Change, Group, GroupId, Rank, Task, TaskId, TaskStatus,
    task::{Description, Schedule, TaskName, parse_day},
};
use tidemark_pages::PageEdit;
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, Author, TRASH, tasks_of},
    bodies,
    change::ChangeError,
    create_group::inbox,
    refusals::of_change,
};
use crate::operations::{self, Answer, Call, Check, made};

/// Without a group the task goes to the Inbox.
pub async fn create_task(
    role: Arc<TasksRole>,
    call: Call,
    input: CreateTask,
) -> Result<Answer<TaskAnswer>, Refusal> {
    let draft = check(&input)?;
    let caller = call.caller()?;
    let author = role.board.author(&call)?;
    let group = group(&role, &author, input.group_id.as_deref()).await?;
    let group_id = group.id;
    let key = call.identity(&group_id.to_string(), &input).map(Into::into);
    let put = move |edit: &mut PageEdit<'_>| {
        has_room(edit)?;
        Ok::<_, ChangeError>(put_new_task(edit, &author, &group, draft.clone()))
    };
    let created = role.board.append(&tasks_of(&caller.workspace, group_id), key, put, is_full).await;
    let created = created.map_err(|fault| of_change("group", group_id, fault))?;
    let (task, replayed) = made(created, |page, entry| board::read_task(group_id, page, entry))?;
    Ok(Answer::from(TaskAnswer { task: bodies::task(&task, 0) })
        .at_version(task.version)
        .with_id(&task.id)
        .replayed(replayed))
}

/// The most tasks of a group: a board is read whole.
const TASKS_PER_GROUP: usize = 2_000;
/// The same, with those in the trash.
const TASKS_WITH_TRASH: usize = 10_000;

/// Why a group takes no more tasks.
#[derive(Debug, thiserror::Error)]
pub enum GroupFull {
    #[error("a group may have {TASKS_PER_GROUP} tasks, and this one has them")]
    Tasks,
    #[error("a group may have {TASKS_WITH_TRASH} tasks with those in its trash, and this one has them")]
    Trash,
}

fn is_full(fault: &ChangeError) -> bool {
    matches!(fault, ChangeError::Full(_))
}

/// Whether a task may be added, as far as the collection is counted here.
fn has_room(edit: &PageEdit<'_>) -> Result<(), GroupFull> {
    let entries = edit.entries_of_collection();
    if entries < TASKS_PER_GROUP {
        return Ok(());
    }
    room(entries, edit.labelled_of_collection(TRASH))
}

/// Whether there is room beside so many entries, of which so many lie in the trash.
pub fn room(entries: usize, in_trash: usize) -> Result<(), GroupFull> {
    if entries >= TASKS_WITH_TRASH {
        return Err(GroupFull::Trash);
    }
    if entries.saturating_sub(in_trash) >= TASKS_PER_GROUP {
        return Err(GroupFull::Tasks);
    }
    Ok(())
}

/// The parts of a new task, checked.
#[derive(Clone)]
struct Draft {
    name: TaskName,
    description: Description,
    status: TaskStatus,
    schedule: Schedule,
}

fn check(input: &CreateTask) -> Result<Draft, Refusal> {
    let mut check = Check::default();
    let name = check.field("/name", TaskName::parse(&input.name));
    let description = input.description.as_deref().unwrap_or_default();
    let description = check.field("/description", Description::parse(description));
    let status = input.status.as_deref().map_or(Ok(TaskStatus::default()), str::parse);
    let status = check.field("/status", status);
    let day = |name, text: &Option<String>| parse_day(name, text.as_deref().unwrap_or_default());
    let start = check.field("/startDate", day("startDate", &input.start_date));
    let end = check.field("/endDate", day("endDate", &input.end_date));
    let schedule = match (start, end) {
        (Some(start), Some(end)) => check.field("/endDate", Schedule::new(start, end)),
        _ => None,
    };
    let is_named = input.group_id.as_deref() != Some("");
    check.that(
        is_named,
        "/groupId",
        "groupId must be the id of a group; without the member, it is the Inbox's",
    );
    let (Some(name), Some(description), Some(status), Some(schedule), true) =
        (name, description, status, schedule, is_named)
    else {
        return Err(check.refusal());
    };
    Ok(Draft { name, description, status, schedule })
}

async fn group(role: &TasksRole, author: &Author, id: Option<&str>) -> Result<Group, Refusal> {
    let Some(text) = id else { return inbox(&role.board, author).await };
    let id: GroupId = operations::id("group", text)?;
    let group = role.board.group(&author.caller.workspace, id).await?;
    group.ok_or_else(|| Refusal::not_found("group", text))
}

fn put_new_task(edit: &mut PageEdit<'_>, author: &Author, group: &Group, draft: Draft) -> Task {
    let now = edit.now();
    // Commits of one millisecond share a time, also on two pages; the numbers of the collection keep them apart.
    let sequence = edit.sequence().to_be_bytes();
    let sequence = u16::from_be_bytes([sequence[6], sequence[7]]);
    let task = Task {
        id: TaskId::new(group.id, edit.number(), rand::random()),
        name: draft.name,
        description: draft.description,
        status: draft.status,
        schedule: draft.schedule,
        rank: Rank::of_creation(now, sequence),
        created_by: author.caller.actor.id,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    edit.put(&task.id.entry(), task.status.as_str(), stored::write_task(&task, None));
    let group_name = group.name.as_str().to_owned();
    author.tell(edit, &task.id, Change::TaskCreated { task: task.clone(), group_name });
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_room_for_two_thousand_tasks_and_ten_thousand_with_the_trash() {
        assert!(room(1_999, 0).is_ok() && room(2_100, 101).is_ok());
        assert!(matches!(room(2_000, 0), Err(GroupFull::Tasks)));
        assert!(room(9_999, 8_000).is_ok());
        assert!(matches!(room(10_000, 9_999), Err(GroupFull::Trash)));
    }
}
