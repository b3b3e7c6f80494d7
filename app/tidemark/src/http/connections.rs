//! Connections: how many there may be at a time, and how long each may take for what it does.
//!
//! Whoever sends half of something, or nothing, or does not read its answer, loses its connection within a bounded
//! time. A stop closes at once what waits and what is half a head; what is under way keeps its time. How long a body
//! may take is the business of who reads it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    middleware::Next,
    response::{IntoResponse, Response},
    serve::Listener,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Version, header};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tidemark_api::Refusal;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, error::Elapsed, sleep_until, timeout},
};
use tokio_util::{
    io::{InspectReader, InspectWriter},
    sync::CancellationToken,
    task::TaskTracker,
};
use tower::{Service, ServiceExt};
use tracing::warn;

use super::Problem;
use crate::telemetry::WithCauses;

/// What connections of one port may have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections beyond those: each must ask at once, and ends with its first answer. Whoever comes when these are
    /// taken too is accepted when one of them ends.
    pub spare: usize,
    /// From the first byte of a request to the end of its head, and from a connection's beginning to that byte.
    pub head: Duration,
    /// From the end of a request's head to the head of its answer.
    pub request: Duration,
    /// From the head of an answer until the client has taken the last of it.
    pub answer: Duration,
    /// Without a request, and without the client taking any of its answer.
    pub idle: Duration,
}

/// Time for a last word: to read the answer that has been written, or to ask where there is no place left.
const GRACE: Duration = Duration::from_secs(1);

/// Marks a request that came over a spare connection.
#[derive(Debug, Clone, Copy)]
pub struct Crowded;

/// Refuses what came over a spare connection. Leave out what must be answered in any crowd.
pub async fn turn_away(request: Request<Body>, next: Next) -> Response {
    if request.extensions().get::<Crowded>().is_some() {
        return Problem(Refusal::unavailable("too many connections are open")).into_response();
    }
    next.run(request).await
}

/// How a port is spoken to.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    Http1,
    /// Without TLS, as gRPC inside a pod.
    Http2,
}

/// The largest head of a request [bytes]; the edge takes half of it.
const LARGEST_HEAD: usize = 64 * 1024;

/// Requests at a time over one connection of HTTP/2.
const STREAMS: u32 = 1024;

/// How often a silent peer of HTTP/2 is asked whether it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

impl Protocol {
    fn server(self) -> auto::Builder<TokioExecutor> {
        let mut server = auto::Builder::new(TokioExecutor::new());
        match self {
            Self::Http1 => {
                // Its one limit for heads would hold for silence between requests as well.
                server.http1().header_read_timeout(None::<Duration>).max_buf_size(LARGEST_HEAD);
                server.http1_only()
            }
            Self::Http2 => {
                server
                    .http2()
                    .timer(TokioTimer::new())
                    .keep_alive_interval(SIGN_OF_LIFE)
                    .max_concurrent_streams(STREAMS)
                    .max_header_list_size(LARGEST_HEAD.try_into().unwrap_or(u32::MAX));
                server.http2_only()
            }
        }
    }
}

