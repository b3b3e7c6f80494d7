//! Tasks in the order of their creation within each group, by pages, filtered by status and group.

use std::{collections::VecDeque, sync::Arc, task::Poll};

use serde::{Deserialize, Serialize};
use tidemark_api::{
    Refusal,
    tasks::{ListTasks, Task, TaskList},
};
use tidemark_domain::{GroupId, TaskStatus, Workspace};

use super::{
    TasksRole,
    board::{self, Comments, ReadError, Seen, TRASH, comments_of, groups_of, tasks_of},
    bodies,
    reading::Reading,
};
use crate::operations::{self, Answer, Call, Check, paging};

/// Where a list goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// The group that was being shown, when all groups are.
    group: Option<(u32, Seen)>,
    /// Where in that group.
    within: Within,
}

/// Where the list of one group's tasks goes on.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Within {
    page: u32,
    /// The number of the last task that was shown of the page; 0 if none was.
    number: u64,
}

/// Pages looked through for one answer. A filter that matches little gives short pages with a `next`.
const PAGES_PER_ANSWER: usize = 256;
/// Tasks that a page holds at most: how many pages an answer may need follows from it.
const TASKS_PER_PAGE: usize = 64;
/// Groups whose first pages are read together: with their comments, one call's worth.
const GROUPS_AHEAD: usize = 16;

pub async fn list_tasks(
    role: Arc<TasksRole>,
    call: Call,
    input: ListTasks,
) -> Result<Answer<TaskList>, Refusal> {
    let (group, status) = check(&input)?;
    let limit = paging::limit(input.limit, paging::DEFAULT_LIMIT, paging::LARGEST_LIMIT)?;
    let start: Position = paging::position(input.cursor.as_deref())?;
    let workspace = &call.caller()?.workspace;
    if start.pages().any(|page| page > board::LARGEST_PAGE) {
        return Err(paging::refuse_cursor());
    }
    let mut search = Search::new(workspace, status, limit, start);
    let next = if let Some(id) = group {
        search.groups.push_back((None, id));
        let listed = Reading::run(&role.board.pages, |reading| {
            let page = reading.page(groups_of(workspace).page(id.page()));
            let (Poll::Ready(next), Some(page)) = (search.go_on(reading)?, page) else {
                return Ok(Poll::Pending);
            };
            Ok(Poll::Ready(board::group_in(&page, id)?.map(|_| Next(next))))
        });
        let Next(next) = listed.await?.ok_or_else(|| Refusal::not_found("group", id))?;
        next
    } else {
        search.all_groups();
        Reading::run(&role.board.pages, |reading| search.go_on(reading)).await?
    };
    Ok(TaskList { tasks: search.found, next: next.map(|position| paging::cursor(&position)) }.into())
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

/// Where the next answer begins, if there is one.
struct Next(Option<Position>);

/// A search that goes on as pages are read. What it has looked through it does not look at again.
struct Search<'a> {
    workspace: &'a Workspace,
    status: Option<TaskStatus>,
    limit: usize,
    /// Of the first group.
    within: Within,
    resume: Option<(u32, Seen)>,
    /// Groups yet to be looked through, each with its place among all groups.
    groups: VecDeque<(Option<(u32, Seen)>, GroupId)>,
    /// The page of groups to go on with.
    groups_page: Option<u32>,
    found: Vec<Task>,
    looked_through: usize,
}

impl<'a> Search<'a> {
    fn new(workspace: &'a Workspace, status: Option<TaskStatus>, limit: usize, start: Position) -> Self {
        Self {
            workspace,
            status,
            limit,
            within: start.within,
            resume: start.group,
            groups: VecDeque::new(),
            groups_page: None,
            found: Vec::new(),
            looked_through: 0,
        }
    }

    fn all_groups(&mut self) {
        self.groups_page = Some(self.resume.as_ref().map_or(0, |(page, _)| *page));
    }

