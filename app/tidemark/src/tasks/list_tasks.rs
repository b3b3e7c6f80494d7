//! Tasks in the order of their creation within each group, by pages, filtered by status and group.

use std::{collections::VecDeque, sync::Arc, task::Poll};

use serde::{Deserialize, Serialize};
use tidemark_api::{
    Refusal,
    tasks::{ListTasks, Task, TaskList},
};
use tidemark_domain::{GroupId, TaskStatus, Workspace};
use tidemark_pages::{CollectionKey, PageView};

use super::{
    TasksRole,
    board::{self, Comments, LastGroup, TRASH, comments_of, groups_of, tasks_of},
    bodies,
    reading::Reading,
};
use crate::{
    damage::readable,
    operations::{self, Answer, Call, Check, paging},
};

/// Where a list goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// The group that was being shown, when all groups are.
    group: Option<(u32, LastGroup)>,
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
/// Pages of one group that are read together where a filter matches little.
const PAGES_AHEAD: u32 = 16;
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
    if start.pages().any(|page| page > tidemark_pages::LARGEST_PAGE) {
        return Err(paging::refuse_cursor());
    }
    let mut search = Search::new(workspace, status, limit, start);
    let next = if let Some(id) = group {
        search.groups.push_back((None, id));
        let listed = Reading::run(&role.board.pages, |reading| {
            let page = reading.page(groups_of(workspace).page(id.page()));
            let (Poll::Ready(next), Some(page)) = (search.go_on(reading), page) else {
                return Ok(Poll::Pending);
            };
            Ok(Poll::Ready(board::group_in(&page, id)?.map(|_| Next(next))))
        });
        let Next(next) = listed.await?.ok_or_else(|| Refusal::not_found("group", id))?;
        next
    } else {
        search.all_groups();
        Reading::run(&role.board.pages, |reading| Ok(search.go_on(reading))).await?
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
    resume: Option<(u32, LastGroup)>,
    /// Groups yet to be looked through, each with its place among all groups.
    groups: VecDeque<(Option<(u32, LastGroup)>, GroupId)>,
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
    fn go_on(&mut self, reading: &mut Reading) -> Poll<Option<Position>> {
        loop {
            let Some((place, group)) = self.groups.front().cloned() else {
                match self.groups_page {
                    None => return Poll::Ready(None),
                    Some(page) => {
                        if !self.next_groups(reading, page) {
                            return Poll::Pending;
                        }
                        continue;
                    }
                }
            };
            if self.looked_through == PAGES_PER_ANSWER {
                return Poll::Ready(Some(Position { group: place, within: self.within }));
            }
            let Within { page, number } = self.within;
            let Some(view) = self.ask(reading, group, page) else {
                self.ask_ahead(reading, page);
                return Poll::Pending;
            };
            let wanted = self.wanted(group, &view, number);
            if !wanted.is_empty() {
                let Some(comments) = Comments::read(reading, &comments_of(self.workspace, group, page))
                else {
                    self.ask_ahead(reading, page);
                    return Poll::Pending;
                };
                for (number, task) in wanted {
                    if self.found.len() == self.limit {
                        return Poll::Ready(Some(Position { group: place, within: self.within }));
                    }
                    self.within.number = number;
                    self.found.push(bodies::task(&task, comments.count(task.id)));
                }
            }
            if view.is_sealed() {
                let Some(next) = next_live(reading, &tasks_of(self.workspace, group), page) else {
                    self.ask_ahead(reading, page);
                    return Poll::Pending;
                };
                self.within = Within { page: next, number: 0 };
            } else {
                self.within = Within::default();
                self.groups.pop_front();
            }
            self.looked_through += 1;
        }
    }

    /// The tasks of the page after that number which the filter lets through, with their numbers.
    fn wanted(&self, group: GroupId, view: &PageView, after: u64) -> Vec<(u64, tidemark_domain::Task)> {
        let live = view.entries().iter().filter(|entry| entry.number > after && entry.label != TRASH);
        let tasks = live.filter_map(|entry| {
            let task = readable(board::read_task(group, view.key().number(), entry))?;
            Some((entry.number, task))
        });
        tasks.filter(|(_, task)| self.status.is_none_or(|status| status == task.status)).collect()
    }

    /// Takes the groups of a page, if it is read.
    fn next_groups(&mut self, reading: &mut Reading, number: u32) -> bool {
        let groups = groups_of(self.workspace);
        let Some(view) = reading.page(groups.page(number)) else { return false };
        let next = if view.is_sealed() {
            let Some(next) = next_live(reading, &groups, number) else { return false };
            Some(next)
        } else {
            None
        };
        let entries = view.entries();
        let (mut first, mut is_shown) = (0, true);
        if let Some((_, last)) = self.resume.take() {
            let place = last.position(entries);
            first = place.unwrap_or_else(|| last.next(entries, board::group_created_at(number)));
            // What was shown of a group that is gone says nothing of the one after it.
            is_shown = place.is_some_and(|place| entries[place].label != TRASH);
        }
        if !is_shown {
            self.within = Within::default();
        }
        for entry in entries[first..].iter().filter(|entry| entry.label != TRASH) {
            let Some(group) = readable(board::read_group(number, entry)) else { continue };
            let last = LastGroup { entry: entry.id.clone(), created_at: group.created_at.as_millisecond() };
            self.groups.push_back((Some((number, last)), group.id));
        }
        self.groups_page = next;
        true
    }

    /// The page of tasks; with it come its comments, if all of its tasks are wanted.
    fn ask(&self, reading: &mut Reading, group: GroupId, page: u32) -> Option<Arc<PageView>> {
        if self.status.is_none() {
            Comments::read(reading, &comments_of(self.workspace, group, page));
        }
        reading.page(tasks_of(self.workspace, group).page(page))
    }

    /// Asks for what will be needed if tasks that are wanted lie as densely as they can; with a filter they may lie
    /// anywhere.
    fn ask_ahead(&self, reading: &mut Reading, page: u32) {
        let Some((_, group)) = self.groups.front() else { return };
        let wanted = u32::try_from((self.limit - self.found.len()) / TASKS_PER_PAGE).unwrap_or_default();
        let ahead = if self.status.is_some() && page > 0 { PAGES_AHEAD } else { wanted };
        for ahead in 1..=ahead {
            self.ask(reading, *group, page + ahead);
        }
        for (_, group) in self.groups.iter().skip(1).take(GROUPS_AHEAD - 1) {
            self.ask(reading, *group, 0);
        }
    }
}

/// The page to go on with after that one: pages of nothing but trash, and those that were emptied, may be many.
fn next_live(reading: &mut Reading, collection: &CollectionKey, page: u32) -> Option<u32> {
    let summary = reading.summary(collection)?;
    let mut live = summary.live_pages.iter().filter(|live| live.may_hold(|label| label != TRASH));
    let next = live.find(|live| live.number > page).map(|live| live.number);
    Some(next.unwrap_or(summary.pages.saturating_sub(1)).max(page + 1))
}
