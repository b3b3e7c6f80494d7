//! One change of many tasks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tidemark_api::{
    Refusal,
    tasks::{BulkAnswer, BulkOutcome, BulkResult, BulkTasks, TaskValues},
};
use tidemark_domain::{ActionId, Group, GroupId, Rank, Task, TaskId, Workspace, task::InvalidSchedule};
use tidemark_pages::{EditError, Once, PageEdit, PageKey};
use tokio::time::{Instant, error::Elapsed, sleep, timeout_at};

use super::{
    TasksRole,
    board::{Author, bulk_keys_of, group_in, groups_of, tasks_of},
    change::ChangeError,
    edit_task::{current, replace},
    gap::{Gap, gap, neighbour},
    refusals::of_rejection,
    task_values::CheckedValues,
    trash::discard_task,
};
use crate::operations::{
    Answer, Call, Check, Seen,
    refusals::{internal, of_edit, of_read},
};

/// Ids of one call.
const MOST: usize = 500;
/// How long a part waits for the events of the one before it to go out.
const PAUSE: Duration = Duration::from_millis(100);
/// Pages that are changed at a time.
const PAGES_AT_A_TIME: usize = 16;
/// Less than an operation may take: what is not done by then is told to be unknown.
const TIME: Duration = Duration::from_secs(20);

/// Tasks of one page that are changed by one commit, whose events must have room in the page.
const TASKS_AT_A_TIME: usize = 16;

/// Tasks that lie together change in one commit, once for all calls with the same key, and keep what became of them: a
/// repeat is told the same of those that were done, and goes on with the others.
pub async fn bulk_tasks(
    role: Arc<TasksRole>,
    call: Call,
    input: BulkTasks,
) -> Result<Answer<BulkAnswer>, Refusal> {
    let until = Instant::now() + TIME;
    let ids = ids(&input)?;
    let workspace = &call.caller()?.workspace;
    let asked = check(&input, &ids)?;
    let mut author = role.board.author(&call)?;
    let found = find_gap(&role, workspace, &asked).await;
    let (action_id, gap) = begin(&role, &call, &input, author.action_id, found).await?;
    author.action_id = action_id;
    let groups = groups(&role, workspace, &ids).await?;
    let parts = parts(workspace, &ids);
    let bulk = Arc::new(change(asked, gap)?);
    let edits = parts.into_iter().map(|(page, ids)| {
        let subject = format!("{page} {}", ids.first().map(TaskId::entry).unwrap_or_default());
        let key = call.identity(&subject, &input).map(Into::into);
        let group = ids.first().and_then(|id| groups.get(&id.group()).cloned());
        let edit = edit_of(ids.clone(), group, author.clone(), Arc::clone(&bulk));
        let pages = &role.board.pages;
        async move {
            let edited = loop {
                match timeout_at(until, pages.edit_once(&page, key, edit.clone())).await {
                    // The part before it has filled the page's outbox: it empties as fast as the broker takes events.
                    Ok(Err(EditError::Backlog { .. })) if Instant::now() + PAUSE < until => {
                        sleep(PAUSE).await;
                    }
                    edited => break edited,
                }
            };
            (ids, edited)
        }
    });
    let mut edited = stream::iter(edits).buffer_unordered(PAGES_AT_A_TIME);
    let (mut results, mut replayed) = (BTreeMap::new(), true);
    while let Some((ids, edited)) = edited.next().await {
        replayed &= matches!(edited, Ok(Ok(Once::Again(_))));
        results.extend(ids.iter().copied().zip(results_of_part(&ids, edited)?));
    }
    let result = |(text, id): (&String, &Option<TaskId>)| {
        let found = id.and_then(|id| results.get(&id).cloned());
        found.unwrap_or_else(|| Became::NotFound.result(text))
    };
    let answered = input.ids.iter().zip(&ids).map(result).collect();
    Ok(Answer::from(BulkAnswer { action_id: author.action_id.to_string(), results: answered })
        .replayed(replayed && !results.is_empty()))
}

/// Pages that remember the keys of bulk changes.
pub const KEY_PAGES: u8 = 64;

