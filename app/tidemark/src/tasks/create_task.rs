//! `POST /api/groups/{id}/tasks` and `POST /tasks`: a new task.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Deserialize;
use tidemark_domain::{
    Change, Group, GroupId, Rank, Task, TaskId, TaskStatus,
    task::{Description, Schedule, TaskName, parse_day},
};
use tidemark_pages::{EditError, Once, PageEdit};
use tidemark_protocol::stored;

use super::{
    TasksRole,
    board::{self, Author, tasks_of},
    bodies::{TaskAnswer, TaskBody},
    create_group::inbox,
};
use crate::{
    http::{
        Check, JsonBody, PathId, Problem, conditional,
        idempotency::{self, IdempotencyKey},
        refusal, request,
    },
    identity::Caller,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewTask {
    name: Option<String>,
    description: Option<String>,
    status: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    /// Read by `POST /tasks` alone: elsewhere the path names the group.
    group_id: Option<String>,
}

/// The parts of a new task, checked.
#[derive(Clone)]
struct Draft {
    name: TaskName,
    description: Description,
    status: TaskStatus,
    schedule: Schedule,
}

impl NewTask {
    fn check(&self) -> Result<Draft, Problem> {
        let mut check = Check::default();
        let name = check.field("/name", TaskName::parse(self.name.as_deref().unwrap_or_default()));
        let description =
            check.field("/description", Description::parse(self.description.as_deref().unwrap_or_default()));
        let status = self.status.as_deref().map_or(Ok(TaskStatus::default()), str::parse);
        let status = check.field("/status", status);
        let start = parse_day("startDate", self.start_date.as_deref().unwrap_or_default());
        let start = check.field("/startDate", start);
        let end = check.field("/endDate", parse_day("endDate", self.end_date.as_deref().unwrap_or_default()));
        let schedule =
            start.zip(end).and_then(|(start, end)| check.field("/endDate", Schedule::new(start, end)));
        let parts = name.zip(description).zip(status).zip(schedule);
        check.finish(parts.map(|(((name, description), status), schedule)| Draft {
            name,
            description,
            status,
            schedule,
        }))
    }
}

/// Answers 201 with the task; 404 for an unknown group.
pub async fn in_group(
    State(role): State<TasksRole>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    key: IdempotencyKey,
    JsonBody { value: body, bytes }: JsonBody<NewTask>,
) -> Result<Response, Problem> {
    let draft = body.check()?;
    let group = role.board.group(&caller.workspace, id).await?;
    let group = group.ok_or_else(|| Problem::not_found("group", id))?;
    create(&role, &caller, group, draft, &key, &bytes).await
}

/// Answers 201 with the task. Without a group it goes to the Inbox.
pub async fn anywhere(
    State(role): State<TasksRole>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody { value: body, bytes }: JsonBody<NewTask>,
) -> Result<Response, Problem> {
    let draft = body.check()?;
    let group = match body.group_id.as_deref() {
        None | Some("") => inbox(&role.board, &caller).await?,
        Some(text) => {
            let not_found = || Problem::not_found("group", text);
            let id: GroupId = text.parse().map_err(|_| not_found())?;
            role.board.group(&caller.workspace, id).await?.ok_or_else(not_found)?
        }
    };
    create(&role, &caller, group, draft, &key, &bytes).await
}

async fn create(
    role: &TasksRole,
    caller: &Caller,
    group: Group,
    draft: Draft,
    key: &IdempotencyKey,
    body: &[u8],
) -> Result<Response, Problem> {
    let (author, group_id) = (role.board.author(caller), group.id);
    let operation = format!("create task in {group_id}");
    let key = key.identify(caller.actor.id, &operation, body).map(Into::into);
    let put = move |edit: &mut PageEdit<'_>| {
        Ok::<_, std::convert::Infallible>(put_new_task(edit, &author, &group, draft.clone()))
    };
    let created = role.board.pages.append(&tasks_of(&caller.workspace, group_id), key, put).await;
    let created = created.map_err(|fault| match fault {
        EditError::Closed => Problem::not_found("group", group_id),
        other => refusal::of_edit(other),
    })?;
    let (task, replayed) = match created {
        Once::First(task) => (task, false),
        Once::Again(first) => {
            let entry = first.entry.ok_or_else(Problem::internal)?;
            let task = board::read_task(group_id, first.page.number(), &entry);
            (task.map_err(|fault| request::internal(&fault))?, true)
        }
    };
    let headers = [
        (header::LOCATION, format!("/api/tasks/{}", task.id).parse().map_err(|_| Problem::internal())?),
        (header::ETAG, conditional::etag(task.version)),
    ];
    let body = Json(TaskAnswer { task: TaskBody::new(&task, 0) });
    let mut response = (StatusCode::CREATED, headers, body).into_response();
    if replayed {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

fn put_new_task(edit: &mut PageEdit<'_>, author: &Author, group: &Group, draft: Draft) -> Task {
    let now = edit.now();
    // Tasks of one commit share its time; their places in the page keep them apart.
    let sequence = u16::try_from(edit.entries().len()).unwrap_or(u16::MAX);
    let task = Task {
        id: TaskId::new(group.id, edit.number(), rand::random()),
        name: draft.name,
        description: draft.description,
        status: draft.status,
        schedule: draft.schedule,
        rank: Rank::of_creation(now, sequence),
        created_by: author.caller.actor.id,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    edit.put(&task.id.entry(), task.status.as_str(), stored::write_task(&task));
    let group_name = group.name.as_str().to_owned();
    author.tell(edit, &task.id, Change::TaskCreated { task: task.clone(), group_name });
    task
}
