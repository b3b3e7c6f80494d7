//! `tidemark seed`: the demo users and a sample board, made through the public API like anybody's.

use anyhow::{Context, ensure};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// The users of the demonstration. Their passwords are public, which is why only development seeds them.
const USERS: [(&str, &str); 5] = [
    ("Avinash", "Avinash123"),
    ("Dhaya", "Dhaya123"),
    ("Ashok", "Ashok123"),
    ("Arun", "Arun123"),
    ("Cathrine", "Cathrine123"),
];

/// Whether these are the name and the password of a demo user.
pub fn is_demo_user(username: &str, password: &str) -> bool {
    USERS.contains(&(username, password))
}

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
    let api = Api { client: Client::new(), url: url.trim_end_matches('/').to_owned(), token: None };
    for (username, password) in USERS {
        let body = json!({ "username": username, "password": password });
        let (status, answer) = api.post("/api/auth/register", None, &body).await?;
        let known = status == StatusCode::CREATED || status == StatusCode::CONFLICT;
        ensure!(known, "registering {username} was answered with {status}: {answer}");
    }
    let (username, password) = USERS[0];
    let body = json!({ "username": username, "password": password });
    let (_, session) = api.post("/api/auth/login", None, &body).await?;
    let token = session["token"].as_str().context("log-in gave no token")?.to_owned();
    let api = Api { token: Some(token), ..api };
    let groups = api.get("/api/groups?limit=1").await?;
    if groups["groups"].as_array().is_some_and(|groups| !groups.is_empty()) {
        println!("users are there, and so is a board: nothing to seed");
        return Ok(());
    }
    for (name, discussion, tasks) in BOARD {
        seed_group(&api, name, discussion, &tasks).await?;
    }
    println!("seeded {} users and {} groups", USERS.len(), BOARD.len());
    Ok(())
}

async fn seed_group(api: &Api, name: &str, discussion: &str, tasks: &[(&str, &str)]) -> anyhow::Result<()> {
    let key = format!("seed {name}");
    let body = json!({ "name": name, "discussion": discussion });
    let group = api.create("/api/groups", &key, &body).await?;
    let group = group["group"]["_id"].as_str().context("the group has no id")?.to_owned();
    for (task, status) in tasks {
        let key = format!("seed {name}: {task}");
        let body = json!({ "name": task, "status": status });
        let created = api.create(&format!("/api/groups/{group}/tasks"), &key, &body).await?;
        if *status == "In Progress" {
            let task = created["task"]["_id"].as_str().context("the task has no id")?;
            let body = json!({ "text": "Started this morning." });
            api.create(&format!("/api/tasks/{task}/comments"), &format!("{key} comment"), &body).await?;
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
    async fn create(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.post(path, Some(key), body).await?;
        ensure!(status == StatusCode::CREATED, "POST {path} was answered with {status}: {answer}");
        Ok(answer)
    }

    async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self.client.post(format!("{}{path}", self.url)).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.with_context(|| format!("reach {}", self.url))?;
        Ok((response.status(), response.json().await?))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}