/// The action that the events belong to, and the place that the tasks go to: with a key, those that its first call
/// found, so that what is left to its repeat comes to stand where it would have stood, whatever became of the
/// neighbours. One page remembers each key with all that was asked under it, wherever the tasks lie.
async fn begin(
    role: &TasksRole,
    call: &Call,
    input: &BulkTasks,
    action: ActionId,
    found: Result<Option<Gap>, Refusal>,
) -> Result<(ActionId, Option<Gap>), Refusal> {
    let Some(identity) = call.identity("", input) else { return Ok((action, found?)) };
    let page = bulk_keys_of(&call.caller()?.workspace).page(u32::from(identity.key[0] % KEY_PAGES));
    let remember = {
        let found = found.clone();
        move |edit: &mut PageEdit<'_>| {
            edit.answer(kept(action, found.clone().map_err(Unbegun)?.as_ref()));
            Ok(())
        }
    };
    match role.board.pages.edit_once(&page, Some(identity.into()), remember).await {
        Ok(Once::First(())) => Ok((action, found?)),
        Ok(Once::Again(first)) => {
            let (action, gap) = read_kept(&first.answer).map_err(|fault| internal(&fault))?;
            // Calls of before gaps were kept have none.
            Ok((action, if gap.is_some() { gap } else { found? }))
        }
        Err(EditError::Rejected(Unbegun(refusal))) => Err(refusal),
        Err(fault) => Err(of_edit(fault)),
    }
}

/// What the first call under a key is refused for.
#[derive(Debug, thiserror::Error)]
#[error("the call is refused")]
struct Unbegun(Refusal);

/// What a page keeps of a call: the bytes of the action, then the gap.
fn kept(action: ActionId, gap: Option<&Gap>) -> Bytes {
    let gap = gap.map(|gap| serde_json::to_vec(gap).expect("texts and a time always make JSON"));
    [action.as_bytes().as_slice(), &gap.unwrap_or_default()].concat().into()
}

fn read_kept(bytes: &[u8]) -> Result<(ActionId, Option<Gap>), serde_json::Error> {
    let (action, gap) = bytes.split_first_chunk::<16>().unwrap_or((&[0; 16], bytes));
    let gap = if gap.is_empty() { None } else { Some(serde_json::from_slice(gap)?) };
    Ok((ActionId::from_bytes(*action), gap))
}

/// The tasks that change together.
fn parts(workspace: &Workspace, ids: &[Option<TaskId>]) -> Vec<(PageKey, Vec<TaskId>)> {
    let mut pages: BTreeMap<PageKey, Vec<TaskId>> = BTreeMap::new();
    for id in ids.iter().flatten() {
        pages.entry(tasks_of(workspace, id.group()).page(id.page())).or_default().push(*id);
    }
    let parts = pages.into_iter().flat_map(|(page, ids)| {
        let parts: Vec<_> = ids.chunks(TASKS_AT_A_TIME).map(|part| (page.clone(), part.to_vec())).collect();
        parts
    });
    parts.collect()
}

/// Nothing of a part was made.
#[derive(Debug, thiserror::Error)]
#[error("none of the tasks exists")]
struct NothingThere;

