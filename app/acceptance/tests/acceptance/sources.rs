//! The requests that the descriptions behind the product fix, exactly as clients of those descriptions send them:
//! paths with and without `/api`, bodies, statuses, and the shapes of the answers down to the odd ones (`_id` beside
//! `group_id`, a count as text, a numeric id).
//!
//! What came back is compared with `sources.txt` beside this file. There, what differs from run to run is masked:
//! an id by a number that is the same wherever the same id stands, times, tokens and ranks by their kind.
//! `UPDATE=1` writes the file anew; the difference then belongs into the review of whoever changes a wire format.
//!
//! Calls between the roles and from the sidecar (rows 31 and 32) are the subject of `sidecar_contract`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header;
use serde_json::{Map, Value, json};
use tidemark_acceptance::{Failure, Outcome, eventually};

use super::api::{Answer, Api, send};
use super::run::{Topology, Trial};
use super::world::{SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        the_requests_of_the_sources_are_answered_as_ever,
        what_is_not_served_yet_is_said_to_be_so,
        a_task_that_was_read_may_be_put_back,
        a_group_that_was_read_may_be_put_back,
    ]
}

/// Rows of the sources that nothing answers yet: row, method, path, and why. Whoever serves one moves it to the
/// requests below.
const NOT_SERVED: [(&str, Method, &str, &str); 4] = [
    ("7", Method::POST, "/api/auth/logout", "tokens cannot be revoked yet"),
    ("8", Method::PUT, "/api/users/me", "a profile can only be read yet"),
    ("9", Method::GET, "/api/user/data-export", "there is no export yet"),
    ("31", Method::GET, "/dapr/subscribe", "the sidecar calls by gRPC, on a port that clients do not reach"),
];

/// An id that nothing has.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

const PASSWORD: &str = "correct horse 1";

async fn the_requests_of_the_sources_are_answered_as_ever(world: Arc<World>) -> Outcome {
    let mut record = Record::default();
    operation(&world, &mut record).await?;
    accounts(&world, &mut record).await?;
    // In a workspace of its own, where lists hold nothing else.
    let api = world.elsewhere()?;
    let (group, task) = board(&api, &mut record).await?;
    let alias = tasks_without_prefix(&api, &group, &mut record).await?;
    history(&api, &group, &task, &mut record).await?;
    refusals(&world, &api, &group, &task, &mut record).await?;
    let item = format!("/tasks/{alias}");
    record.ask("19", "DELETE /tasks/:id", &api, Method::DELETE, &item, None).await?;
    let item = format!("/api/tasks/{task}");
    record.ask("19", "DELETE /api/tasks/:id", &api, Method::DELETE, &item, None).await?;
    let item = format!("/api/groups/{group}");
    record.ask("14", "DELETE /api/groups/:id", &api, Method::DELETE, &item, None).await?;

    let file = golden_file();
    let seen = record.text();
    if world.settings.update && world.topology == Topology::Single {
        std::fs::write(&file, &seen)?;
    }
    compare(&std::fs::read_to_string(&file)?, &seen).map_err(Failure::new)
}

async fn operation(world: &World, record: &mut Record) -> Outcome {
    for path in ["/api/health", "/health"] {
        let answer = send(world.anonymous().request(Method::GET, path)).await?;
        let mut body = answer.json();
        // Those that the sources name; what else is watched depends on the topology.
        if let Some(services) = body["services"].as_object_mut() {
            services.retain(|name, _| ["state", "kafka", "timescaledb"].contains(&name.as_str()));
        }
        record.note(if path == "/health" { "2" } else { "1" }, &format!("GET {path}"), None, &answer, &body);
    }
    // Past the edge, which keeps the metrics to the inside.
    let gateway = world.addresses("gateway")?;
    let process = world
        .anonymous()
        .at(format!("http://{}", gateway.first().ok_or_else(|| Failure::new("no gateway"))?));
    let answer = process.get("/metrics").await?;
    let counted = answer
        .text()
        .lines()
        .any(|line| line.starts_with("http_requests_total{") && line.contains("status="));
    record.note("29", "GET /metrics", None, &answer, &json!({ "http_requests_total by status": counted }));
    if world.topology == Topology::Split {
        // `/health` is the system's own (row 2), so the edge speaks for itself under another path.
        let edge = world.anonymous().get("/edge/health").await?.expect(200);
        assert_eq!((edge.text().as_str(), edge.header("content-type")), ("healthy\n", Some("text/plain")));
    }
    Ok(())
}