    /// Looks through what is read, and asks for what comes next. Once the answer is full, it gives where the next
    /// one begins; nothing at the end.
    fn go_on(&mut self, reading: &mut Reading) -> Result<Poll<Option<Position>>, ReadError> {
        loop {
            let Some((place, group)) = self.groups.front().cloned() else {
                match self.groups_page {
                    None => return Ok(Poll::Ready(None)),
                    Some(page) => {
                        if !self.next_groups(reading, page)? {
                            return Ok(Poll::Pending);
                        }
                        continue;
                    }
                }
            };
            if self.looked_through == PAGES_PER_ANSWER {
                return Ok(Poll::Ready(Some(Position { group: place, within: self.within })));
            }
            let Within { page, number } = self.within;
            let tasks = tasks_of(self.workspace, group);
            let (view, comments) = self.ask(reading, group, page);
            let (Some(view), Some(comments)) = (view, comments) else {
                self.ask_ahead(reading, group, page);
                return Ok(Poll::Pending);
            };
            if view.is_sealed() && view.entries().is_empty() {
                // Pages that were emptied may be many.
                let Some(summary) = reading.summary(&tasks) else { return Ok(Poll::Pending) };
                let live = summary.live_pages.iter().map(|live| live.number).find(|live| *live > page);
                self.within = Within { page: live.unwrap_or(summary.pages.max(page + 1)), number: 0 };
                continue;
            }
            self.looked_through += 1;
            for entry in view.entries().iter().filter(|entry| entry.number > number && entry.label != TRASH) {
                let task = board::read_task(group, page, entry)?;
                if self.status.is_some_and(|status| status != task.status) {
                    continue;
                }
                if self.found.len() == self.limit {
                    return Ok(Poll::Ready(Some(Position { group: place, within: self.within })));
                }
                self.within.number = entry.number;
                self.found.push(bodies::task(&task, comments.count(task.id)));
            }
            if view.is_sealed() {
                self.within = Within { page: page + 1, number: 0 };
            } else {
                self.within = Within::default();
                self.groups.pop_front();
            }
        }
    }

    /// Takes the groups of a page, if it is read.
    fn next_groups(&mut self, reading: &mut Reading, number: u32) -> Result<bool, ReadError> {
        let Some(view) = reading.page(groups_of(self.workspace).page(number)) else { return Ok(false) };
        let entries = view.entries();
        let mut first = 0;
        if let Some((_, seen)) = self.resume.take() {
            if let Some(place) = seen.position(entries) {
                first = place;
            } else {
                first = seen.next(entries, board::group_created_at(number));
                self.within = Within::default();
            }
        }
        for entry in entries[first..].iter().filter(|entry| entry.label != TRASH) {
            let group = board::read_group(number, entry)?;
            let seen = Seen { entry: entry.id.clone(), created_at: group.created_at.as_millisecond() };
            self.groups.push_back((Some((number, seen)), group.id));
        }
        self.groups_page = view.is_sealed().then_some(number + 1);
        Ok(true)
    }

    fn ask(
        &self,
        reading: &mut Reading,
        group: GroupId,
        page: u32,
    ) -> (Option<Arc<tidemark_pages::PageView>>, Option<Comments>) {
        let view = reading.page(tasks_of(self.workspace, group).page(page));
        (view, Comments::read(reading, &comments_of(self.workspace, group, page)))
    }

    /// Asks for what will be needed if the tasks that are still wanted lie as densely as they can.
    fn ask_ahead(&self, reading: &mut Reading, group: GroupId, page: u32) {
        let wanted = self.limit - self.found.len();
        for ahead in 1..=u32::try_from(wanted / TASKS_PER_PAGE).unwrap_or(0) {
            self.ask(reading, group, page + ahead);
        }
        for (_, group) in self.groups.iter().skip(1).take(GROUPS_AHEAD - 1) {
            self.ask(reading, *group, 0);
        }
    }
}
