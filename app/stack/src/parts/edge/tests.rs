//! The real NGINX with the real `app/edge/nginx.conf`, in front of programs that say what they were asked.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::*;
use crate::folders::project;
use crate::install::find_program;
use crate::part::Part;
use crate::parts::application::ROLES;
use crate::ports::{PortBook, Ports};
use crate::progress::Progress;
use crate::supervision::Unit;

const SOON: Duration = Duration::from_secs(10);

/// A running edge.
struct Edge {
    url: String,
    address: SocketAddr,
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
        let mut servers: BTreeMap<&str, Vec<SocketAddr>> = BTreeMap::new();
        for role in ROLES {
            let servers = servers.entry(role).or_default();
            if absent.roles.contains(&role) || (role == "tasks" && absent.one_of_tasks) {
                servers.push(nobody().await);
            }
            if !absent.roles.contains(&role) {
                servers.push(serve(role).await);
            }
        }
        Self::in_front_of(&servers, &[]).await
    }

    /// An edge in front of `servers`; roles that are not named have nobody. `files` take the place of those that
    /// NGINX's configuration includes.
    async fn in_front_of(servers: &BTreeMap<&str, Vec<SocketAddr>>, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path(), &Progress::silent()).await.unwrap();
        let mut ports = PortBook::open(Ports::Free, state.file("ports.json"));
        let absent = vec![nobody().await];
        let upstreams: Vec<Upstream> = ROLES
            .into_iter()
            .map(|role| Upstream { role, servers: servers.get(role).unwrap_or(&absent).clone() })
            .collect();
        let address = ports.take("edge", 0).unwrap();
        let program = find_program("nginx").expect("NGINX is installed: `make install`");
        let unit = unit(&program, &project(), &state, address, &upstreams).unwrap();
        let included = state.configuration(NAME).unwrap();
        for (name, text) in files {
            let text = text.replace("$address", &address.to_string());
            fs::write(included.join(name), text).unwrap();
        }
        let part = Unit::supervise(unit).remove(0);
        part.wait_healthy(SOON).await.unwrap();
        Self {
            url: format!("http://{address}"),
            address,
            client: Client::new(),
            _part: part,
            _folder: folder,
        }
    }

    async fn role_of(&self, path: &str) -> String {
        let answer: Value =
            self.client.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["uri"], path, "the path reaches the role as it was sent");
        answer["role"].as_str().unwrap().to_owned()
    }
}

/// Where nobody listens: a port that was free a moment ago.
async fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
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

/// A server of one connection at a time that does what it is told with each request, and counts them.
struct Scripted {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    listening: tokio::task::JoinHandle<()>,
}

impl Scripted {
    /// Answers each request with `answer`; with an empty one it hangs up instead.
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let listening = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match connection.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, requests, listening }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
const HANGS_UP: &str = "";

fn tasks_at(servers: &[&Scripted]) -> BTreeMap<&'static str, Vec<SocketAddr>> {
    BTreeMap::from([("tasks", servers.iter().map(|server| server.address).collect())])
}

#[tokio::test]
async fn a_write_that_a_dying_replica_may_have_done_is_not_repeated_at_another() {
    for method in [Method::DELETE, Method::PUT, Method::POST] {
        let (dying, other) = (Scripted::start(HANGS_UP).await, Scripted::start(FINE).await);
        let edge = Edge::in_front_of(&tasks_at(&[&dying, &other]), &[]).await;
        let mut refused = 0;
        for _ in 0..4 {
            let sent = edge.client.request(method.clone(), format!("{}/api/tasks/t1", edge.url)).send();
            refused += usize::from(sent.await.unwrap().status() == StatusCode::SERVICE_UNAVAILABLE);
        }
        assert!(dying.requests() > 0, "{method} reached the dying replica");
        assert_eq!(refused, dying.requests(), "{method}: each that died was told to its caller");
        assert_eq!(refused + other.requests(), 4, "{method}: and none was done twice");
    }
}