async fn accounts(world: &World, record: &mut Record) -> Outcome {
    let anonymous = world.anonymous();
    let mut token = String::new();
    for (prefix, rows, label) in [("", ["3", "4"], "Ada"), ("/api", ["3", "5"], "Grace")] {
        let username = unique(label);
        record.call_it(&username, &format!("<{label}>"));
        let body = json!({ "username": username, "password": PASSWORD });
        let (register, login) = (format!("{prefix}/auth/register"), format!("{prefix}/auth/login"));
        let (first, second) = (format!("POST {register}"), format!("POST {login}"));
        record.ask(rows[0], &first, anonymous, Method::POST, &register, Some(&body)).await?;
        record
            .ask(rows[0], &format!("{first} again"), anonymous, Method::POST, &register, Some(&body))
            .await?;
        let session =
            record.ask(rows[1], &second, anonymous, Method::POST, &login, Some(&body)).await?.json();
        session["data"]["token"].as_str().unwrap_or_default().clone_into(&mut token);
        let wrong = json!({ "username": username, "password": "wrong" });
        let what = format!("{second} with a wrong password");
        record.ask(rows[1], &what, anonymous, Method::POST, &login, Some(&wrong)).await?;
    }
    let what = "POST /auth/register without fields";
    record.ask("3", what, anonymous, Method::POST, "/auth/register", Some(&json!({}))).await?;

    let api = anonymous.with_token(token);
    record.ask("8", "GET /api/users/me", &api, Method::GET, "/api/users/me", None).await?;
    let answer = api.get("/api/auth/users").await?;
    let mut body = answer.json();
    // Everybody who registered in any trial is in the list: one of them shows its shape.
    for user in body["users"].as_array_mut().into_iter().flatten() {
        user["username"] = json!("<somebody>");
        user["_id"] = json!("<id>");
    }
    if let Some(users) = body["users"].as_array_mut() {
        users.dedup();
    }
    body["next"] = json!("<text or null>");
    record.note("6", "GET /api/auth/users", None, &answer, &body);
    Ok(())
}

