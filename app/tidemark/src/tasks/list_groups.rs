//! The groups of the workspace, newest first, by pages.

use std::{sync::Arc, task::Poll};

use tidemark_api::{
    Refusal,
    groups::{self, GroupList, ListGroups},
    tasks,
};
use tidemark_domain::{Group, Workspace};

use super::{
    TasksRole,
    board::{self, Card, LastGroup, TRASH, groups_of, tasks_of},
    bodies,
    reading::Reading,
};
use crate::{
    damage::readable,
    operations::{Answer, Call, paging, refusals},
};

/// With `include=tasks` the tasks come too, by rank: then an answer holds fewer groups if they have many.
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
    let after: Option<(u32, LastGroup)> = paging::position(input.cursor.as_deref())?;
    if after.as_ref().is_some_and(|(page, _)| *page > tidemark_pages::LARGEST_PAGE) {
        return Err(paging::refuse_cursor());
    }
    let (board, workspace) = (&role.board, &call.caller()?.workspace);
    let listed =
        Reading::run(&board.pages, |reading| Ok(newest_first(reading, workspace, limit, after.as_ref())));
    let (mut groups, mut more) = listed.await?;
    let collections: Vec<_> = groups.iter().map(|group| tasks_of(workspace, group.id)).collect();
    let summaries = board.pages.summaries(&collections).await.map_err(|fault| refusals::of_read(&fault))?;
    let counts: Vec<u64> = summaries.iter().map(board::live).collect();
    let bodies = if with_tasks {
        let shown = how_many_with_tasks(&counts);
        more |= shown < groups.len();
        groups.truncate(shown);
        let ids: Vec<_> = groups.iter().map(|group| group.id).collect();
        let boards = board.cards(workspace, &ids).await?;
        groups.iter().zip(&boards).map(|(group, cards)| with_cards(group, cards)).collect()
    } else {
        groups.iter().zip(counts).map(|(group, count)| bodies::group(group, count, None)).collect()
    };
    let last = groups.last().filter(|_| more);
    let next = last.map(|group| {
        let created_at = group.created_at.as_millisecond();
        paging::cursor(&Some((group.id.page(), LastGroup { entry: group.id.entry(), created_at })))
    });
    Ok(GroupList { groups: bodies, next }.into())
}

/// The most tasks that one list of groups holds, if the first group alone has no more.
const TASKS_PER_ANSWER: u64 = 2_000;
/// The most groups that are shown with their tasks.
const BOARDS_PER_ANSWER: usize = 50;

fn how_many_with_tasks(counts: &[u64]) -> usize {
    let mut tasks = 0;
    let fits = counts.iter().take(BOARDS_PER_ANSWER).take_while(|count| {
        tasks += **count;
        tasks <= TASKS_PER_ANSWER
    });
    fits.count().max(1).min(counts.len())
}

fn with_cards(group: &Group, cards: &[Card]) -> groups::Group {
    let tasks: Vec<tasks::Task> =
        cards.iter().map(|card| bodies::task(&card.task, card.comments.count)).collect();
    bodies::group(group, tasks.len() as u64, Some(tasks))
}

/// The groups after the last one shown, and whether there are more. Groups made meanwhile come before it, so nothing
/// is shown twice.
fn newest_first(
    reading: &mut Reading,
    workspace: &Workspace,
    limit: usize,
    after: Option<&(u32, LastGroup)>,
) -> Poll<(Vec<Group>, bool)> {
    let collection = groups_of(workspace);
    let summary = reading.summary(&collection);
    let start = after.map_or(0, |(page, _)| *page);
    let first = reading.page(collection.page(start));
    let (Some(summary), Some(first)) = (summary, first) else { return Poll::Pending };
    // From the end, or from the page that was being shown.
    let mut views = match after {
        Some(_) => vec![first],
        None if !first.is_sealed() => vec![first],
        None => match reading.until_the_end(&collection, summary.pages.saturating_sub(1).max(1)) {
            Some(newest) => newest.into_iter().rev().collect(),
            None => return Poll::Pending,
        },
    };
    let oldest = views.last().map_or(0, |view| view.key().number());
    let earlier = summary.live_pages.iter().rev().filter(|page| page.number < oldest);
    let mut earlier = earlier.filter(|page| page.may_hold(|label| label != TRASH)).map(|page| page.number);
    let mut groups: Vec<Group> = Vec::new();
    let mut looked_through = 0;
    loop {
        for view in &views[looked_through..] {
            let (number, entries) = (view.key().number(), view.entries());
            let last = after.filter(|(page, _)| *page == number);
            let end =
                last.map_or(entries.len(), |(_, last)| last.rest(entries, board::group_created_at(number)));
            for entry in entries[..end].iter().rev().filter(|entry| entry.label != TRASH) {
                if groups.len() == limit {
                    return Poll::Ready((groups, true));
                }
                groups.extend(readable(board::read_group(number, entry)));
            }
        }
        looked_through = views.len();
        let wanted = (limit - groups.len()) / GROUPS_PER_PAGE + 1;
        let next: Vec<_> =
            earlier.by_ref().take(wanted).map(|number| reading.page(collection.page(number))).collect();
        if next.is_empty() {
            return Poll::Ready((groups, false));
        }
        let Some(next) = next.into_iter().collect::<Option<Vec<_>>>() else { return Poll::Pending };
        views.extend(next);
    }
}

/// Groups that a page holds at most: how many pages an answer may need follows from it.
const GROUPS_PER_PAGE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_shown_with_two_thousand_tasks_in_all_or_one_with_more() {
        assert_eq!(how_many_with_tasks(&[]), 0);
        assert_eq!(how_many_with_tasks(&[1_000, 1_000, 1]), 2);
        assert_eq!(how_many_with_tasks(&[5_000, 1]), 1);
        assert_eq!(how_many_with_tasks(&[0; 200]), BOARDS_PER_ANSWER);
    }
}
