//! One stack, three loads in turn: tasks in few groups, tasks in many groups, raw saves of the same bytes.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde_json::{Map, Value};
use tidemark_api::{
    Operation, Request,
    accounts::{LogIn, Register},
    groups::CreateGroup,
    tasks::CreateTask,
};
use tidemark_stack::{Progress, SidecarOptions, Stack, StackOptions};

use crate::{
    Arguments,
    load::{self, Load, Target},
};

/// All rounds of the three loads.
#[derive(Default)]
pub struct Measured {
    pub hot: Vec<Load>,
    pub scattered: Vec<Load>,
    pub raw: Vec<Load>,
}

/// What a task carries besides its name: a description of usual length.
const DESCRIPTION: &str = "Check the deck for rot, replace the two boards by the stairs, sand everything down \
                           and put on two coats of oil with a day between them. The oil is in the shed.";

/// Measures on a stack of its own, which is gone afterwards.
pub async fn run(arguments: &Arguments) -> anyhow::Result<Measured> {
    let mut options = StackOptions::for_test("bench");
    options.application = Some(std::path::absolute(&arguments.binary)?);
    options.environment = BTreeMap::from([("LOG_LEVEL".to_owned(), "warn".to_owned())]);
    let stack = Stack::start(options, Progress::silent()).await?;
    let measured = measure(arguments, &stack).await;
    stack.stop().await;
    measured
}

async fn measure(arguments: &Arguments, stack: &Stack) -> anyhow::Result<Measured> {
    let scripts = tempfile::tempdir()?;
    let api = Api::log_in(stack.base_url()).await?;
    let hot = api.create_groups(arguments.hot_groups).await?;
    let scattered = api.create_groups(arguments.scattered_groups).await?;
    let hot_script = scripts.path().join("hot.lua");
    let scattered_script = scripts.path().join("scattered.lua");
    let raw_script = scripts.path().join("raw.lua");
    write_task_script(&hot_script, &api.token, &hot)?;
    write_task_script(&scattered_script, &api.token, &scattered)?;
    let sidecar = stack.start_sidecar(SidecarOptions::new("tidemark")).await?;
    write_raw_script(&raw_script, sidecar.api_token(), &hot)?;

    let target =
        |url, script| Target { url, script, connections: arguments.connections, seconds: arguments.seconds };
    let (base, raw_base) = (stack.base_url(), sidecar.http_endpoint());
    let mut measured = Measured::default();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        measured.raw.push(load::run(&target(&raw_base, &raw_script)).await?);
        measured.hot.push(load::run(&target(&base, &hot_script)).await?);
        api.wait_until_published().await?;
        measured.scattered.push(load::run(&target(&base, &scattered_script)).await?);
        api.wait_until_published().await?;
    }
    Ok(measured)
}

struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    async fn log_in(base: String) -> anyhow::Result<Self> {
        let (username, password) = ("Bench".to_owned(), "Bench12345".to_owned());
        let mut api = Self { client: Client::new(), base, token: String::new() };
        let register =
            Register { username: username.clone(), password: password.clone(), ..Register::default() };
        api.post(&register).await?;
        api.token = api.post(&LogIn { username, password }).await?.token;
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
