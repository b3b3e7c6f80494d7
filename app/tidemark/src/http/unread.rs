//! What a handler did not read of a body, because it refused the request before.
//!
//! Whoever answers while the client is still sending, and then closes the connection, may break it before the
//! client has seen the answer. So the rest is read, within bounds, and thrown away.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::oneshot, time::timeout};

/// The most that is read of the rest [bytes].
const MOST: usize = 16 << 20;
/// The longest that reading the rest may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The rest of a body, once the handler is done with it.
pub struct Unread(Option<oneshot::Receiver<Body>>);

/// Hands the rest of the inner body over when it is dropped.
struct Watched {
    body: Option<Body>,
    rest: Option<oneshot::Sender<Body>>,
}

/// Keeps what the handler of `request` will not read.
pub fn watch(request: Request) -> (Request, Unread) {
    if request.body().is_end_stream() {
        return (request, Unread(None));
    }
    let (rest, unread) = oneshot::channel();
    let request = request.map(|body| Body::new(Watched { body: Some(body), rest: Some(rest) }));
    (request, Unread(Some(unread)))
}

impl Unread {
    /// Reads the rest. Call when the handler has answered.
    pub async fn discard(self) {
        let Some(Ok(mut rest)) = self.0.map(|mut rest| rest.try_recv()) else { return };
        let read = async {
            let mut length = 0;
            while let Some(Ok(frame)) = rest.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
                if length > MOST {
                    break;
                }
            }
        };
        // A client that is too slow for this loses its connection, perhaps before the answer.
        let _ = timeout(PATIENCE, read).await;
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            // Nothing is left to be read.
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let (Some(body), Some(rest)) = (self.body.take(), self.rest.take()) {
            // The connection may be gone, and with it whoever waited.
            let _ = rest.send(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: impl Into<Body>) -> Request {
        Request::new(body.into())
    }

    #[tokio::test]
    async fn what_is_read_is_what_was_sent() {
        let (request, unread) = watch(request("all of it"));
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "all of it");
        unread.discard().await;
    }

    #[tokio::test]
    async fn what_is_not_read_is_read_to_its_end() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let sending = tokio::spawn(async move {
            for _ in 0..10 {
                sender.send(Ok(Bytes::from_static(b"more"))).await.unwrap();
            }
        });
        let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
            let frame = receiver.recv().await?;
            Some((frame, receiver))
        });
        let (request, unread) = watch(request(Body::from_stream(frames)));
        drop(request);
        unread.discard().await;
        sending.await.unwrap();
    }
}
