//! `GET /api/tasks` (also `/tasks`) and `GET /api/groups/{id}/tasks`: tasks in the order of their creation
//! within each group, by pages, filtered by status and group.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tidemark_domain::{GroupId, Task, TaskStatus, Workspace};

use super::{
    TasksRole,
    board::{self, Board, PAGES_AT_A_TIME, Seen, groups_of, tasks_of},
    bodies::TaskBody,
};
use crate::{
    http::{ListQuery, PathId, Problem, Query, page, refusal, request},
    identity::Caller,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    status: Option<String>,
    group_id: Option<String>,
}

#[derive(Serialize)]
pub struct TaskList {
    tasks: Vec<TaskBody>,
    next: Option<String>,
}

/// Where a list goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// The group that was being shown, when all groups are.
    group: Option<(u32, Seen)>,
    /// Where in that group.
    within: Within,
}

/// Where the list of one group's tasks goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Within {
    page: u32,
    seen: Option<Seen>,
}

/// Pages looked through for one answer. A filter that matches little gives short pages with a `next`.
const PAGES_PER_ANSWER: usize = 256;

/// Answers 200 with tasks of all groups, or of `groupId`; 400 for a status that is none.
pub async fn handle(
    State(role): State<TasksRole>,
    caller: Caller,
    query: ListQuery,
    Query(filter): Query<Filter>,
) -> Result<Json<TaskList>, Problem> {
    let group = match filter.group_id.as_deref() {
        None | Some("") => None,
        Some(text) => {
            let id: Result<GroupId, _> = text.parse();
            Some(id.map_err(|_| Problem::not_found("group", text))?)
        }
    };
    let status = parse_status(filter.status.as_deref())?;
    list(&role.board, &caller.workspace, group, status, &query).await
}

/// Answers 200 with the tasks of one group; 404 if there is no such group.
pub async fn of_group(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    query: ListQuery,
    Query(filter): Query<Filter>,
) -> Result<Json<TaskList>, Problem> {
    let status = parse_status(filter.status.as_deref())?;
    list(&role.board, &caller.workspace, Some(id), status, &query).await
}

fn parse_status(text: Option<&str>) -> Result<Option<TaskStatus>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|fault| Problem::invalid_field("?status", fault))).transpose()
}

async fn list(
    board: &Board,
    workspace: &Workspace,
    group: Option<GroupId>,
    status: Option<TaskStatus>,
    query: &ListQuery,
) -> Result<Json<TaskList>, Problem> {
    let mut search = Search { board, workspace, status, limit: query.limit, found: Vec::new(), pages: 0 };
    let start: Position = query.position()?;
    let next = match group {
        Some(id) => {
            board.group(workspace, id).await?.ok_or_else(|| Problem::not_found("group", id))?;
            let next = search.group(id, start.within).await?;
            next.map(|within| Position { group: None, within })
        }
        None => search.all_groups(start).await?,
    };
    let comments = board.comments_of(workspace, &search.found).await?;
    let tasks =
        search.found.iter().zip(&comments).map(|(task, first)| TaskBody::new(task, first.count)).collect();
    Ok(Json(TaskList { tasks, next: next.map(|position| page::cursor(&position)) }))
}

struct Search<'a> {
    board: &'a Board,
    workspace: &'a Workspace,
    status: Option<TaskStatus>,
    limit: usize,
    found: Vec<Task>,
    pages: usize,
}

impl Search<'_> {
    /// Looks through all groups from `start` on. Returns where to go on, if the answer is full.
    async fn all_groups(&mut self, start: Position) -> Result<Option<Position>, Problem> {
        let collection = groups_of(self.workspace);
        let (mut page, mut resume) = match start.group {
            Some((page, seen)) => (page, Some((seen, start.within))),
            None => (0, None),
        };
        loop {
            let read = self.board.pages.read_collection(&collection, page, 1).await;
            let read = read.map_err(|fault| refusal::of_read(&fault))?;
            for view in &read.pages {
                let (number, entries) = (view.key().number(), view.entries());
                let (first, mut within) = match resume.take() {
                    None => (0, Within::default()),
                    Some((seen, within)) => match seen.position(entries) {
                        Some(place) => (place, within),
                        None => (seen.next(entries, board::group_created_at(number)), Within::default()),
                    },
                };
                for entry in &entries[first..] {
                    let group =
                        board::read_group(number, entry).map_err(|fault| request::internal(&fault))?;
                    if let Some(within) = self.group(group.id, std::mem::take(&mut within)).await? {
                        let created_at = group.created_at.as_millisecond();
                        let group = Some((number, Seen { entry: entry.id.clone(), created_at }));
                        return Ok(Some(Position { group, within }));
                    }
                }
            }
            match read.next {
                Some(next) => page = next,
                None => return Ok(None),
            }
        }
    }

    /// Looks through one group. Returns where to go on in it, if the answer is full.
    async fn group(&mut self, id: GroupId, start: Within) -> Result<Option<Within>, Problem> {
        let collection = tasks_of(self.workspace, id);
        let (mut page, mut seen) = (start.page, start.seen);
        loop {
            if self.pages >= PAGES_PER_ANSWER {
                return Ok(Some(Within { page, seen }));
            }
            let read = self.board.pages.read_collection(&collection, page, PAGES_AT_A_TIME).await;
            let read = read.map_err(|fault| refusal::of_read(&fault))?;
            self.pages += read.pages.len();
            for view in &read.pages {
                let (number, entries) = (view.key().number(), view.entries());
                let created_at = board::task_created_at(id, number);
                let mut looked_at: Option<Seen> = seen.take();
                let first = looked_at.as_ref().map_or(0, |seen| seen.next(entries, created_at));
                for entry in &entries[first..] {
                    let task =
                        board::read_task(id, number, entry).map_err(|fault| request::internal(&fault))?;
                    let wanted = self.status.is_none_or(|status| status == task.status);
                    if wanted && self.found.len() == self.limit {
                        return Ok(Some(Within { page: number, seen: looked_at }));
                    }
                    let created_at = task.created_at.as_millisecond();
                    looked_at = Some(Seen { entry: entry.id.clone(), created_at });
                    if wanted {
                        self.found.push(task);
                    }
                }
            }
            match read.next {
                Some(next) => page = next,
                None => return Ok(None),
            }
        }
    }
}