/// A group with a task and comments; the ids of both.
async fn board(api: &Api, record: &mut Record) -> Outcome<(String, String)> {
    let body = json!({ "name": "Launch", "discussion": "What is to be done" });
    let made = record.ask("11", "POST /api/groups", api, Method::POST, "/api/groups", Some(&body)).await?;
    let group = made.id("group");
    for (what, body) in [
        ("without a name", json!({ "discussion": "What is to be done" })),
        ("with a long name", json!({ "name": "x".repeat(101) })),
        ("with a long discussion", json!({ "name": "Launch", "discussion": "x".repeat(1001) })),
    ] {
        let what = format!("POST /api/groups {what}");
        record.ask("11", &what, api, Method::POST, "/api/groups", Some(&body)).await?;
    }

    let collection = format!("/api/groups/{group}/tasks");
    let what = "POST /api/groups/:groupId/tasks";
    let task =
        record.ask("15", what, api, Method::POST, &collection, Some(&json!({ "name": "Write" }))).await?;
    let task = task.id("task");
    let whole = json!({
        "name": "Read", "description": "All of it", "status": "In Progress",
        "startDate": "2025-01-31", "endDate": "2025-02-28",
    });
    let what = "POST /api/groups/:groupId/tasks with every member";
    record.ask("15", what, api, Method::POST, &collection, Some(&whole)).await?;
    let bad = json!({ "status": "Done", "startDate": "tomorrow" });
    let what = "POST /api/groups/:groupId/tasks with faults";
    record.ask("15", what, api, Method::POST, &collection, Some(&bad)).await?;

    let item = format!("/api/tasks/{task}");
    record.ask("16", "GET /api/tasks/:id", api, Method::GET, &item, None).await?;
    let body = json!({ "name": "Write it", "description": "By Monday", "endDate": "2025-03-31" });
    record.ask("17", "PUT /api/tasks/:id", api, Method::PUT, &item, Some(&body)).await?;
    record
        .ask("17", "PUT /api/tasks/:id with faults", api, Method::PUT, &item, Some(&json!({ "name": "" })))
        .await?;
    let path = format!("{item}/status");
    let body = json!({ "status": "Completed" });
    record.ask("18", "PUT /api/tasks/:id/status", api, Method::PUT, &path, Some(&body)).await?;
    let body = json!({ "status": "Done" });
    record.ask("18", "PUT /api/tasks/:id/status to none", api, Method::PUT, &path, Some(&body)).await?;
    let path = format!("{item}/comments");
    let body = json!({ "text": "Well done" });
    record.ask("20", "POST /api/tasks/:id/comments", api, Method::POST, &path, Some(&body)).await?;
    let what = "POST /api/tasks/:id/comments without text";
    record.ask("20", what, api, Method::POST, &path, Some(&json!({}))).await?;
    record.ask("21", "GET /api/tasks/:id/comments", api, Method::GET, &path, None).await?;

    let item = format!("/api/groups/{group}");
    settle(api, "/api/groups", "taskCount", &json!(2)).await?;
    let body = json!({ "name": "Launch", "discussion": "All of this" });
    record.ask("13", "PUT /api/groups/:id", api, Method::PUT, &item, Some(&body)).await?;
    let body = json!({ "name": "" });
    record.ask("13", "PUT /api/groups/:id without a name", api, Method::PUT, &item, Some(&body)).await?;
    record.ask("12", "GET /api/groups/:id", api, Method::GET, &item, None).await?;
    for path in ["/api/groups", "/api/groups?include=tasks"] {
        settle(api, path, "taskCount", &json!(2)).await?;
        record.ask("10", &format!("GET {path}"), api, Method::GET, path, None).await?;
    }
    Ok((group, task))
}

/// The number of tasks of a group follows them within a moment: another replica may answer than the one that made them.
async fn settle(api: &Api, path: &str, member: &str, wanted: &Value) -> Outcome {
    eventually(path, SOON, async || {
        let body = api.get(path).await.map_err(|failure| failure.to_string())?.json();
        if body["groups"][0][member] == *wanted { Ok(()) } else { Err(body.to_string()) }
    })
    .await
}

/// The paths without `/api`; the id of a task that is left.
async fn tasks_without_prefix(api: &Api, group: &str, record: &mut Record) -> Outcome<String> {
    // Without a group a task is in the Inbox, the caller's own.
    let body = json!({ "name": "Call back" });
    let made = record.ask("22", "POST /tasks", api, Method::POST, "/tasks", Some(&body)).await?;
    let task = made.id("task");
    let item = format!("/tasks/{task}");
    record.ask("23", "GET /tasks/:id", api, Method::GET, &item, None).await?;
    let body = json!({ "name": "Call back at noon" });
    record.ask("24", "PUT /tasks/:id", api, Method::PUT, &item, Some(&body)).await?;
    let body = json!({ "status": "Approved" });
    record
        .ask("24", "PUT /tasks/:id/status", api, Method::PUT, &format!("{item}/status"), Some(&body))
        .await?;
    let body = json!({ "text": "Done" });
    let comments = format!("{item}/comments");
    record.ask("24", "POST /tasks/:id/comments", api, Method::POST, &comments, Some(&body)).await?;
    record.ask("24", "GET /tasks/:id/comments", api, Method::GET, &comments, None).await?;
    record.ask("24", "GET /tasks?status=Approved", api, Method::GET, "/tasks?status=Approved", None).await?;
    let path = format!("/api/tasks?groupId={group}&status=Completed");
    record.ask("24", "GET /api/tasks?groupId=…&status=Completed", api, Method::GET, &path, None).await?;
    Ok(task)
}

