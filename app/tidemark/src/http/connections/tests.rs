use std::net::SocketAddr;

use axum::{Router, middleware, routing::any};
use http_body_util::Empty;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;

const SOON: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_mins(1);
/// More than a connection holds [bytes].
const LARGE: usize = 64 << 20;
/// When a test gives up.
const NEVER: Duration = Duration::from_secs(20);

fn generous() -> Limits {
    Limits { connections: 10, spare: 1, head: LONG, request: LONG, answer: LONG, idle: LONG }
}

/// A port of its own, whose service answers `/` at once, `/crowded` only where there are places left, `/never` never,
/// and `/large` with more than a connection holds.
struct Port {
    address: SocketAddr,
    /// One for every call of `/never`.
    begun: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Port {
    async fn open(protocol: Protocol, limits: Limits) -> Self {
        let (calls, begun) = mpsc::unbounded_channel();
        let never = move || {
            let (end, ended) = oneshot::channel();
            calls.send(end).unwrap();
            async move {
                ended.await.unwrap();
                "ended"
            }
        };
        let router = Router::new()
            .route("/crowded", any(async || "done"))
            .layer(middleware::from_fn(turn_away))
            .route("/", any(async || "done"))
            .route("/large", any(async || vec![0; LARGE]))
            .route("/never", any(never));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, protocol, limits, router, stop.clone()));
        Self { address, begun, stop, serving }
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(text.as_bytes()).await.unwrap();
        connection
    }
}

/// What comes until the connection is closed.
async fn rest(mut connection: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end too.
    let _ = timeout(NEVER, connection.read_to_end(&mut text)).await.expect("the connection is closed");
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads an answer that ends with `end`.
async fn answer(connection: &mut TcpStream, end: &str) {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        assert!(connection.read_buf(&mut text).await.unwrap() > 0, "{}", String::from_utf8_lossy(&text));
    }
}

#[tokio::test]
async fn who_sends_nothing_or_half_a_head_is_let_go() {
    let port = Port::open(Protocol::Http1, Limits { head: SOON, ..generous() }).await;
    for half in ["", "G", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        assert_eq!(rest(port.send(half).await).await, "", "{half}");
    }
    // Also where a request came before.
    let mut connection = port.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answer(&mut connection, "done").await;
    connection.write_all(b"GET / HT").await.unwrap();
    assert_eq!(rest(connection).await, "");
}

