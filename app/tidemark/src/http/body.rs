//! The bytes of a JSON body, at most so many.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use axum::body::{Body, HttpBody};
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tidemark_api::{Access, Reason, Refusal};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::encoding::Encoding;

/// The largest body that is read [bytes].
const LARGEST: usize = 1 << 20;
/// The largest of somebody who need not be known: name and password, many times over [bytes].
const LARGEST_OF_ANYONE: usize = 32 << 10;

/// The largest that takes no room: the number of connections bounds these well enough, and nobody can keep others
/// out. Not less than what anyone may send [bytes].
const SMALL: usize = LARGEST_OF_ANYONE;
/// What larger ones may take together [KiB].
const ROOM: usize = 64 << 10;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the request came without a body, or with one of no bytes.
pub fn is_absent(body: &Body) -> bool {
    body.size_hint().exact() == Some(0)
}

/// Reads bodies that say they are JSON.
#[derive(Clone)]
pub struct Reader {
    room: Arc<Semaphore>,
    stop: CancellationToken,
    patience_after_stop: Duration,
}

/// The bytes of a body, and the room that what is made of them takes.
#[derive(Debug)]
pub struct Read {
    pub bytes: Vec<u8>,
    pub room: Option<OwnedSemaphorePermit>,
}

impl Reader {
    /// A body that is arriving at the `stop` has `patience_after_stop` to end.
    pub fn new(stop: CancellationToken, patience_after_stop: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM)), stop, patience_after_stop }
    }

    pub async fn read(&self, access: Access, headers: &HeaderMap, body: Body) -> Result<Read, Refusal> {
        if !is_json(headers.get(header::CONTENT_TYPE)) {
            let detail = "send the body as Content-Type: application/json";
            return Err(Refusal::new(Reason::UnsupportedMediaType, detail));
        }
        let most = if access == Access::Anyone { LARGEST_OF_ANYONE } else { LARGEST };
        if body.size_hint().lower() > most as u64 {
            return Err(too_large(most));
        }
        let read = Read { bytes: Vec::new(), room: None };
        let gathered = Gathered { read, most, all_room: Arc::clone(&self.room) };
        let gathering = match Encoding::of(headers)? {
            Encoding::Plain => Gathering::Plain(gathered),
            Encoding::Gzip => Gathering::Gzip(MultiGzDecoder::new(gathered)),
        };
        let stopped = async {
            self.stop.cancelled().await;
            sleep(self.patience_after_stop).await;
        };
        tokio::select! {
            read = timeout(PATIENCE, gather(Limited::new(body, most), gathering)) => read.unwrap_or_else(|_| {
                Err(Refusal::new(Reason::BodyTooSlow, "the body did not arrive in time"))
            }),
            () = stopped => {
                Err(Refusal::unavailable("this process stops, and the body had not arrived; send it again"))
            }
        }
    }
}

async fn gather(mut body: Limited<Body>, mut gathering: Gathering) -> Result<Read, Refusal> {
    let most = gathering.most();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| {
            if fault.is::<LengthLimitError>() {
                return too_large(most);
            }
            Refusal::new(Reason::MalformedBody, "the body ended early")
        })?;
        if let Some(bytes) = frame.data_ref() {
            gathering.write(bytes).map_err(refusal)?;
        }
    }
    gathering.finish().map_err(refusal)
}

/// What is written says why it is not taken; else it could not be unfolded.
fn refusal(fault: io::Error) -> Refusal {
    let invalid = |_| Refusal::new(Reason::MalformedBody, "the body is no valid gzip");
    fault.downcast().unwrap_or_else(invalid)
}

enum Gathering {
    Plain(Gathered),
    Gzip(MultiGzDecoder<Gathered>),
}