async fn history(api: &Api, group: &str, task: &str, record: &mut Record) -> Outcome {
    let path = format!("/api/logs/group/{group}");
    let whole = eventually("all events of the group", SOON, async || {
        let answer = api.get(&path).await.map_err(|failure| failure.to_string())?;
        let found = answer.json()["logs"].as_array().map(Vec::len);
        if found == Some(7) { Ok(answer) } else { Err(answer.text()) }
    })
    .await?;
    let mut body = whole.json();
    // Across entities only time orders, and two may have the same: `history` tells more of the order.
    if let Some(logs) = body["logs"].as_array_mut() {
        logs.sort_by_key(|line| line["changes"].to_string());
    }
    record.note("26", "GET /api/logs/group/:groupId", None, &whole, &body);
    let path = format!("/api/logs/group/{group}?limit=1");
    let one = api.get(&path).await?;
    let lines = one.json()["logs"].as_array().map(Vec::len);
    record.note("26", "GET /api/logs/group/:groupId?limit=1", None, &one, &json!({ "logs": lines }));
    let path = format!("/api/logs/group/{group}/tasks");
    let tasks = api.get(&path).await?;
    let mut body = tasks.json();
    if let Some(tasks) = body["tasks"].as_array_mut() {
        tasks.sort_by_key(|task| task["task_name"].to_string());
    }
    record.note("27", "GET /api/logs/group/:groupId/tasks", None, &tasks, &body);
    let path = format!("/api/logs/task/{task}");
    record.ask("28", "GET /api/logs/task/:taskId", api, Method::GET, &path, None).await?;

    // The Inbox's events come from another group's pages, perhaps later.
    let groups = eventually("both groups in the summary", SOON, async || {
        let request = api.request(Method::GET, "/api/logs/groups").header(header::CACHE_CONTROL, "no-cache");
        let answer = send(request).await.map_err(|failure| failure.to_string())?;
        let body = answer.json();
        let counts = body["groups"].as_array().into_iter().flatten().map(|group| &group["log_count"]);
        let mut counts: Vec<&str> = counts.filter_map(Value::as_str).collect();
        counts.sort_unstable();
        if counts == ["5", "7"] { Ok(answer) } else { Err(answer.text()) }
    })
    .await?;
    let mut body = groups.json();
    if let Some(groups) = body["groups"].as_array_mut() {
        groups.sort_by_key(|group| group["group_name"].to_string());
    }
    record.note("25", "GET /api/logs/groups", None, &groups, &body);
    Ok(())
}

