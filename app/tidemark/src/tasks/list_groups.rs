//! `GET /api/groups`: the groups of the workspace, newest first, by pages.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tidemark_domain::{Group, Workspace};

use super::{
    TasksRole,
    board::{self, Board, PAGES_AT_A_TIME, Seen, groups_of, tasks_of},
    bodies::{GroupBody, TaskBody},
};
use crate::{
    http::{ListQuery, Problem, Query, page, refusal, request},
    identity::Caller,
};

#[derive(Deserialize)]
pub struct Include {
    /// `tasks` embeds the tasks of each group.
    include: Option<String>,
}

#[derive(Serialize)]
pub struct GroupList {
    groups: Vec<GroupBody>,
    next: Option<String>,
}

/// Answers 200 with the groups and how many tasks each has; with `include=tasks` the tasks too, by rank.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    query: ListQuery,
    Query(Include { include }): Query<Include>,
) -> Result<Json<GroupList>, Problem> {
    let with_tasks = match include.as_deref() {
        None | Some("") => false,
        Some("tasks") => true,
        Some(_) => return Err(Problem::invalid_field("?include", "include may be: tasks")),
    };
    let (groups, next) = newest_first(&role.board, &caller.workspace, &query).await?;
    let bodies = if with_tasks {
        with_all_tasks(&role.board, &caller.workspace, &groups).await?
    } else {
        with_counts(&role.board, &caller.workspace, &groups).await?
    };
    Ok(Json(GroupList { groups: bodies, next }))
}

async fn with_counts(
    board: &Board,
    workspace: &Workspace,
    groups: &[Group],
) -> Result<Vec<GroupBody>, Problem> {
    let collections: Vec<_> = groups.iter().map(|group| tasks_of(workspace, group.id)).collect();
    let summaries = board.pages.summaries(&collections).await.map_err(|fault| refusal::of_read(&fault))?;
    let bodies = groups.iter().zip(summaries);
    Ok(bodies.map(|(group, summary)| GroupBody::new(group, summary.entries, None)).collect())
}

async fn with_all_tasks(
    board: &Board,
    workspace: &Workspace,
    groups: &[Group],
) -> Result<Vec<GroupBody>, Problem> {
    let mut bodies = Vec::with_capacity(groups.len());
    for group in groups {
        let tasks = board.tasks_by_rank(workspace, group.id).await?;
        let comments = board.comments_of(workspace, &tasks).await?;
        let task_bodies: Vec<TaskBody> =
            tasks.iter().zip(&comments).map(|(task, first)| TaskBody::new(task, first.count)).collect();
        bodies.push(GroupBody::new(group, tasks.len() as u64, Some(task_bodies)));
    }
    Ok(bodies)
}

/// Where the next page starts: after the last group shown. Groups made meanwhile come before it, so nothing is
/// shown twice.
type Position = Option<(u32, Seen)>;

async fn newest_first(
    board: &Board,
    workspace: &Workspace,
    query: &ListQuery,
) -> Result<(Vec<Group>, Option<String>), Problem> {
    let collection = groups_of(workspace);
    let position: Position = query.position()?;
    let (mut last, mut after) = match position {
        Some((page, seen)) => (page, Some(seen)),
        None => (last_page(board, workspace).await?, None),
    };
    let mut groups: Vec<Group> = Vec::new();
    loop {
        let first = last.saturating_sub(PAGES_AT_A_TIME - 1);
        let keys: Vec<_> = (first..=last).rev().map(|number| collection.page(number)).collect();
        let views = board.pages.read_many(&keys).await.map_err(|fault| refusal::of_read(&fault))?;
        for view in views {
            let number = view.key().number();
            let entries = view.entries();
            // From here backwards to the start of the page.
            let rest = after.take().map(|seen: Seen| seen.rest(entries, board::group_created_at(number)));
            let end = rest.unwrap_or(entries.len());
            for entry in entries[..end].iter().rev() {
                if groups.len() == query.limit {
                    let position: Position = groups.last().map(|group| {
                        let created_at = group.created_at.as_millisecond();
                        (group.id.page(), Seen { entry: group.id.entry(), created_at })
                    });
                    return Ok((groups, Some(page::cursor(&position))));
                }
                let group = board::read_group(number, entry).map_err(|fault| request::internal(&fault))?;
                groups.push(group);
            }
        }
        match first.checked_sub(1) {
            Some(before) => last = before,
            None => return Ok((groups, None)),
        }
    }
}

async fn last_page(board: &Board, workspace: &Workspace) -> Result<u32, Problem> {
    let collection = groups_of(workspace);
    let summary = board.pages.summary(&collection).await.map_err(|fault| refusal::of_read(&fault))?;
    let mut from = summary.pages.saturating_sub(1);
    loop {
        let read = board.pages.read_collection(&collection, from, PAGES_AT_A_TIME).await;
        let read = read.map_err(|fault| refusal::of_read(&fault))?;
        match read.next {
            Some(next) => from = next,
            None => return Ok(read.pages.last().map_or(from, |page| page.key().number())),
        }
    }
}
