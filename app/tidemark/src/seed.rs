//! `tidemark seed`: the demo users and a sample board, made through the public API like anybody's.

use anyhow::{Context, bail};
use reqwest::{Client, Method, Response, StatusCode};
use tidemark_api::{
    Operation, Request,
    accounts::{LogIn, Register},
    comments::AddComment,
    groups::{CreateGroup, ListGroups},
    tasks::CreateTask,
};

use crate::demonstration::USERS;

/// A name, a discussion, and tasks with their statuses.
type SampleGroup = (&'static str, &'static str, [(&'static str, &'static str); 5]);

/// Groups with a task in every status.
const BOARD: [SampleGroup; 2] = [
    (
        "Product launch",
        "Everything that must be done before the first public release.",
        [
            ("Write the announcement", "New"),
            ("Record a demo", "Backlog"),
            ("Load-test the API", "In Progress"),
            ("Choose a licence", "Completed"),
            ("Name the product", "Approved"),
        ],
    ),
    (
        "Office move",
        "",
        [
            ("Order desks", "New"),
            ("Plan the network", "Backlog"),
            ("Pack the library", "In Progress"),
            ("Sign the lease", "Completed"),
            ("Visit the new rooms", "Approved"),
        ],
    ),
];

/// Creates what is missing. A second run changes nothing: names are unique, and the board is made under fixed
/// idempotency keys and only where the workspace has no group yet.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let mut api = Api { client: Client::new(), url: url.trim_end_matches('/').to_owned(), token: None };
    for (username, password) in USERS {
        register(&api, username, password).await?;
    }
    let (username, password) = USERS[0];
    let log_in = LogIn { username: username.to_owned(), password: password.into() };
    api.token = Some(api.call(&log_in, None).await?.token.0);
    let groups = api.call(&ListGroups { limit: Some(1), ..ListGroups::default() }, None).await?;
    if !groups.groups.is_empty() {
        println!("users are there, and so is a board: nothing to seed");
        return Ok(());
    }
    for (name, discussion, tasks) in BOARD {
        seed_group(&api, name, discussion, &tasks).await?;
    }
    println!("seeded {} users and {} groups", USERS.len(), BOARD.len());
    Ok(())
}

async fn register(api: &Api, username: &str, password: &str) -> anyhow::Result<()> {
    let (username, password) = (username.to_owned(), password.into());
    let response = api.send(&Register { username, password, ..Register::default() }, None).await?;
    if response.status() != StatusCode::CONFLICT {
        expect_success(response).await?;
    }
    Ok(())
}

async fn seed_group(api: &Api, name: &str, discussion: &str, tasks: &[(&str, &str)]) -> anyhow::Result<()> {
    let key = format!("seed {name}");
    let group = CreateGroup { name: name.to_owned(), discussion: Some(discussion.to_owned()) };
    let group = api.call(&group, Some(&key)).await?.group.id;
    for (task, status) in tasks {
        let key = format!("seed {name}: {task}");
        let create = CreateTask {
            group_id: Some(group.clone()),
            name: (*task).to_owned(),
            status: Some((*status).to_owned()),
            ..CreateTask::default()
        };
        let created = api.call(&create, Some(&key)).await?.task;
        if *status == "In Progress" {
            let comment = AddComment { id: created.id, text: "Started this morning.".to_owned() };
            api.call(&comment, Some(&format!("{key} comment"))).await?;
        }
    }
    Ok(())
}

struct Api {
    client: Client,
    url: String,
    token: Option<String>,
}

impl Api {
    /// Does what `input` is for, or fails.
    async fn call<O: Operation>(&self, input: &O, key: Option<&str>) -> anyhow::Result<O::Output> {
        let response = expect_success(self.send(input, key).await?).await?;
        Ok(response.json().await?)
    }

    async fn send<O: Operation>(&self, input: &O, key: Option<&str>) -> anyhow::Result<Response> {
        let asked = Request::of(input);
        let method = Method::from_bytes(asked.method.as_str().as_bytes())?;
        let mut request = self.client.request(method, format!("{}{}", self.url, asked.target));
        if let Some(body) = asked.body {
            request = request.json(&body);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.with_context(|| format!("reach {}", self.url))
    }
}

async fn expect_success(response: Response) -> anyhow::Result<Response> {
    let (status, path) = (response.status(), response.url().path().to_owned());
    if !status.is_success() {
        bail!("{path} was answered with {status}: {}", response.text().await?);
    }
    Ok(response)
}