fn results_of_part(
    ids: &[TaskId],
    edited: Result<Result<Once<Vec<Became>>, EditError<NothingThere>>, Elapsed>,
) -> Result<Vec<BulkResult>, Refusal> {
    let texts = ids.iter().map(TaskId::to_string);
    let became: Vec<Became> = match edited {
        Ok(Ok(Once::First(became))) => became,
        Ok(Ok(Once::Again(first))) => {
            serde_json::from_slice(&first.answer).map_err(|fault| internal(&fault))?
        }
        Ok(Err(EditError::Rejected(_) | EditError::Closed)) => vec![Became::NotFound; ids.len()],
        Ok(Err(EditError::OutcomeUnknown(_))) | Err(_) => return Ok(texts.map(|id| unknown(&id)).collect()),
        Ok(Err(fault)) => {
            let refusal = of_edit(fault);
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

/// What the call asks for.
enum Asked {
    Delete,
    Change { values: CheckedValues, place: Option<Place>, tasks: Vec<TaskId> },
}

/// The tasks between which they shall stand.
struct Place {
    after: Option<TaskId>,
    before: Option<TaskId>,
}

fn check(input: &BulkTasks, ids: &[Option<TaskId>]) -> Result<Asked, Refusal> {
    let is_move = input.after.is_some() || input.before.is_some();
    let changes = is_move || input.values != TaskValues::default();
    let mut check = Check::default();
    check.that(!(input.delete && changes), "/delete", "what is deleted cannot be changed by the same call");
    check.that(input.delete || changes, "/ids", "say what shall become of them");
    let values = CheckedValues::check(&input.values, &mut check);
    let tasks: Vec<TaskId> = ids.iter().copied().flatten().collect();
    let after = check.field("/after", neighbour(&tasks, input.after.as_deref()));
    let before = check.field("/before", neighbour(&tasks, input.before.as_deref()));
    let (Some(values), Some(after), Some(before)) = (values, after, before) else {
        return Err(check.refusal());
    };
    check.passed()?;
    if input.delete {
        return Ok(Asked::Delete);
    }
    Ok(Asked::Change { values, place: is_move.then_some(Place { after, before }), tasks })
}

/// What shall become of each task.
enum Bulk {
    Delete,
    Change { values: CheckedValues, ranks: BTreeMap<TaskId, Rank> },
}

async fn find_gap(role: &TasksRole, workspace: &Workspace, asked: &Asked) -> Result<Option<Gap>, Refusal> {
    match asked {
        Asked::Change { place: Some(Place { after, before }), tasks, .. } => {
            gap(role, workspace, tasks, *after, *before).await.map(Some)
        }
        Asked::Change { place: None, .. } | Asked::Delete => Ok(None),
    }
}

fn change(asked: Asked, gap: Option<Gap>) -> Result<Bulk, Refusal> {
    let Asked::Change { values, place, tasks } = asked else { return Ok(Bulk::Delete) };
    let ranks = gap.map(|gap| gap.ranks(&tasks)).transpose().map_err(|fault| {
        let is_before = place.is_some_and(|place| place.before.is_some());
        Refusal::invalid_field(if is_before { "/before" } else { "/after" }, fault)
    })?;
    Ok(Bulk::Change { values, ranks: ranks.unwrap_or_default() })
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

/// Changes those that can be changed, and keeps what became of each. If none is there nothing is kept either: a page
/// that nobody made stays unmade.
fn edit_of(
    ids: Vec<TaskId>,
    group: Option<Group>,
    author: Author,
    bulk: Arc<Bulk>,
) -> impl Fn(&mut PageEdit<'_>) -> Result<Vec<Became>, NothingThere> + Clone + Send + 'static {
    move |edit| {
        let group = group.as_ref().ok_or(NothingThere)?;
        let mut became = Vec::with_capacity(ids.len());
        for id in &ids {
            became.push(match change_one(edit, *id, group, &author, &bulk) {
                Ok(version) => Became::Version(version),
                Err(fault) => Became::of_fault(*id, fault),
            });
        }
        if became.iter().all(|became| *became == Became::NotFound) {
            return Err(NothingThere);
        }
        let answer = serde_json::to_vec(&became).expect("versions and words always make JSON");
        edit.answer(answer.into());
        Ok(became)
    }
}

/// The task's version after the change.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::strange::any_or_damaged;

    #[test]
    fn what_a_page_keeps_of_a_call_reads_back_also_from_before_it_had_a_gap() {
        let action = Uuid::from_u128(7);
        let gap = r#"{"low":"a1","high":null,"found_at":"2026-01-31T00:00:00Z"}"#;
        let kept_gap = serde_json::from_str::<Gap>(gap).unwrap();
        let (read, found) = read_kept(&kept(action, Some(&kept_gap))).unwrap();
        assert_eq!((read, serde_json::to_string(&found).unwrap()), (action, gap.to_owned()));
        let (read, found) = read_kept(&kept(action, None)).unwrap();
        assert!(read == action && found.is_none());
        assert!(read_kept(&[1, 2, 3]).is_err());
    }

    proptest! {
        #[test]
        fn any_kept_bytes_are_read_or_refused(bytes in any_or_damaged(good())) {
            if let Ok((action, gap)) = read_kept(&bytes) {
                let again = kept(action, gap.as_ref());
                let (same, gap) = read_kept(&again).unwrap();
                prop_assert_eq!((same, kept(same, gap.as_ref())), (action, again));
            }
        }
    }

    fn good() -> Vec<Vec<u8>> {
        let gap = r#"{"low": "00000000000001", "high": null, "found_at": "2026-01-01T00:00:00Z"}"#;
        vec![[&[7; 16], gap.as_bytes()].concat(), vec![7; 16]]
    }
}
