//! Calls of a sidecar that breaks connections, hangs, or answers late.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, response::Response, routing::post};
use bytes::Bytes;
use clap::{Args, Command, FromArgMatches};
use futures_util::{future::join_all, poll};
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use tidemark_pages::{Precondition, StateStore};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

use super::{Sidecar, StateComponent};
use crate::configuration::SidecarConfiguration;

/// The item `{value: "v", etag: "1"}` as an answer of the sidecar.
const ITEM: &[u8] = b"\0\0\0\0\x06\x0a\x01v\x12\x011";

fn store(address: std::net::SocketAddr, deadline: Duration) -> StateComponent {
    let arguments = ["tidemark".to_owned(), format!("--dapr-grpc-endpoint=http://{address}")];
    let matches = SidecarConfiguration::augment_args(Command::new("tidemark")).get_matches_from(arguments);
    let configuration = SidecarConfiguration::from_arg_matches(&matches).unwrap();
    StateComponent::new(Sidecar::new(&configuration).unwrap(), "store".to_owned(), deadline)
}

/// A sidecar that answers reads of one item once there is a permit for each.
async fn serve(listener: TcpListener, asked: Arc<AtomicUsize>, permits: Arc<Semaphore>) {
    let answer = move || async move {
        asked.fetch_add(1, Ordering::SeqCst);
        permits.acquire().await.unwrap().forget();
        let trailers = async { Some(Ok(HeaderMap::from_iter([("grpc-status".parse().unwrap(), 0.into())]))) };
        let body = Full::new(Bytes::from_static(ITEM)).with_trailers(trailers);
        Response::builder().header("content-type", "application/grpc").body(Body::new(body)).unwrap()
    };
    let router = Router::new().route("/dapr.proto.runtime.v1.Dapr/GetState", post(answer));
    let server = Server::builder().add_routes(Routes::from(router));
    server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
}

async fn listen() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_read_under_which_the_connection_breaks_is_made_again() {
    let (behind, sidecar) = listen().await;
    tokio::spawn(serve(behind, Arc::default(), Arc::new(Semaphore::new(9))));
    let (front, address) = listen().await;
    tokio::spawn(async move {
        for number in 0.. {
            let (mut connection, _) = front.accept().await.unwrap();
            if number == 0 {
                // The call has come, or is about to.
                connection.read_u8().await.unwrap();
                continue;
            }
            let mut onward = TcpStream::connect(sidecar).await.unwrap();
            copy_bidirectional(&mut connection, &mut onward).await.unwrap();
        }
    });
    let found = store(address, Duration::from_secs(30)).get("key").await.unwrap().unwrap();
    assert_eq!((&*found.value, &*found.etag), (&b"v"[..], "1"));
}

#[tokio::test]
async fn a_save_waits_no_longer_than_its_deadline_whatever_waits_before_it() {
    let (hung, address) = listen().await;
    let deadline = Duration::from_secs(1);
    let store = store(address, deadline);
    let save = |number: usize| {
        let store = store.clone();
        async move { store.save(&number.to_string(), Bytes::new(), Precondition::Absent, None).await }
    };
    let began = Instant::now();
    let saved = join_all((0..400).map(save)).await;
    assert!(saved.iter().all(Result::is_err));
    // Thirteen calls one after the other, two at a time.
    assert!(began.elapsed() < deadline * 4, "{:?}", began.elapsed());
    drop(hung);
}

#[tokio::test]
async fn callers_who_go_away_do_not_cost_the_others_their_connection() {
    const READS: usize = 300;
    /// Three frames, each with nine bytes before its content.
    const ANSWER_BYTES: usize = 3 * 9 + ITEM.len();
    let (behind, sidecar) = listen().await;
    let (asked, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let behind = behind.into_std().unwrap();
    server.spawn({
        let (asked, answers) = (asked.clone(), answers.clone());
        async move { serve(TcpListener::from_std(behind).unwrap(), asked, answers).await }
    });
    let (front, address) = listen().await;
    let (connected, mut connections) = mpsc::unbounded_channel();
    let front = front.into_std().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let passed = answered.clone();
    server.spawn(async move {
        let front = TcpListener::from_std(front).unwrap();
        loop {
            let (mut connection, _) = front.accept().await.unwrap();
            connected.send(()).unwrap();
            let mut onward = TcpStream::connect(sidecar).await.unwrap();
            let passed = passed.clone();
            tokio::spawn(async move {
                let (mut from, mut to) = connection.split();
                let (mut back, mut out) = onward.split();
                let answers = async {
                    let mut bytes = [0; 4096];
                    while let Ok(read @ 1..) = back.read(&mut bytes).await {
                        to.write_all(&bytes[..read]).await.unwrap();
                        passed.fetch_add(read, Ordering::SeqCst);
                    }
                };
                tokio::join!(copy(&mut from, &mut out), answers)
            });
        }
    });
    let store = store(address, Duration::from_secs(30));
    for round in 1..=8 {
        let mut reads = Box::pin(join_all((0..READS).map(|_| store.get("key"))));
        while asked.load(Ordering::SeqCst) < round * READS {
            assert!(poll!(&mut reads).is_pending());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The answers are on their way, and nobody looks at them, when the callers go away.
        let before = answered.load(Ordering::SeqCst);
        answers.add_permits(READS);
        while answered.load(Ordering::SeqCst) < before + READS * ANSWER_BYTES {
            thread::yield_now();
        }
        drop(reads);
        answers.add_permits(1);
        assert!(store.get("key").await.is_ok());
        asked.fetch_sub(1, Ordering::SeqCst);
    }
    server.shutdown_background();
    let mut made = 0;
    while connections.recv().await.is_some() {
        made += 1;
    }
    assert_eq!(made, 1, "the connection was made anew");
}
