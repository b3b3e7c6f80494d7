//! One stack, its loads in turn: tasks in few groups, tasks in many groups, raw saves of the same bytes; a board, a
//! list, raw reads of the page that they lie in.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde_json::{Map, Value};
use tidemark_api::{
    Operation, Request,
    accounts::{LogIn, Register},
    groups::CreateGroup,
    tasks::CreateTask,
    values::Secret,
};
use tidemark_stack::{Progress, SidecarOptions, Stack, StackOptions};

use crate::{
    Arguments,
    load::{self, Load, Target},
};

/// One load, in all rounds.
pub struct Row {
    pub name: String,
    pub connections: u32,
    pub loads: Vec<Load>,
    /// The row of the raw sidecar that it is compared with.
    pub raw: usize,
}

/// What a task carries besides its name: a description of usual length.
const DESCRIPTION: &str = "Check the deck for rot, replace the two boards by the stairs, sand everything down \
                           and put on two coats of oil with a day between them. The oil is in the shed.";

/// Measures on a stack of its own, which is gone afterwards.
pub async fn run(arguments: &Arguments) -> anyhow::Result<Vec<Row>> {
    let mut options = StackOptions::for_test("bench");
    options.application = Some(std::path::absolute(&arguments.binary)?);
    options.environment = BTreeMap::from([("LOG_LEVEL".to_owned(), "warn".to_owned())]);
    let stack = Stack::start(options, Progress::silent()).await?;
    let measured = measure(arguments, &stack).await;
    stack.stop().await;
    measured
}

/// Connections of the loads that a small installation has.
const FEW: u32 = 64;
/// Tasks of the board that is read.
const BOARD: usize = 50;

async fn measure(arguments: &Arguments, stack: &Stack) -> anyhow::Result<Vec<Row>> {
    let scripts = tempfile::tempdir()?;
    let api = Api::log_in(stack.base_url()).await?;
    let hot = api.create_groups(arguments.hot_groups).await?;
    let scattered = api.create_groups(arguments.scattered_groups).await?;
    let board = api.create_board().await?;
    let sidecar = stack.start_sidecar(SidecarOptions::new("tidemark")).await?;
    let script = |name: &str| scripts.path().join(format!("{name}.lua"));
    write_task_script(&script("hot"), &api.token, &hot)?;
    write_task_script(&script("scattered"), &api.token, &scattered)?;
    write_raw_script(&script("raw"), sidecar.api_token(), &hot)?;
    write_read_script(
        &script("board"),
        "Authorization",
        &format!("Bearer {}", api.token),
        &format!("/api/groups/{board}"),
    )?;
    write_read_script(
        &script("list"),
        "Authorization",
        &format!("Bearer {}", api.token),
        &format!("/api/groups/{board}/tasks"),
    )?;
    let page = format!("/v1.0/state/statestore/tasks%2Fdefault%2F{board}%2F0");
    write_read_script(&script("read"), "dapr-api-token", sidecar.api_token(), &page)?;

    let (base, raw_base) = (stack.base_url(), sidecar.http_endpoint());
    let many = arguments.connections;
    let row = |name: String, connections, raw| Row { name, connections, loads: Vec::new(), raw };
    let saves = "raw sidecar: `POST /v1.0/state/statestore`";
    let hot_name = format!("Tidemark, hot: tasks in {} groups", arguments.hot_groups);
    let scattered_name = format!("Tidemark, scattered: tasks in {} groups", arguments.scattered_groups);
    let plan = [
        ("raw", &raw_base, row(saves.to_owned(), many, 0)),
        ("hot", &base, row(hot_name.clone(), many, 0)),
        ("scattered", &base, row(scattered_name, many, 0)),
        ("raw", &raw_base, row(saves.to_owned(), FEW, 3)),
        ("hot", &base, row(hot_name, FEW, 3)),
        ("read", &raw_base, row("raw sidecar: `GET` of the board's page".to_owned(), FEW, 5)),
        ("board", &base, row(format!("Tidemark, a board of {BOARD} tasks"), FEW, 5)),
        ("list", &base, row(format!("Tidemark, a list of {BOARD} tasks"), FEW, 5)),
    ];
    let (loads, mut rows): (Vec<_>, Vec<Row>) =
        plan.into_iter().map(|(name, url, row)| ((script(name), url), row)).unzip();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        for ((script, url), row) in loads.iter().zip(&mut rows) {
            let connections = row.connections;
            row.loads
                .push(load::run(&Target { url, script, connections, seconds: arguments.seconds }).await?);
            api.wait_until_published().await?;
        }
    }
    Ok(rows)
}

struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    async fn log_in(base: String) -> anyhow::Result<Self> {
        let (username, password) = ("Bench".to_owned(), Secret::from("Bench12345"));
        let mut api = Self { client: Client::new(), base, token: String::new() };
        let register =
            Register { username: username.clone(), password: password.clone(), ..Register::default() };
        api.post(&register).await?;
        api.token = api.post(&LogIn { username, password }).await?.token.0;
        Ok(api)
    }

    async fn post<O: Operation>(&self, input: &O) -> anyhow::Result<O::Output> {
        let Request { target, body, .. } = Request::of(input);
        let request = self.client.post(format!("{}{target}", self.base)).bearer_auth(&self.token);
        Ok(request.json(&body).send().await?.error_for_status()?.json().await?)
    }

    async fn create_groups(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let create = |number: usize| async move {
            let create = CreateGroup { name: format!("Bench {number}"), discussion: None };
            Ok(self.post(&create).await?.group.id)
        };
        stream::iter(0..count).map(create).buffer_unordered(64).try_collect().await
    }

    /// A group with tasks, as a list or a board shows them; returns its id.
    async fn create_board(&self) -> anyhow::Result<String> {
        let [group] = &self.create_groups(1).await?[..] else { bail!("no group was made") };
        for number in 0..BOARD {
            let create = CreateTask {
                group_id: Some(group.clone()),
                name: format!("Task {number}"),
                description: Some(DESCRIPTION.to_owned()),
                ..CreateTask::default()
            };
            self.post(&create).await?;
        }
        Ok(group.clone())
    }

    /// One load must not pay for the events of the one before.
    async fn wait_until_published(&self) -> anyhow::Result<()> {
        for _ in 0..600 {
            let metrics = self.client.get(format!("{}/metrics", self.base)).send().await?.text().await?;
            let waiting = metrics.lines().filter(|line| line.starts_with("relay_unpublished_events"));
            let waiting: f64 = waiting.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
            if waiting < 1.0 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::bail!("events were still unpublished after a minute")
    }
}

/// A task as a script writes it: what stands before its number, and what behind.
fn task() -> anyhow::Result<(String, String)> {
    let create = CreateTask {
        name: "Task @".to_owned(),
        description: Some(DESCRIPTION.to_owned()),
        ..CreateTask::default()
    };
    let mut members: Map<String, Value> = serde_json::from_value(serde_json::to_value(create)?)?;
    members.retain(|_, value| !value.is_null());
    let text = serde_json::to_string(&members)?;
    let (before, behind) = text.split_once('@').context("the number has no place")?;
    Ok((before.to_owned(), behind.to_owned()))
}

fn write_task_script(path: &Path, token: &str, groups: &[String]) -> anyhow::Result<()> {
    let groups: Vec<String> = groups.iter().map(|group| format!("{group:?}")).collect();
    let (before, behind) = task()?;
    let script = format!(
        r#"local groups = {{ {groups} }}
local number = 0
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
function request()
    number = number + 1
    local body = '{before}' .. number .. '{behind}'
    return wrk.format("POST", "/api/groups/" .. groups[number % #groups + 1] .. "/tasks", nil, body)
end
"#,
        groups = groups.join(", ")
    );
    Ok(std::fs::write(path, script)?)
}

/// The same bytes without Tidemark: each request saves one task under a key of its own.
fn write_raw_script(path: &Path, token: &str, groups: &[String]) -> anyhow::Result<()> {
    let group = groups.first().context("there is no group")?;
    let (before, behind) = task()?;
    let script = format!(
        r#"local number = 0
wrk.headers["dapr-api-token"] = "{token}"
wrk.headers["Content-Type"] = "application/json"
function request()
    number = number + 1
    local body = '[{{"key":"raw/{group}/' .. number .. '","value":{before}' .. number .. '{behind}}}]'
    return wrk.format("POST", "/v1.0/state/statestore", nil, body)
end
"#
    );
    Ok(std::fs::write(path, script)?)
}

fn write_read_script(path: &Path, header: &str, value: &str, target: &str) -> anyhow::Result<()> {
    let script = format!("wrk.headers[\"{header}\"] = \"{value}\"\nwrk.path = \"{target}\"\n");
    Ok(std::fs::write(path, script)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_writes_a_task_as_it_is_declared() {
        let (before, behind) = task().unwrap();
        // It stands between single quotes.
        assert!(!before.contains('\'') && !behind.contains('\''));
        let read: CreateTask = serde_json::from_str(&format!("{before}7{behind}")).unwrap();
        assert_eq!((read.name.as_str(), read.description.as_deref()), ("Task 7", Some(DESCRIPTION)));
    }
}