#[tokio::test]
async fn reading_goes_on_at_another_replica_while_one_dies() {
    let (dying, other) = (Scripted::start(HANGS_UP).await, Scripted::start(FINE).await);
    let edge = Edge::in_front_of(&tasks_at(&[&dying, &other]), &[]).await;
    for _ in 0..10 {
        let answer = edge.client.get(format!("{}/api/tasks", edge.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(dying.requests() > 0, "the dying replica was asked, too");
}

#[tokio::test]
async fn anything_goes_to_another_replica_when_the_first_is_gone() {
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::PUT, Method::POST] {
        let (gone, other) = (Scripted::start(FINE).await, Scripted::start(FINE).await);
        let edge = Edge::in_front_of(&tasks_at(&[&gone, &other]), &[]).await;
        gone.listening.abort();
        let _ = gone.listening.await;
        for number in 0..4 {
            let request = edge.client.request(method.clone(), format!("{}/api/tasks/t1", edge.url));
            let answer = request.body(if method == Method::POST { "{}" } else { "" }).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{method} {number}");
        }
    }
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let gateway = BTreeMap::from([("gateway", vec![listener.local_addr().unwrap()])]);
    tokio::spawn(async move {
        // The edge's own health needs no upstream, so the first connection is the one to be upgraded.
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        let accepted =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        connection.write_all(accepted.as_bytes()).await.unwrap();
        let (mut read, mut write) = connection.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let edge = Edge::in_front_of(&gateway, &[]).await;
    let mut client = TcpStream::connect(edge.address).await.unwrap();
    let request = "GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    for frame in [b"\x81\x05hello", b"\x81\x05again"] {
        client.write_all(frame).await.unwrap();
        let mut echo = [0; 7];
        client.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, frame);
    }
}

#[tokio::test]
async fn large_answers_are_compressed_and_conditions_pass_untouched() {
    const LARGE: &str = concat!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"3\"\r\nContent-Length: 2048\r\n",
        "Connection: close\r\n\r\n"
    );
    let body: &'static str = Box::leak(format!("{LARGE}{}", "x".repeat(2048)).into_boxed_str());
    let large = Scripted::start(body).await;
    let edge = Edge::in_front_of(&tasks_at(&[&large]), &[]).await;
    let request = edge.client.get(format!("{}/api/tasks/t1", edge.url)).header("accept-encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "Accept-Encoding");
    let weak = answer.headers()["etag"].clone();
    assert_eq!(weak, "W/\"3\"");
    assert!(answer.bytes().await.unwrap().len() < 200);

    let edge = Edge::start(Absent::default()).await;
    let request = edge.client.get(format!("{}/api/tasks/t1", edge.url)).header("if-match", weak);
    let seen: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["headers"]["if-match"], "W/\"3\"", "the application knows what it means");
    assert_eq!(
        seen["headers"]["accept-encoding"],
        Value::Null,
        "it need not compress what is compressed here"
    );
}

#[tokio::test]
async fn a_request_of_old_that_names_no_host_reaches_its_role_with_one() {
    let edge = Edge::start(Absent::default()).await;
    let mut client = TcpStream::connect(edge.address).await.unwrap();
    client.write_all(b"GET /api/groups HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let seen: Value = serde_json::from_str(body).unwrap();
    assert!(seen["headers"]["host"].is_string(), "{seen}");
}

#[tokio::test]
async fn a_request_names_one_host() {
    let edge = Edge::start(Absent::default()).await;
    for hosts in ["", "Host: x\r\nHost: x\r\n"] {
        let mut client = TcpStream::connect(edge.address).await.unwrap();
        let request = format!("GET /api/groups HTTP/1.1\r\nConnection: close\r\n{hosts}\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("malformed-request"), "{answer}");
    }
}

#[tokio::test]
async fn a_file_with_a_hash_in_its_name_is_kept_and_outlives_its_server() {
    let page = Scripted::start(FINE).await;
    let gateway = BTreeMap::from([("gateway", vec![page.address])]);
    let edge = Edge::in_front_of(&gateway, &[]).await;
    let get = |path: &str| edge.client.get(format!("{}{path}", edge.url)).send();
    for _ in 0..3 {
        let answer = get("/assets/board-5f3a9c01.js").await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
    }
    assert_eq!(page.requests(), 1, "the edge has its own copy");
    let unhashed = get("/assets/board.js").await.unwrap();
    assert_eq!(unhashed.headers().get("cache-control"), None);
    page.listening.abort();
    let _ = page.listening.await;
    assert_eq!(get("/assets/board-5f3a9c01.js").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn every_answer_has_the_headers_that_browsers_heed() {
    let edge = Edge::start(Absent { roles: vec!["history"], ..Absent::default() }).await;
    for path in ["/api/groups", "/api/logs", "/metrics"] {
        let answer = edge.client.get(format!("{}{path}", edge.url)).send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(headers.get("strict-transport-security"), None, "only over TLS is it true");
        assert_eq!(headers["server"], "nginx", "the version is nobody's business");
    }
}

#[tokio::test]
async fn too_many_requests_of_one_address_are_refused_where_limits_are_on() {
    let limited = [("limits.conf", "geo $is_limited { default 1; }\n")];
    let accounts = BTreeMap::from([("accounts", vec![serve("accounts").await])]);
    let edge = Edge::in_front_of(&accounts, &limited).await;
    let log_in = || edge.client.post(format!("{}/api/auth/login", edge.url)).body("{}").send();
    let answers = futures_util::future::try_join_all((0..60).map(|_| log_in())).await.unwrap();
    let refused: Vec<_> =
        answers.into_iter().filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS).collect();
    assert!((20..60).contains(&refused.len()), "{} of 60 were refused", refused.len());
    for answer in refused {
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "too-many-requests");
    }
    let other = edge.client.get(format!("{}/api/users/me", edge.url)).send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK, "other paths have a wider limit");
}

#[tokio::test]
async fn over_tls_old_versions_are_refused_and_browsers_are_told_to_stay() {
    let certificates = tempfile::tempdir().unwrap();
    let (key, certificate) =
        (certificates.path().join("key.pem"), certificates.path().join("certificate.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=localhost", "-days", "1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = nobody().await;
    let listen = format!(
        "listen $address;\nlisten {port} ssl http2;\ninclude tls.conf;\nssl_certificate {};\nssl_certificate_key {};\n",
        certificate.display(),
        key.display()
    );
    let accounts = BTreeMap::from([("accounts", vec![serve("accounts").await])]);
    let _edge = Edge::in_front_of(&accounts, &[("listen.conf", &listen)]).await;
    let talk = async |version: &str| {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-no_ign_eof", version, "-connect", &port.to_string()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let request = "GET /api/users/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        // One that was refused reads nothing any more.
        let mut input = client.stdin.take().unwrap();
        let _ = input.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        client.stdout.take().unwrap().read_to_end(&mut answer).await.unwrap();
        let _ = client.wait().await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let answer = talk(version).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{version}: {answer}");
        assert!(
            answer.contains("Strict-Transport-Security: max-age=63072000; includeSubDomains"),
            "{answer}"
        );
    }
    assert_eq!(talk("-tls1_1").await, "");
}
