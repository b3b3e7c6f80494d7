//! Tasks in the order of their creation within each group, by pages, filtered by status and group.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemark_api::{
    Refusal,
    tasks::{ListTasks, TaskList},
};
use tidemark_domain::{GroupId, Task, TaskStatus, Workspace};

use super::{
    TasksRole,
    board::{self, Board, PAGES_AT_A_TIME, Seen, groups_of, tasks_of},
    bodies,
};
use crate::operations::{self, Answer, Call, Check, paging, refusals};

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

pub async fn list_tasks(
    role: Arc<TasksRole>,
    call: Call,
    input: ListTasks,
) -> Result<Answer<TaskList>, Refusal> {
    let (group, status) = check(&input)?;
    let limit = paging::limit(input.limit, paging::DEFAULT_LIMIT, paging::LARGEST_LIMIT)?;
    let start: Position = paging::position(input.cursor.as_deref())?;
    let (board, workspace) = (&role.board, &call.caller()?.workspace);
    if start.pages().any(|page| page > board::LARGEST_PAGE) {
        return Err(paging::refuse_cursor());
    }
    let mut search = Search { board, workspace, status, limit, found: Vec::new(), pages: 0 };
    let next = match group {
        Some(id) => {
            board.group(workspace, id).await?.ok_or_else(|| Refusal::not_found("group", id))?;
            let next = search.group(id, start.within).await?;
            next.map(|within| Position { group: None, within })
        }
        None => search.all_groups(start).await?,
    };
    let comments = board.comments_of(workspace, &search.found).await?;
    let tasks =
        search.found.iter().zip(&comments).map(|(task, first)| bodies::task(task, first.count)).collect();
    Ok(TaskList { tasks, next: next.map(|position| paging::cursor(&position)) }.into())
}

/// The group and the status that tasks shall have. A filter that is there and empty is a mistake: it would show
/// more than was asked for.
fn check(input: &ListTasks) -> Result<(Option<GroupId>, Option<TaskStatus>), Refusal> {
    let mut check = Check::default();
    check.that(input.group_id.as_deref() != Some(""), "/groupId", NO_GROUP);
    let status = check.field("/status", input.status.as_deref().map(str::parse).transpose());
    check.passed()?;
    let group = input.group_id.as_deref().map(|id| operations::id("group", id)).transpose()?;
    Ok((group, status.flatten()))
}

const NO_GROUP: &str = "groupId must be the id of a group";

impl Position {
    /// The numbers of pages that it names.
    fn pages(&self) -> impl Iterator<Item = u32> {
        self.group.iter().map(|(page, _)| *page).chain([self.within.page])
    }
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
    async fn all_groups(&mut self, start: Position) -> Result<Option<Position>, Refusal> {
        let collection = groups_of(self.workspace);
        let (mut page, mut resume) = match start.group {
            Some((page, seen)) => (page, Some((seen, start.within))),
            None => (0, None),
        };
        loop {
            let read = self.board.pages.read_collection(&collection, page, 1).await;
            let read = read.map_err(|fault| refusals::of_read(&fault))?;
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
                        board::read_group(number, entry).map_err(|fault| refusals::internal(&fault))?;
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
    async fn group(&mut self, id: GroupId, start: Within) -> Result<Option<Within>, Refusal> {
        let collection = tasks_of(self.workspace, id);
        let (mut page, mut seen) = (start.page, start.seen);
        loop {
            if self.pages >= PAGES_PER_ANSWER {
                return Ok(Some(Within { page, seen }));
            }
            let read = self.board.pages.read_collection(&collection, page, PAGES_AT_A_TIME).await;
            let read = read.map_err(|fault| refusals::of_read(&fault))?;
            self.pages += read.pages.len();
            for view in &read.pages {
                let (number, entries) = (view.key().number(), view.entries());
                let created_at = board::task_created_at(id, number);
                let mut looked_at: Option<Seen> = seen.take();
                let first = looked_at.as_ref().map_or(0, |seen| seen.next(entries, created_at));
                for entry in &entries[first..] {
                    let task =
                        board::read_task(id, number, entry).map_err(|fault| refusals::internal(&fault))?;
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
