//! The groups of the workspace, newest first, by pages.

use std::sync::Arc;

use tidemark_api::{
    Refusal,
    groups::{self, GroupList, ListGroups},
    tasks,
};
use tidemark_domain::{Group, Workspace};

use super::{
    TasksRole,
    board::{self, Board, PAGES_AT_A_TIME, Seen, groups_of, tasks_of},
    bodies,
};
use crate::operations::{Answer, Call, paging, refusals};

/// With `include=tasks` the tasks come too, by rank.
pub async fn list_groups(
    role: Arc<TasksRole>,
    call: Call,
    input: ListGroups,
) -> Result<Answer<GroupList>, Refusal> {
    let with_tasks = match input.include.as_deref() {
        None => false,
        Some("tasks") => true,
        Some(_) => return Err(Refusal::invalid_field("/include", "include may be: tasks")),
    };
    let limit = paging::limit(input.limit, paging::DEFAULT_LIMIT, paging::LARGEST_LIMIT)?;
    let position: Position = paging::position(input.cursor.as_deref())?;
    let workspace = &call.caller()?.workspace;
    let (groups, next) = newest_first(&role.board, workspace, limit, position).await?;
    let groups = if with_tasks {
        with_all_tasks(&role.board, workspace, &groups).await?
    } else {
        with_counts(&role.board, workspace, &groups).await?
    };
    Ok(GroupList { groups, next }.into())
}

async fn with_counts(
    board: &Board,
    workspace: &Workspace,
    groups: &[Group],
) -> Result<Vec<groups::Group>, Refusal> {
    let collections: Vec<_> = groups.iter().map(|group| tasks_of(workspace, group.id)).collect();
    let summaries = board.pages.summaries(&collections).await.map_err(|fault| refusals::of_read(&fault))?;
    let counted = groups.iter().zip(summaries);
    Ok(counted.map(|(group, summary)| bodies::group(group, summary.entries, None)).collect())
}

async fn with_all_tasks(
    board: &Board,
    workspace: &Workspace,
    groups: &[Group],
) -> Result<Vec<groups::Group>, Refusal> {
    let mut shown = Vec::with_capacity(groups.len());
    for group in groups {
        let tasks = board.tasks_by_rank(workspace, group.id).await?;
        let comments = board.comments_of(workspace, &tasks).await?;
        let task_bodies: Vec<tasks::Task> =
            tasks.iter().zip(&comments).map(|(task, first)| bodies::task(task, first.count)).collect();
        shown.push(bodies::group(group, tasks.len() as u64, Some(task_bodies)));
    }
    Ok(shown)
}

/// Where the next page starts: after the last group shown. Groups made meanwhile come before it, so nothing is
/// shown twice.
type Position = Option<(u32, Seen)>;

async fn newest_first(
    board: &Board,
    workspace: &Workspace,
    limit: usize,
    position: Position,
) -> Result<(Vec<Group>, Option<String>), Refusal> {
    let collection = groups_of(workspace);
    let (mut last, mut after) = match position {
        // The list is walked down from here: not from where nothing ever was.
        Some((page, _)) if page > last_page(board, workspace).await? => return Err(paging::refuse_cursor()),
        Some((page, seen)) => (page, Some(seen)),
        None => (last_page(board, workspace).await?, None),
    };
    let mut groups: Vec<Group> = Vec::new();
    loop {
        let first = last.saturating_sub(PAGES_AT_A_TIME - 1);
        let keys: Vec<_> = (first..=last).rev().map(|number| collection.page(number)).collect();
        let views = board.pages.read_many(&keys).await.map_err(|fault| refusals::of_read(&fault))?;
        for view in views {
            let number = view.key().number();
            let entries = view.entries();
            // From here backwards to the start of the page.
            let rest = after.take().map(|seen: Seen| seen.rest(entries, board::group_created_at(number)));
            let end = rest.unwrap_or(entries.len());
            for entry in entries[..end].iter().rev() {
                if groups.len() == limit {
                    let position: Position = groups.last().map(|group| {
                        let created_at = group.created_at.as_millisecond();
                        (group.id.page(), Seen { entry: group.id.entry(), created_at })
                    });
                    return Ok((groups, Some(paging::cursor(&position))));
                }
                let group = board::read_group(number, entry).map_err(|fault| refusals::internal(&fault))?;
                groups.push(group);
            }
        }
        match first.checked_sub(1) {
            Some(before) => last = before,
            None => return Ok((groups, None)),
        }
    }
}

async fn last_page(board: &Board, workspace: &Workspace) -> Result<u32, Refusal> {
    let collection = groups_of(workspace);
    let summary = board.pages.summary(&collection).await.map_err(|fault| refusals::of_read(&fault))?;
    let mut from = summary.pages.saturating_sub(1);
    loop {
        let read = board.pages.read_collection(&collection, from, PAGES_AT_A_TIME).await;
        let read = read.map_err(|fault| refusals::of_read(&fault))?;
        match read.next {
            Some(next) => from = next,
            None => return Ok(read.pages.last().map_or(from, |page| page.key().number())),
        }
    }
}