/// Serves connections until `stop` is cancelled and the last of them has ended.
pub async fn serve<S>(
    mut listener: TcpListener,
    protocol: Protocol,
    limits: Limits,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let server = Arc::new(protocol.server());
    let places = Arc::new(Semaphore::new(limits.connections));
    let spares = Arc::new(Semaphore::new(limits.spare));
    let connections = TaskTracker::new();
    let accepting = async {
        // Nobody closes these semaphores.
        while let Ok(spare) = Arc::clone(&spares).acquire_owned().await {
            let (stream, _) = Listener::accept(&mut listener).await;
            let (place, is_spare) = match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => (place, false),
                Err(_) => (spare, true),
            };
            let (server, service, stop) = (Arc::clone(&server), service.clone(), stop.clone());
            connections.spawn(async move {
                connect(stream, is_spare, &server, limits, service, stop).await;
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connect<S>(
    stream: TcpStream,
    is_spare: bool,
    server: &auto::Builder<TokioExecutor>,
    mut limits: Limits,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    // Small answers must not wait for the client's acknowledgement of earlier ones.
    if let Err(fault) = stream.set_nodelay(true) {
        warn!(error = %WithCauses(&fault), "connection keeps its delay");
    }
    if is_spare {
        limits.head = limits.head.min(GRACE);
    }
    let pace = Pace::begin(limits);
    let mut doing = pace.doing.subscribe();
    let (reading, writing) = (pace.clone(), pace.clone());
    let stream = InspectWriter::new(stream, move |_: &[u8]| writing.bytes_went());
    let stream = InspectReader::new(stream, move |bytes: &[u8]| {
        if !bytes.is_empty() {
            reading.bytes_came();
        }
    });
    let ending = stop.child_token();
    let (requests, last) = (pace.clone(), ending.clone());
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut under_way = requests.begin_request();
        let is_http_1 = request.version() < Version::HTTP_2;
        let mut request = request.map(Body::new);
        if is_spare {
            request.extensions_mut().insert(Crowded);
            last.cancel();
        }
        let answering = timeout(limits.request, service.clone().oneshot(request));
        async move {
            // Beyond its time there is no answer: the connection ends, or of HTTP/2 this call alone.
            let Ok(mut response) = answering.await?;
            if is_spare && is_http_1 {
                // Said here, since the answer may be ready before the connection knows that it ends.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            under_way.answer();
            Ok::<_, Elapsed>(response.map(|body| Leaving { body, _under_way: under_way }))
        }
    });
    // Without upgrades, which nothing asks for: an upgraded connection would leave its place and its limits here.
    let connection = server.serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    // What ends a connection early is its client's doing, and of no interest here.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = late(&mut doing) => {}
        () = ending.cancelled() => {}
    }
    pace.end();
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = late(&mut doing) => {}
    }
}

/// Ends when a connection has taken more time than it may for what it does.
async fn late(doing: &mut watch::Receiver<Doing>) {
    loop {
        let until = doing.borrow_and_update().until;
        tokio::select! {
            () = sleep_until(until) => {
                if doing.borrow().until <= until {
                    return;
                }
            }
            Ok(()) = doing.changed() => {}
        }
    }
}

/// What a connection is doing, and until when it may.
#[derive(Clone)]
struct Pace {
    limits: Limits,
    doing: watch::Sender<Doing>,
}

struct Doing {
    /// Requests that have no answer yet.
    asked: usize,
    /// Answers that have not been handed over.
    answers: usize,
    head_begun: bool,
    is_ending: bool,
    until: Instant,
    /// When all of the latest answer must have been taken, however steadily that goes.
    last: Instant,
}

impl Doing {
    fn is_quiet(&self) -> bool {
        self.asked == 0 && self.answers == 0
    }

    /// The time for what may follow, or for taking more of what was written.
    fn wait(&mut self, limits: &Limits) {
        let rest = if self.is_ending && self.is_quiet() { GRACE } else { limits.idle };
        self.until = (Instant::now() + rest).min(self.last);
    }
}

impl Pace {
    fn begin(limits: Limits) -> Self {
        let until = Instant::now() + limits.head;
        let doing = Doing { asked: 0, answers: 0, head_begun: false, is_ending: false, until, last: until };
        Self { limits, doing: watch::Sender::new(doing) }
    }

    fn change(&self, change: impl FnOnce(&mut Doing, &Limits)) {
        self.doing.send_if_modified(|doing| {
            let before = doing.until;
            change(doing, &self.limits);
            // Whoever waits for the earlier time looks again then.
            doing.until < before
        });
    }

    fn bytes_came(&self) {
        self.change(|doing, limits| {
            if doing.is_quiet() && !doing.head_begun && !doing.is_ending {
                doing.head_begun = true;
                doing.until = Instant::now() + limits.head;
            }
        });
    }

    fn bytes_went(&self) {
        self.change(|doing, limits| {
            if doing.asked == 0 {
                doing.wait(limits);
            }
        });
    }

    fn begin_request(&self) -> UnderWay {
        self.change(|doing, limits| {
            doing.asked += 1;
            // Each request has its own time, and none of them ends later than this.
            doing.until = Instant::now() + limits.request + GRACE;
            doing.last = doing.until + limits.answer;
        });
        UnderWay { pace: self.clone(), is_answered: false }
    }

    /// No further request is wanted. Those under way keep their time.
    fn end(&self) {
        self.change(|doing, _| {
            doing.is_ending = true;
            if doing.is_quiet() {
                doing.until = Instant::now() + GRACE;
            }
        });
    }
}

/// Counts a request for as long as its answer is not handed over.
struct UnderWay {
    pace: Pace,
    is_answered: bool,
}

impl UnderWay {
    fn answer(&mut self) {
        self.is_answered = true;
        self.pace.change(|doing, limits| {
            doing.asked -= 1;
            doing.answers += 1;
            doing.last = Instant::now() + limits.answer;
            if doing.asked == 0 {
                doing.wait(limits);
            }
        });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.pace.change(|doing, limits| {
            let count = if self.is_answered { &mut doing.answers } else { &mut doing.asked };
            *count -= 1;
            doing.head_begun = false;
            if doing.asked == 0 {
                doing.wait(limits);
            }
        });
    }
}

/// The body of an answer, which is under way until all of it has been taken.
struct Leaving {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