/// The errors that every protected row shares.
async fn refusals(world: &World, api: &Api, group: &str, task: &str, record: &mut Record) -> Outcome {
    let anonymous = world.anonymous();
    record.ask("10", "GET /api/groups without a token", anonymous, Method::GET, "/api/groups", None).await?;
    let forger = anonymous.with_token("e30.e30.e30");
    record
        .ask("10", "GET /api/groups with a forged token", &forger, Method::GET, "/api/groups", None)
        .await?;
    let expired = anonymous.with_token(world.mint.token(&json!({ "iat": 1, "exp": 2 }))?);
    let body = json!({ "name": "Late" });
    record
        .ask("22", "POST /tasks with an expired token", &expired, Method::POST, "/tasks", Some(&body))
        .await?;
    let (name, text, status) = (json!({ "name": "x" }), json!({ "text": "x" }), json!({ "status": "New" }));
    for (row, method, path, body) in [
        ("12", Method::GET, format!("/api/groups/{UNKNOWN}"), None),
        ("13", Method::PUT, format!("/api/groups/{UNKNOWN}"), Some(&name)),
        ("14", Method::DELETE, format!("/api/groups/{UNKNOWN}"), None),
        ("15", Method::POST, format!("/api/groups/{UNKNOWN}/tasks"), Some(&name)),
        ("16", Method::GET, format!("/api/tasks/{UNKNOWN}"), None),
        ("17", Method::PUT, format!("/api/tasks/{UNKNOWN}"), Some(&name)),
        ("18", Method::PUT, format!("/api/tasks/{UNKNOWN}/status"), Some(&status)),
        ("19", Method::DELETE, format!("/api/tasks/{UNKNOWN}"), None),
        ("20", Method::POST, format!("/api/tasks/{UNKNOWN}/comments"), Some(&text)),
        ("21", Method::GET, format!("/api/tasks/{UNKNOWN}/comments"), None),
        ("23", Method::GET, format!("/tasks/{UNKNOWN}"), None),
    ] {
        record.ask(row, &format!("{method} {path}"), api, method, &path, body).await?;
    }
    for path in [format!("/api/groups/{group}"), format!("/api/tasks/{task}")] {
        assert!(api.get(&path).await?.status.is_success(), "what nobody named has changed");
    }
    Ok(())
}

async fn what_is_not_served_yet_is_said_to_be_so(world: Arc<World>) -> Outcome {
    for (row, method, path, reason) in NOT_SERVED {
        let mut request = world.member().request(method.clone(), path);
        if method != Method::GET {
            request = request.json(&json!({}));
        }
        let answer = send(request).await?;
        assert!(
            [404, 405].contains(&answer.status.as_u16()),
            "row {row}, {method} {path}, answers {}: it is no longer true that {reason}",
            answer.status
        );
    }
    Ok(())
}

async fn a_task_that_was_read_may_be_put_back(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let whole =
        json!({ "name": "whole", "description": "text", "startDate": "2025-01-31", "endDate": "2025-02-28" });
    for body in [json!({ "name": "bare" }), whole] {
        let made = api.post(&format!("/api/groups/{group}/tasks"), &body).await?.expect(201);
        let item = format!("/api/tasks/{}", made.id("task"));
        api.post(&format!("{item}/comments"), &json!({ "text": "noted" })).await?.expect(201);
        put_back(api, &item, "task").await?;
    }
    Ok(())
}

async fn a_group_that_was_read_may_be_put_back(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    api.new_task(&group, "task").await?;
    put_back(api, &format!("/api/groups/{group}"), "group").await
}

/// Sends what a GET gave back with a PUT, unchanged, and finds it as it was.
async fn put_back(api: &Api, item: &str, member: &str) -> Outcome {
    let read = api.get(item).await?.expect(200).json();
    let answer = api.put(item, &read[member]).await?.expect(200).json();
    for (name, value) in answer[member].as_object().into_iter().flatten() {
        // A group's answer counts its tasks a moment late.
        if name != "taskCount" {
            assert_eq!(value, &read[member][name], "{name} of {item}");
        }
    }
    assert_eq!(api.get(item).await?.expect(200).json(), read, "{item}");
    Ok(())
}

/// What was asked and answered, masked.
#[derive(Default)]
struct Record {
    blocks: Vec<String>,
    /// What each known text is called instead.
    names: BTreeMap<String, String>,
}

impl Record {
    /// Masks a text that differs from run to run.
    fn call_it(&mut self, text: &str, name: &str) {
        self.names.insert(text.to_owned(), name.to_owned());
    }

