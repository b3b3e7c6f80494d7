//! Connections: how many there may be at a time, and how long each may take for what it does.
//!
//! Whoever sends half of something, or nothing, or does not read its answer, loses its connection within a bounded
//! time. A stop closes at once what waits and what is half sent; what is under way keeps its time.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    response::Response,
    serve::Listener,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{io::InspectReader, sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};
use tracing::warn;

use crate::telemetry::WithCauses;

/// What connections of one port may have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time. Whoever comes then is accepted when one of them ends.
    pub connections: usize,
    /// From the first byte of a request to the end of its head, and from a connection's beginning to that byte.
    pub head: Duration,
    /// From the end of a request's head to the end of its body.
    pub body: Duration,
    /// From the end of a request's head until the last of its answer has been handed to the connection.
    pub request: Duration,
    /// Without a request, and for the client to read what has been handed to the connection.
    pub idle: Duration,
}

/// Time for a last word: to read the answer that has been written, or to send the rest of a body.
const GRACE: Duration = Duration::from_secs(1);

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
    let connections = TaskTracker::new();
    let accepting = async {
        // Nobody closes this semaphore.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let (stream, _) = Listener::accept(&mut listener).await;
            let (server, service, stop) = (Arc::clone(&server), service.clone(), stop.clone());
            connections.spawn(async move {
                connect(stream, &server, limits, service, stop).await;
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
    server: &auto::Builder<TokioExecutor>,
    limits: Limits,
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
    let pace = Pace::begin(limits);
    let mut doing = pace.doing.subscribe();
    let reading = pace.clone();
    let stream = InspectReader::new(stream, move |bytes: &[u8]| {
        if !bytes.is_empty() {
            reading.bytes_came();
        }
    });
    let (requests, stopping) = (pace.clone(), stop.clone());
    let answer = service_fn(move |request: Request<Incoming>| {
        let under_way = requests.begin_request();
        let body_late = body_late(limits.body, stopping.clone());
        let answering = service.clone().oneshot(request.map(|body| arriving(body, body_late)));
        async move {
            let response = answering.await?;
            Ok::<_, Infallible>(response.map(|body| Leaving { body, _under_way: under_way }))
        }
    });
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    // What ends a connection early is its client's doing, and of no interest here.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = late(&mut doing) => {}
        () = stop.cancelled() => {}
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
            () = sleep_until(until) => return,
            Ok(()) = doing.changed() => {}
        }
    }
}

async fn body_late(limit: Duration, stop: CancellationToken) {
    if stop.run_until_cancelled(sleep(limit)).await.is_none() {
        sleep(GRACE).await;
    }
}

/// What a connection is doing, and until when it may.
#[derive(Clone)]
struct Pace {
    limits: Limits,
    doing: watch::Sender<Doing>,
}

struct Doing {
    requests: usize,
    head_begun: bool,
    is_ending: bool,
    until: Instant,
}

impl Pace {
    fn begin(limits: Limits) -> Self {
        let until = Instant::now() + limits.head;
        let doing = Doing { requests: 0, head_begun: false, is_ending: false, until };
        Self { limits, doing: watch::Sender::new(doing) }
    }

    /// Changes what is being done, and gives the time that comes of it, if another one does.
    fn change(&self, change: impl FnOnce(&mut Doing, &Limits) -> Option<Duration>) {
        self.doing.send_if_modified(|doing| {
            let time = change(doing, &self.limits);
            doing.until = time.map_or(doing.until, |time| Instant::now() + time);
            time.is_some()
        });
    }

    fn bytes_came(&self) {
        self.change(|doing, limits| {
            let begins = doing.requests == 0 && !doing.head_begun && !doing.is_ending;
            doing.head_begun |= begins;
            begins.then_some(limits.head)
        });
    }

    fn begin_request(&self) -> UnderWay {
        self.change(|doing, limits| {
            doing.requests += 1;
            Some(limits.request)
        });
        UnderWay(self.clone())
    }

    /// No further request is wanted. Those under way keep their time.
    fn end(&self) {
        self.change(|doing, _| {
            doing.is_ending = true;
            (doing.requests == 0).then_some(GRACE)
        });
    }
}

/// Counts a request for as long as its answer is not written.
struct UnderWay(Pace);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.change(|doing, limits| {
            doing.requests -= 1;
            doing.head_begun = false;
            let rest = if doing.is_ending { GRACE } else { limits.idle };
            (doing.requests == 0).then_some(rest)
        });
    }
}

/// The body of a request did not arrive in time.
#[derive(Debug, Clone, Copy)]
pub struct BodyLate;

impl fmt::Display for BodyLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not arrive in time")
    }
}

impl std::error::Error for BodyLate {}

fn arriving(body: Incoming, late: impl Future<Output = ()> + Send + 'static) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(Arriving { body: Some(body), late: Box::pin(late) })
}

/// A body that must have come before it is late.
struct Arriving {
    body: Option<Incoming>,
    late: BoxFuture<'static, ()>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        ready!(self.late.as_mut().poll(context));
        self.body = None;
        Poll::Ready(Some(Err(axum::Error::new(BodyLate))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
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