impl Gathering {
    fn most(&self) -> usize {
        match self {
            Self::Plain(gathered) => gathered.most,
            Self::Gzip(unfolding) => unfolding.get_ref().most,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(gathered) => gathered.write_all(bytes),
            Self::Gzip(unfolding) => unfolding.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<Read> {
        match self {
            Self::Plain(gathered) => Ok(gathered.read),
            Self::Gzip(unfolding) => Ok(unfolding.finish()?.read),
        }
    }
}

/// The bytes that have come, unfolded. Room is taken as they come, so that nobody takes any by what is announced.
struct Gathered {
    read: Read,
    most: usize,
    all_room: Arc<Semaphore>,
}

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.read.bytes.len() + bytes.len();
        if size > self.most {
            return Err(io::Error::other(too_large(self.most)));
        }
        if size > SMALL {
            self.take_room(size.div_ceil(1024)).map_err(io::Error::other)?;
        }
        self.read.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Gathered {
    fn take_room(&mut self, kibibytes: usize) -> Result<(), Refusal> {
        let taken = self.read.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(kibibytes.saturating_sub(taken)).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.all_room).try_acquire_many_owned(more);
        let more = more.map_err(|_| Refusal::unavailable("too many large bodies are being read"))?;
        match &mut self.read.room {
            Some(room) => room.merge(more),
            room => *room = Some(more),
        }
        Ok(())
    }
}

fn too_large(most: usize) -> Refusal {
    Refusal::new(Reason::BodyTooLarge, format!("the body is larger than {most} bytes"))
}

fn is_json(content_type: Option<&http::HeaderValue>) -> bool {
    let media_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;
    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;
    use proptest::prelude::*;
    use tokio::{sync::mpsc, time::Instant};

    use super::*;
    use crate::strange::any_or_damaged;

    fn headers(encoding: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
            .extend(encoding.map(|encoding| (header::CONTENT_ENCODING, HeaderValue::from_static(encoding))));
        headers
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn reader() -> Reader {
        Reader::new(CancellationToken::new(), Duration::ZERO)
    }

    async fn read(access: Access, encoding: Option<&'static str>, body: Vec<u8>) -> Result<Vec<u8>, Reason> {
        let read = reader().read(access, &headers(encoding), body.into()).await;
        read.map(|read| read.bytes).map_err(|refusal| refusal.reason())
    }

    /// A body of what is sent, and the end.
    fn sent() -> (mpsc::UnboundedSender<Bytes>, Body) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let frames =
            futures_util::stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<Bytes>| async {
                let bytes = receiver.recv().await?;
                Some((Ok::<_, io::Error>(bytes), receiver))
            });
        (sender, Body::from_stream(frames))
    }

    #[tokio::test]
    async fn a_body_may_come_compressed() {
        let plain = b"{\"name\": \"x\"}";
        assert_eq!(read(Access::SignedIn, Some("gzip"), gzip(plain)).await.unwrap(), plain[..]);
        assert_eq!(read(Access::SignedIn, Some("identity"), plain.to_vec()).await.unwrap(), plain[..]);
        assert_eq!(read(Access::SignedIn, Some("gzip"), plain.to_vec()).await, Err(Reason::MalformedBody));
        let cut = gzip(plain)[..20].to_vec();
        assert_eq!(read(Access::SignedIn, Some("gzip"), cut).await, Err(Reason::MalformedBody));
        let other = read(Access::SignedIn, Some("br"), plain.to_vec()).await;
        assert_eq!(other, Err(Reason::UnsupportedEncoding));
    }

    #[tokio::test]
    async fn a_body_is_measured_as_it_is_read() {
        for (access, most) in [(Access::SignedIn, LARGEST), (Access::Anyone, LARGEST_OF_ANYONE)] {
            let (fits, exceeds) = (vec![b' '; most], vec![b' '; most + 1]);
            assert_eq!(read(access, None, fits.clone()).await.unwrap().len(), most);
            assert_eq!(read(access, Some("gzip"), gzip(&fits)).await.unwrap().len(), most);
            assert_eq!(read(access, None, exceeds.clone()).await, Err(Reason::BodyTooLarge));
            assert_eq!(read(access, Some("gzip"), gzip(&exceeds)).await, Err(Reason::BodyTooLarge));
            // A small one that would unfold to a thousand times as much.
            let bomb = gzip(&vec![b' '; 64 << 20]);
            assert_eq!(read(access, Some("gzip"), bomb).await, Err(Reason::BodyTooLarge));
        }
    }