#[tokio::test]
async fn who_asks_for_nothing_more_is_let_go_and_is_not_measured_by_the_time_for_a_head() {
    let port = Port::open(Protocol::Http1, Limits { head: SOON, idle: SOON * 4, ..generous() }).await;
    let mut connection = port.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answer(&mut connection, "done").await;
    let began = Instant::now();
    assert_eq!(rest(connection).await, "");
    assert!(began.elapsed() >= SOON * 3, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_request_without_an_answer_is_let_go() {
    let port = Port::open(Protocol::Http1, Limits { request: SOON, ..generous() }).await;
    assert_eq!(rest(port.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await).await, "");
}

#[tokio::test]
async fn who_does_not_read_its_answer_is_let_go() {
    let limits = Limits { connections: 1, idle: SOON, ..generous() };
    let port = Port::open(Protocol::Http1, limits).await;
    let _unread = port.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // Its place is the only one.
    let mut next = port.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    timeout(NEVER, answer(&mut next, "done")).await.unwrap();
}

/// Takes pieces of `/large` with a pause after each, until the connection ends, and gives how much came.
async fn take_slowly(port: &Port, piece: usize, pause: Duration) -> usize {
    let mut connection = port.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let (mut taken, mut buffer) = (0, vec![0; piece]);
    // What was cut ends with a reset.
    while let Ok(length) = connection.read_exact(&mut buffer).await {
        taken += length;
        sleep(pause).await;
    }
    taken
}

#[tokio::test]
async fn who_takes_its_answer_slowly_and_steadily_gets_all_of_it() {
    let idle = SOON * 4;
    let port = Port::open(Protocol::Http1, Limits { idle, ..generous() }).await;
    let (began, piece) = (Instant::now(), 2 << 20);
    assert!(take_slowly(&port, piece, SOON / 2).await > LARGE - piece);
    assert!(began.elapsed() > idle + GRACE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_takes_its_answer_for_ever_is_let_go() {
    let port = Port::open(Protocol::Http1, Limits { answer: SOON, ..generous() }).await;
    let taken = timeout(NEVER, take_slowly(&port, 256 << 10, SOON / 3)).await.unwrap();
    assert!(taken < LARGE, "{taken}");
}

#[tokio::test]
async fn a_head_beyond_its_limit_is_refused() {
    let port = Port::open(Protocol::Http1, generous()).await;
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(2 * LARGEST_HEAD));
    let mut connection = TcpStream::connect(port.address).await.unwrap();
    // It may be refused before all of it is sent.
    let _ = connection.write_all(head.as_bytes()).await;
    let text = rest(connection).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{text}");
}

#[tokio::test]
async fn beyond_the_connections_there_may_be_is_room_for_one_word_at_once() {
    let port = Port::open(Protocol::Http1, Limits { connections: 2, ..generous() }).await;
    let held = [port.send("GET").await, port.send("GET").await];
    // Silence takes the spare place for no longer than a moment.
    let silent = port.send("GET").await;
    let text = rest(port.send("GET /crowded HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("connection: close"), "{text}");
    assert!(text.contains("retry-after"), "{text}");
    rest(silent).await;
    let text = rest(port.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("connection: close"), "{text}");
    for connection in held {
        let mut connection = connection;
        connection.write_all(b" /crowded HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        answer(&mut connection, "done").await;
        connection.write_all(b"GET /crowded HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        answer(&mut connection, "done").await;
    }
}

#[tokio::test]
async fn a_stop_closes_at_once_what_waits_and_what_is_half_sent() {
    let port = Port::open(Protocol::Http1, generous()).await;
    let mut idle = port.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answer(&mut idle, "done").await;
    let mut half_sent = Vec::new();
    for half in ["", "GET / HTTP/1.1\r\n"] {
        half_sent.push(port.send(half).await);
    }
    // Once this is answered, the connections before it have been accepted.
    answer(&mut port.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, "done").await;
    port.stop.cancel();
    timeout(GRACE * 5, port.serving).await.expect("all connections end").unwrap();
    for connection in half_sent {
        rest(connection).await;
    }
}

#[tokio::test]
async fn a_stop_lets_a_request_under_way_be_answered() {
    let mut port = Port::open(Protocol::Http1, generous()).await;
    let connection = port.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let end = port.begun.recv().await.unwrap();
    port.stop.cancel();
    assert!(timeout(GRACE + SOON, &mut port.serving).await.is_err());
    end.send(()).unwrap();
    let text = rest(connection).await;
    assert!(text.ends_with("ended"), "{text}");
    timeout(NEVER, port.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_of_http_2_that_sends_nothing_or_half_its_greeting_is_let_go() {
    let port = Port::open(Protocol::Http2, Limits { head: SOON, ..generous() }).await;
    for half in ["", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        rest(port.send(half).await).await;
    }
}

type Caller = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

async fn call(caller: &mut Caller, path: &str) -> hyper::Result<http::StatusCode> {
    let request = Request::get(format!("http://x{path}")).body(Empty::new()).unwrap();
    caller.ready().await?;
    Ok(caller.send_request(request).await?.status())
}

async fn greet(port: &Port) -> Caller {
    let connection = TokioIo::new(TcpStream::connect(port.address).await.unwrap());
    let (caller, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), connection).await.unwrap();
    tokio::spawn(connection);
    caller
}

#[tokio::test]
async fn a_call_of_http_2_has_its_own_time_whatever_else_its_connection_does() {
    let port = Port::open(Protocol::Http2, Limits { request: SOON, ..generous() }).await;
    let mut caller = greet(&port).await;
    let mut other = caller.clone();
    let mut never = std::pin::pin!(call(&mut other, "/never"));
    let refused = timeout(NEVER, async {
        loop {
            tokio::select! {
                outcome = &mut never => return outcome,
                answered = call(&mut caller, "/") => assert_eq!(answered.unwrap(), 200),
            }
        }
    });
    assert!(refused.await.expect("the call ends while others are answered").is_err());
    assert_eq!(call(&mut caller, "/").await.unwrap(), 200);
}

#[tokio::test]
async fn a_spare_connection_of_http_2_ends_with_its_first_call() {
    let port = Port::open(Protocol::Http2, Limits { connections: 1, ..generous() }).await;
    let mut kept = greet(&port).await;
    assert_eq!(call(&mut kept, "/").await.unwrap(), 200);
    // The second finds the spare place free again.
    for _ in 0..2 {
        let mut spare = greet(&port).await;
        assert_eq!(call(&mut spare, "/").await.unwrap(), 200);
        timeout(NEVER, async { while call(&mut spare, "/").await.is_ok() {} }).await.unwrap();
    }
    assert_eq!(call(&mut kept, "/").await.unwrap(), 200);
}
