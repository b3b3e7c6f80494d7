//! The real NGINX with the real `app/edge/nginx.conf`, in front of programs that say what they were asked.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::folders::project;
use crate::install::find_program;
use crate::part::Part;
use crate::parts::application::ROLES;
use crate::ports::{PortBook, Ports};
use crate::progress::Progress;
use crate::supervision::Unit;

const SOON: Duration = Duration::from_secs(10);

/// A running edge, and a port at which nobody listens.
struct Edge {
    url: String,
    client: Client,
    _part: Part,
    // Last: NGINX ends before its folder goes.
    _folder: tempfile::TempDir,
}

/// Which roles have nobody behind them, and for which one of two is missing.
#[derive(Default)]
struct Absent {
    roles: Vec<&'static str>,
    one_of_tasks: bool,
}

impl Edge {
    async fn start(absent: Absent) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path(), &Progress::silent()).await.unwrap();
        let mut ports = PortBook::open(Ports::Free, state.file("ports.json"));
        let mut upstreams = Vec::new();
        for role in ROLES {
            let mut servers = Vec::new();
            if absent.roles.contains(&role) || (role == "tasks" && absent.one_of_tasks) {
                servers.push(ports.take(&format!("nobody for {role}"), 0).unwrap());
            }
            if !absent.roles.contains(&role) {
                servers.push(serve(role).await);
            }
            upstreams.push(Upstream { role, servers });
        }
        let address = ports.take("edge", 0).unwrap();
        let program = find_program("nginx").expect("NGINX is installed: `make install`");
        let unit = unit(&program, &project(), &state, address, &upstreams).unwrap();
        let part = Unit::supervise(unit).remove(0);
        part.wait_healthy(SOON).await.unwrap();
        Self { url: format!("http://{address}"), client: Client::new(), _part: part, _folder: folder }
    }

    async fn role_of(&self, path: &str) -> String {
        let answer: Value =
            self.client.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["uri"], path, "the path reaches the role as it was sent");
        answer["role"].as_str().unwrap().to_owned()
    }
}

/// A role that answers every request with what it was asked.
async fn serve(role: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let headers: serde_json::Map<String, Value> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        Json(json!({
            "role": role,
            "method": method.as_str(),
            "uri": uri.to_string(),
            "headers": headers,
            "bytes": body.len(),
        }))
    };
    let router = axum::Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn each_path_reaches_the_role_that_owns_it() {
    let edge = Edge::start(Absent::default()).await;
    for (path, role) in [
        ("/api/auth/login", "accounts"),
        ("/auth/register", "accounts"),
        ("/api/users/me", "accounts"),
        ("/api/user/data-export", "accounts"),
        ("/.well-known/jwks.json", "accounts"),
        ("/api/groups", "tasks"),
        ("/api/groups/g1/tasks?limit=5", "tasks"),
        ("/api/tasks/t1", "tasks"),
        ("/tasks", "tasks"),
        ("/tasks/t1", "tasks"),
        ("/api/logs", "history"),
        ("/api/logs/stats/daily", "history"),
        ("/api/search?q=x", "history"),
        ("/api/groups/g1/as-of?time=x", "history"),
        ("/api/notifications", "notifications"),
        ("/api/webhooks/w1", "notifications"),
        ("/", "gateway"),
        ("/graphql", "gateway"),
        ("/api/stream", "gateway"),
        ("/api/docs", "gateway"),
        ("/health", "gateway"),
        ("/api/health", "gateway"),
        ("/tasksmith", "gateway"),
        ("/api/authority", "gateway"),
    ] {
        assert_eq!(edge.role_of(path).await, role, "{path}");
    }
    let metrics = edge.client.get(format!("{}/metrics", edge.url)).send().await.unwrap();
    assert_eq!(metrics.status(), StatusCode::NOT_FOUND, "measurements are not public");
}

#[tokio::test]
async fn what_a_caller_claims_about_its_address_is_dropped() {
    let edge = Edge::start(Absent::default()).await;
    let request = edge
        .client
        .get(format!("{}/api/groups", edge.url))
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-real-ip", "203.0.113.9")
        .header("forwarded", "for=203.0.113.9")
        .header("x-request-id", "abc-12345678");
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let headers = &answer["headers"];
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-real-ip"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers.get("forwarded"), None);
    assert_eq!(headers["x-request-id"], "abc-12345678", "a harmless request id is kept");

    let odd =
        edge.client.get(format!("{}/", edge.url)).header("x-request-id", "a\"b c").send().await.unwrap();
    let odd: Value = odd.json().await.unwrap();
    assert_eq!(odd["headers"]["x-request-id"].as_str().unwrap().len(), 32, "another is replaced");
}

#[tokio::test]
async fn an_upgrade_is_passed_on() {
    let edge = Edge::start(Absent::default()).await;
    let request = edge
        .client
        .get(format!("{}/graphql", edge.url))
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["headers"]["upgrade"], "websocket");
    assert_eq!(answer["headers"]["connection"], "upgrade");
}

#[tokio::test]
async fn a_role_that_is_away_is_a_problem_document() {
    let edge = Edge::start(Absent { roles: vec!["history"], ..Absent::default() }).await;
    let answer = edge.client.get(format!("{}/api/logs", edge.url)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["retry-after"], "1");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "unavailable");
    assert_eq!(edge.role_of("/api/groups").await, "tasks", "the others go on");
}

#[tokio::test]
async fn one_missing_replica_is_not_noticed() {
    let edge = Edge::start(Absent { one_of_tasks: true, ..Absent::default() }).await;
    for _ in 0..10 {
        assert_eq!(edge.role_of("/api/tasks").await, "tasks");
    }
}

#[tokio::test]
async fn a_body_above_the_applications_limit_reaches_it_and_a_huge_one_does_not() {
    let edge = Edge::start(Absent::default()).await;
    let post =
        |bytes: usize| edge.client.post(format!("{}/api/tasks", edge.url)).body(vec![b'x'; bytes]).send();
    let passed: Value = post(1024 * 1024 + 1).await.unwrap().json().await.unwrap();
    assert_eq!(passed["bytes"], 1024 * 1024 + 1);
    let refused = post(3 * 1024 * 1024).await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
}