    #[tokio::test]
    async fn large_bodies_that_are_kept_leave_no_room_for_more_and_small_ones_need_none() {
        let reader = reader();
        let large = || vec![b' '; LARGEST];
        let small = || vec![b' '; SMALL];
        let mut kept = Vec::new();
        for _ in 0..ROOM / (LARGEST >> 10) {
            kept.push(reader.read(Access::SignedIn, &headers(None), large().into()).await.unwrap());
        }
        for (encoding, body) in [(None, large()), (Some("gzip"), gzip(&large()))] {
            let refused = reader.read(Access::SignedIn, &headers(encoding), body.into()).await;
            assert_eq!(refused.unwrap_err().reason(), Reason::Unavailable);
        }
        for access in [Access::Anyone, Access::SignedIn] {
            for (encoding, body) in [(None, small()), (Some("gzip"), gzip(&small()))] {
                assert!(reader.read(access, &headers(encoding), body.into()).await.is_ok());
            }
        }
        kept.pop();
        assert!(reader.read(Access::SignedIn, &headers(None), large().into()).await.is_ok());
        assert_eq!(reader.room.available_permits(), LARGEST >> 10);
    }

    #[tokio::test]
    async fn what_is_announced_and_does_not_come_takes_no_room() {
        let reader = reader();
        let headers = headers(None);
        let (sender, body) = sent();
        sender.send(vec![b' '; SMALL].into()).unwrap();
        let mut reading = std::pin::pin!(reader.read(Access::SignedIn, &headers, body));
        assert!(timeout(Duration::ZERO, &mut reading).await.is_err());
        assert_eq!(reader.room.available_permits(), ROOM);
        sender.send(" ".into()).unwrap();
        assert!(timeout(Duration::ZERO, &mut reading).await.is_err());
        assert_eq!(reader.room.available_permits(), ROOM - (SMALL >> 10) - 1);
        drop(sender);
        let read = reading.await.unwrap();
        assert_eq!(read.bytes.len(), SMALL + 1);
        drop(read);
        assert_eq!(reader.room.available_permits(), ROOM);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_late() {
        let (began, (_sender, body)) = (Instant::now(), sent());
        let refused = reader().read(Access::SignedIn, &headers(None), body).await;
        assert_eq!(refused.unwrap_err().reason(), Reason::BodyTooSlow);
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_leaves_a_body_its_share_of_time_and_blames_nobody() {
        let stop = CancellationToken::new();
        let reader = Reader::new(stop.clone(), Duration::from_secs(4));
        stop.cancel();
        let (began, (_sender, body)) = (Instant::now(), sent());
        let refused = reader.read(Access::SignedIn, &headers(None), body).await;
        assert_eq!(refused.unwrap_err().reason(), Reason::Unavailable);
        assert_eq!(began.elapsed().as_secs(), 4);

        let (sender, body) = sent();
        let sending = tokio::spawn(async move {
            sleep(Duration::from_secs(3)).await;
            sender.send("{}".into()).unwrap();
        });
        let read = reader.read(Access::SignedIn, &headers(None), body).await.unwrap();
        assert_eq!(read.bytes, b"{}");
        sending.await.unwrap();
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(
            body in any_or_damaged(vec![b"{}".to_vec(), gzip(b"{}"), gzip(&[b' '; 40 << 10]), [gzip(b"{}"), gzip(b" ")].concat()]),
            encoding in prop::sample::select(&[None, Some("gzip"), Some("x-gzip, identity"), Some("br")][..]),
            media_type in "application/json|application/[a-z+.]{0,12}json[;a-z= ]{0,9}|[ -~]{0,20}",
        ) {
            let mut headers = headers(encoding);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&media_type).unwrap());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            match runtime.block_on(reader().read(Access::Anyone, &headers, body.into())) {
                Ok(read) => prop_assert!(read.bytes.len() <= LARGEST_OF_ANYONE),
                Err(refusal) => prop_assert!([400, 413, 415].contains(&refusal.reason().status())),
            }
        }
    }
}