    /// Sends a request and notes what came back.
    async fn ask(
        &mut self,
        row: &str,
        what: &str,
        api: &Api,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Outcome<Answer> {
        let request = api.request(method, path);
        let answer = send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await?;
        let told = if answer.body.is_empty() { Value::Null } else { answer.json() };
        self.note(row, what, body, &answer, &told);
        Ok(answer)
    }

    /// Notes an answer of which `told` is what matters.
    fn note(&mut self, row: &str, what: &str, sent: Option<&Value>, answer: &Answer, told: &Value) {
        let mut block = format!("## row {row}: {what}\n");
        if let Some(sent) = sent {
            let sent = self.masked("", sent).to_string();
            let short = if sent.len() > 300 { "(too long to show)" } else { &sent };
            writeln!(block, "{short}").expect("a String takes all text");
        }
        let media_type = answer.header("content-type").unwrap_or("no content");
        writeln!(block, "\n{} {media_type}", answer.status.as_u16()).expect("a String takes all text");
        if let Some(challenge) = answer.header(header::WWW_AUTHENTICATE) {
            writeln!(block, "WWW-Authenticate: {challenge}").expect("a String takes all text");
        }
        if !told.is_null() {
            writeln!(block, "{:#}", self.masked("", told)).expect("a String takes all text");
        }
        self.blocks.push(block);
    }

    fn masked(&mut self, name: &str, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                // Sorted here: whether a map keeps its order is decided by whoever builds serde_json with us.
                let sorted: BTreeMap<&String, &Value> = members.iter().collect();
                Value::Object(
                    sorted
                        .into_iter()
                        .map(|(name, value)| (name.clone(), self.masked(name, value)))
                        .collect::<Map<_, _>>(),
                )
            }
            Value::Array(items) => items.iter().map(|item| self.masked(name, item)).collect(),
            Value::Number(_) if name == "id" => json!("<a number>"),
            Value::String(text) => json!(self.masked_text(name, text)),
            other => other.clone(),
        }
    }

    fn masked_text(&mut self, name: &str, text: &str) -> String {
        const IDS: [&str; 8] =
            ["_id", "groupId", "taskId", "userId", "createdBy", "group_id", "task_id", "entity_id"];
        if text.is_empty() || text.starts_with('<') {
            return text.to_owned();
        }
        match name {
            "token" => return "<token>".to_owned(),
            "requestId" => return "<request>".to_owned(),
            "action_id" => return "<action>".to_owned(),
            "rank" => return "<rank>".to_owned(),
            "user_name" | "user" => return "<somebody>".to_owned(),
            _ => {}
        }
        if is_time(text) {
            return "<time>".to_owned();
        }
        if IDS.contains(&name) && text != UNKNOWN && !self.names.contains_key(text) {
            let number = self.names.values().filter(|name| name.starts_with("<id ")).count() + 1;
            self.names.insert(text.to_owned(), format!("<id {number}>"));
        }
        self.names.iter().fold(text.to_owned(), |text, (known, name)| text.replace(known, name))
    }

    fn text(&self) -> String {
        self.blocks.join("\n")
    }
}

/// ISO 8601 in UTC with milliseconds.
fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000Z";
    text.len() == form.len()
        && text
            .chars()
            .zip(form.chars())
            .all(|(seen, form)| if form == '0' { seen.is_ascii_digit() } else { seen == form })
}

fn golden_file() -> PathBuf {
    tidemark_stack::project().join("app/acceptance/tests/acceptance/sources.txt")
}

/// Tells every block that is not as it was.
fn compare(golden: &str, seen: &str) -> Result<(), String> {
    let golden: Vec<&str> = golden.split("## ").collect();
    let seen: Vec<&str> = seen.split("## ").collect();
    let mut told = String::new();
    for block in seen.iter().filter(|block| !golden.contains(block)) {
        let heading = block.lines().next();
        let was = golden.iter().find(|other| other.lines().next() == heading).unwrap_or(&"nothing\n");
        write!(told, "\nwas: {was}\nis: {block}").expect("a String takes all text");
    }
    for block in
        golden.iter().filter(|block| seen.iter().all(|other| other.lines().next() != block.lines().next()))
    {
        write!(told, "\nis gone: {block}").expect("a String takes all text");
    }
    if told.is_empty() && golden == seen {
        return Ok(());
    }
    Err(format!("the answers differ from sources.txt (UPDATE=1 writes it anew):{told}"))
}
