//! One change of many tasks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tidemark_api::{
    Refusal,
    tasks::{BulkAnswer, BulkOutcome, BulkResult, BulkTasks, TaskValues},
};
use tidemark_domain::{Group, GroupId, Rank, Task, TaskId, Workspace, task::InvalidSchedule};
use tidemark_pages::{EditError, Once, PageEdit, PageKey};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use super::{
    TasksRole,
    board::{Author, group_in, groups_of, tasks_of},
    change::ChangeError,
    edit_task::{current, replace},
    gap::{gap, neighbour},
    refusals::{of_change, of_rejection},
    task_values::CheckedValues,
    trash::discard_task,
};
use crate::operations::{
    Answer, Call, Check, Seen,
    refusals::{internal, of_read},
};

/// Ids of one call.
const MOST: usize = 500;
/// Pages that are changed at a time.
const PAGES_AT_A_TIME: usize = 16;
/// Less than an operation may take: what is not done by then is told to be unknown.
const TIME: Duration = Duration::from_secs(20);

/// Each page of the store changes in one commit, once for all calls with the same key, and keeps what became of its
/// tasks: a repeat is told the same of those that were done, and goes on with the others.
pub async fn bulk_tasks(
    role: Arc<TasksRole>,
    call: Call,
    input: BulkTasks,
) -> Result<Answer<BulkAnswer>, Refusal> {
    let until = Instant::now() + TIME;
    let ids = ids(&input)?;
    let change = Arc::new(change(&role, &call, &input, &ids).await?);
    let workspace = &call.caller()?.workspace;
    let mut author = role.board.author(&call)?;
    if let Some(identity) = call.identity("", &input) {
        // The repeat of a call that was half done belongs to the same action.
        author.action_id = uuid::Builder::from_custom_bytes(identity.key).into_uuid();
    }
    let groups = groups(&role, workspace, &ids).await?;
    let mut results: BTreeMap<TaskId, BulkResult> = BTreeMap::new();
    let mut replayed = true;
    let edits = by_page(workspace, &groups, &ids).into_iter().map(|(page, (group, ids))| {
        let key = call.identity(&page.to_string(), &input).map(Into::into);
        let edit = edit_of(ids.clone(), group, author.clone(), Arc::clone(&change));
        let pages = &role.board.pages;
        async move { (ids, timeout_at(until, pages.edit_once(&page, key, edit)).await) }
    });
    let mut edited = stream::iter(edits).buffer_unordered(PAGES_AT_A_TIME);
    while let Some((ids, edited)) = edited.next().await {
        replayed &= matches!(edited, Ok(Ok(Once::Again(_))));
        results.extend(ids.iter().copied().zip(results_of_page(&ids, edited)?));
    }
    let result = |(text, id): (&String, &Option<TaskId>)| {
        let found = id.and_then(|id| results.get(&id).cloned());
        found.unwrap_or_else(|| Became::NotFound.result(text))
    };
    let answered = input.ids.iter().zip(&ids).map(result).collect();
    Ok(Answer::from(BulkAnswer { action_id: author.action_id.to_string(), results: answered })
        .replayed(replayed && !results.is_empty()))
}

fn by_page(
    workspace: &Workspace,
    groups: &BTreeMap<GroupId, Group>,
    ids: &[Option<TaskId>],
) -> BTreeMap<PageKey, (Group, Vec<TaskId>)> {
    let mut pages: BTreeMap<PageKey, (Group, Vec<TaskId>)> = BTreeMap::new();
    for id in ids.iter().flatten() {
        if let Some(group) = groups.get(&id.group()) {
            let page = tasks_of(workspace, id.group()).page(id.page());
            pages.entry(page).or_insert_with(|| (group.clone(), Vec::new())).1.push(*id);
        }
    }
    pages
}

fn results_of_page(
    ids: &[TaskId],
    edited: Result<Result<Once<Vec<Became>>, EditError<ChangeError>>, Elapsed>,
) -> Result<Vec<BulkResult>, Refusal> {
    let texts = ids.iter().map(TaskId::to_string);
    let became: Vec<Became> = match edited {
        Ok(Ok(Once::First(became))) => became,
        Ok(Ok(Once::Again(first))) => {
            serde_json::from_slice(&first.answer).map_err(|fault| internal(&fault))?
        }
        Ok(Err(EditError::OutcomeUnknown(_))) | Err(_) => return Ok(texts.map(|id| unknown(&id)).collect()),
        Ok(Err(fault)) => {
            let refusal = of_change("task", "of the page", fault);
            return Ok(texts.map(|id| refused(&id, &refusal)).collect());
        }
    };
    Ok(texts.zip(became).map(|(id, became)| became.result(&id)).collect())
}

/// The ids in the order of the input. A text that is no id names nothing that exists.
fn ids(input: &BulkTasks) -> Result<Vec<Option<TaskId>>, Refusal> {
    let mut check = Check::default();
    check.that((1..=MOST).contains(&input.ids.len()), "/ids", "ids must name 1 to 500 tasks");
    check.passed()?;
    let mut sorted: Vec<&String> = input.ids.iter().collect();
    sorted.sort_unstable();
    let mut check = Check::default();
    check.that(sorted.windows(2).all(|pair| pair[0] != pair[1]), "/ids", "ids must name each task once");
    check.passed()?;
    Ok(input.ids.iter().map(|id| id.parse().ok()).collect())
}

/// What shall become of each task.
enum Bulk {
    Delete,
    Change { values: CheckedValues, ranks: BTreeMap<TaskId, Rank> },
}

