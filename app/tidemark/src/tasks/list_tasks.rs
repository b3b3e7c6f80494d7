//! `GET /api/tasks` (also `/tasks`) and `GET /api/groups/{id}/tasks`: tasks in the order of their creation
//! within each group, by pages, filtered by status and group.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};
use tidemark_domain::{GroupId, Task, TaskStatus, Workspace};

use super::{
    TasksRole,
    board::{self, Board, groups_of, tasks_of},
    bodies::TaskBody,
};
use crate::{
    http::{ListQuery, PathId, Problem, page, refusal, request},
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

/// Where a list goes on: which group by its place, and which task in it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Position {
    group_page: u32,
    group: usize,
    task_page: u32,
    task: usize,
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
            search.group(id, start).await?
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
    /// Looks through all groups from `position` on. Returns where to go on, if the answer is full.
    async fn all_groups(&mut self, mut position: Position) -> Result<Option<Position>, Problem> {
        loop {
            let read =
                self.board.pages.read_collection(&groups_of(self.workspace), position.group_page, 1).await;
            let read = read.map_err(|fault| refusal::of_read(&fault))?;
            for view in &read.pages {
                let number = view.key().number();
                for (place, entry) in view.entries().iter().enumerate().skip(position.group) {
                    let group =
                        board::read_group(number, entry).map_err(|fault| request::internal(&fault))?;
                    let here = Position { group_page: number, group: place, ..position };
                    if let Some(next) = self.group(group.id, here).await? {
                        return Ok(Some(next));
                    }
                    position = Position { group_page: number, group: place + 1, task_page: 0, task: 0 };
                }
            }
            match read.next {
                Some(next) => position = Position { group_page: next, ..Position::default() },
                None => return Ok(None),
            }
        }
    }

    async fn group(&mut self, id: GroupId, position: Position) -> Result<Option<Position>, Problem> {
        let collection = tasks_of(self.workspace, id);
        let (mut from, mut skip) = (position.task_page, position.task);
        loop {
            if self.pages >= PAGES_PER_ANSWER {
                return Ok(Some(Position { task_page: from, task: skip, ..position }));
            }
            let read = self.board.pages.read_collection(&collection, from, 4).await;
            let read = read.map_err(|fault| refusal::of_read(&fault))?;
            self.pages += read.pages.len();
            for view in &read.pages {
                let number = view.key().number();
                for (place, entry) in view.entries().iter().enumerate().skip(skip) {
                    let task =
                        board::read_task(id, number, entry).map_err(|fault| request::internal(&fault))?;
                    if self.status.is_some_and(|status| status != task.status) {
                        continue;
                    }
                    if self.found.len() == self.limit {
                        return Ok(Some(Position { task_page: number, task: place, ..position }));
                    }
                    self.found.push(task);
                }
                skip = 0;
            }
            match read.next {
                Some(next) => from = next,
                None => return Ok(None),
            }
        }
    }
}