async fn change(
    role: &TasksRole,
    call: &Call,
    input: &BulkTasks,
    ids: &[Option<TaskId>],
) -> Result<Bulk, Refusal> {
    let is_move = input.after.is_some() || input.before.is_some();
    let changes = is_move || input.values != TaskValues::default();
    let mut check = Check::default();
    check.that(!(input.delete && changes), "/delete", "what is deleted cannot be changed by the same call");
    check.that(input.delete || changes, "/ids", "say what shall become of them");
    let values = CheckedValues::check(&input.values, &mut check);
    let moved: Vec<TaskId> = ids.iter().copied().flatten().collect();
    let after = check.field("/after", neighbour(&moved, input.after.as_deref()));
    let before = check.field("/before", neighbour(&moved, input.before.as_deref()));
    check.passed()?;
    let (Some(values), Some(after), Some(before)) = (values, after, before) else {
        return Err(Refusal::internal());
    };
    if input.delete {
        return Ok(Bulk::Delete);
    }
    let mut ranks = BTreeMap::new();
    if is_move {
        let gap = gap(role, &call.caller()?.workspace, &moved, after, before).await?;
        let made = gap.ranks(moved.len(), role.board.now()).map_err(|fault| {
            Refusal::invalid_field(if before.is_some() { "/before" } else { "/after" }, fault)
        })?;
        ranks = moved.into_iter().zip(made).collect();
    }
    Ok(Bulk::Change { values, ranks })
}

async fn groups(
    role: &TasksRole,
    workspace: &Workspace,
    ids: &[Option<TaskId>],
) -> Result<BTreeMap<GroupId, Group>, Refusal> {
    let mut groups: Vec<GroupId> = ids.iter().flatten().map(TaskId::group).collect();
    groups.sort_unstable();
    groups.dedup();
    let collection = groups_of(workspace);
    let mut numbers: Vec<u32> = groups.iter().map(GroupId::page).collect();
    numbers.dedup();
    let pages: Vec<PageKey> = numbers.into_iter().map(|number| collection.page(number)).collect();
    let views = role.board.pages.read_many(&pages).await.map_err(|fault| of_read(&fault))?;
    let mut found = BTreeMap::new();
    for id in groups {
        let Some(view) = views.iter().find(|view| view.key().number() == id.page()) else { continue };
        found.extend(group_in(view, id)?.map(|group| (id, group)));
    }
    Ok(found)
}

/// What became of one task, as short as a page can keep it for every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Became {
    #[serde(rename = "v")]
    Version(u64),
    #[serde(rename = "n")]
    NotFound,
    /// One of its days was changed, and its end would come before its start.
    #[serde(rename = "s")]
    WrongSchedule,
    /// What is stored cannot be read.
    #[serde(rename = "c")]
    Corrupt,
}

impl Became {
    fn of_fault(id: TaskId, fault: ChangeError) -> Self {
        match fault {
            ChangeError::NotFound => Self::NotFound,
            ChangeError::Schedule(_) => Self::WrongSchedule,
            other => {
                // Logs the cause.
                of_rejection("task", id, other);
                Self::Corrupt
            }
        }
    }

    fn result(self, id: &str) -> BulkResult {
        let refusal = match self {
            Self::Version(version) => return done(id, version),
            Self::NotFound => Refusal::not_found("task", id),
            Self::WrongSchedule => Refusal::invalid_field("/endDate", InvalidSchedule::EndsBeforeStart),
            Self::Corrupt => Refusal::internal(),
        };
        refused(id, &refusal)
    }
}

fn done(id: &str, version: u64) -> BulkResult {
    let (id, outcome) = (id.to_owned(), BulkOutcome::Done);
    BulkResult { id, outcome, version: Some(version), code: None, error: None }
}

fn refused(id: &str, refusal: &Refusal) -> BulkResult {
    let (code, error) = (refusal.reason().code().to_owned(), refusal.detail().to_owned());
    let (id, outcome) = (id.to_owned(), BulkOutcome::Refused);
    BulkResult { id, outcome, version: None, code: Some(code), error: Some(error) }
}

fn unknown(id: &str) -> BulkResult {
    let (id, outcome) = (id.to_owned(), BulkOutcome::Unknown);
    BulkResult { id, outcome, version: None, code: None, error: None }
}

/// Changes those of one page that can be changed, and keeps what became of each.
fn edit_of(
    ids: Vec<TaskId>,
    group: Group,
    author: Author,
    bulk: Arc<Bulk>,
) -> impl Fn(&mut PageEdit<'_>) -> Result<Vec<Became>, ChangeError> + Send + 'static {
    move |edit| {
        let became: Vec<Became> = ids
            .iter()
            .map(|id| match change_one(edit, *id, &group, &author, &bulk) {
                Ok(version) => Became::Version(version),
                Err(fault) => Became::of_fault(*id, fault),
            })
            .collect();
        let answer = serde_json::to_vec(&became).expect("versions and words always make JSON");
        edit.answer(answer.into());
        Ok(became)
    }
}

fn change_one(
    edit: &mut PageEdit<'_>,
    id: TaskId,
    group: &Group,
    author: &Author,
    bulk: &Bulk,
) -> Result<u64, ChangeError> {
    let task = current(edit, id, &Seen::Any)?;
    let group_name = group.name.as_str();
    match bulk {
        Bulk::Delete => Ok(discard_task(edit, author, group_name, task)),
        Bulk::Change { values, ranks } => {
            let rank = ranks.get(&id).unwrap_or(&task.rank).clone();
            let changed = Task { rank, ..values.apply(&task)? };
            Ok(replace(edit, author, group_name, &task, &changed).version)
        }
    }
}
