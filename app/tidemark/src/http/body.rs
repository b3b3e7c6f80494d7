//! The bytes of a JSON body, at most so many.

use std::{error::Error, sync::Arc};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tidemark_api::{Access, Reason, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    connections::BodyLate,
    encoding::{self, Encoding},
};

/// The largest body that is read [bytes].
const LARGEST: usize = 1 << 20;
/// The largest of somebody who need not be known: name and password, many times over [bytes].
const LARGEST_OF_ANYONE: usize = 32 << 10;

/// What the bodies of those who are known may take together [KiB].
const ROOM: usize = 64 << 10;

/// Whether the request came without a body, or with one of no bytes.
pub fn is_absent(body: &Body) -> bool {
    body.size_hint().exact() == Some(0)
}

/// Reads bodies that say they are JSON.
#[derive(Clone)]
pub struct Reader {
    room: Arc<Semaphore>,
}

/// The bytes of a body, which take room as long as they are kept.
pub struct Read {
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Reader {
    pub fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM)) }
    }

    pub async fn read(&self, access: Access, headers: &HeaderMap, body: Body) -> Result<Read, Refusal> {
        if !is_json(headers.get(header::CONTENT_TYPE)) {
            let detail = "send the body as Content-Type: application/json";
            return Err(Refusal::new(Reason::UnsupportedMediaType, detail));
        }
        let encoding = Encoding::of(headers)?;
        let most = if access == Access::Anyone { LARGEST_OF_ANYONE } else { LARGEST };
        let announced = body.size_hint().exact().filter(|_| encoding == Encoding::Plain);
        let size = announced.map_or(most, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size > most {
            return Err(too_large(most));
        }
        let room = match access {
            // The number of connections bounds these well enough, and nobody can keep others out.
            Access::Anyone => None,
            Access::SignedIn => Some(self.room_for(size)?),
        };
        let arrived = match Limited::new(body, most).collect().await {
            Ok(body) => body.to_bytes(),
            Err(fault) if fault.is::<LengthLimitError>() => return Err(too_large(most)),
            Err(fault) if is_late(&*fault) => {
                return Err(Refusal::new(Reason::BodyTooSlow, "the body did not arrive in time"));
            }
            Err(_) => return Err(Refusal::new(Reason::MalformedBody, "the body ended early")),
        };
        let bytes = match encoding {
            Encoding::Plain => arrived,
            Encoding::Gzip => encoding::unfold(&arrived, most + 1)
                .map_err(|_| Refusal::new(Reason::MalformedBody, "the body is no valid gzip"))?
                .into(),
        };
        if bytes.len() > most { Err(too_large(most)) } else { Ok(Read { bytes, _room: room }) }
    }

    fn room_for(&self, size: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let kibibytes = u32::try_from(size.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(kibibytes);
        room.map_err(|_| Refusal::unavailable("too many large bodies are being read"))
    }
}

fn too_large(most: usize) -> Refusal {
    Refusal::new(Reason::BodyTooLarge, format!("the body is larger than {most} bytes"))
}

fn is_late(mut fault: &(dyn Error + 'static)) -> bool {
    while !fault.is::<BodyLate>() {
        let Some(cause) = fault.source() else { return false };
        fault = cause;
    }
    true
}

fn is_json(content_type: Option<&http::HeaderValue>) -> bool {
    let media_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

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

    async fn read(access: Access, encoding: Option<&'static str>, body: Vec<u8>) -> Result<Bytes, Reason> {
        let read = Reader::new().read(access, &headers(encoding), body.into()).await;
        read.map(|read| read.bytes).map_err(|refusal| refusal.reason())
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
    async fn large_bodies_that_are_kept_leave_no_room_for_more_and_none_is_taken_from_those_who_sign_in() {
        let reader = Reader::new();
        let whole = || vec![b' '; LARGEST];
        let mut kept = Vec::new();
        for _ in 0..ROOM / (LARGEST >> 10) {
            kept.push(reader.read(Access::SignedIn, &headers(None), whole().into()).await.unwrap());
        }
        let refused = reader.read(Access::SignedIn, &headers(None), whole().into()).await;
        assert_eq!(refused.map(|_| ()).unwrap_err().reason(), Reason::Unavailable);
        assert!(reader.read(Access::Anyone, &headers(None), "{}".into()).await.is_ok());
        kept.pop();
        assert!(reader.read(Access::SignedIn, &headers(None), whole().into()).await.is_ok());
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(
            body in any_or_damaged(vec![b"{}".to_vec(), gzip(b"{}"), gzip(&[b' '; 40 << 10])]),
            encoding in prop::sample::select(&[None, Some("gzip"), Some("x-gzip, identity"), Some("br")][..]),
            media_type in "application/json|application/[a-z+.]{0,12}json[;a-z= ]{0,9}|[ -~]{0,20}",
        ) {
            let mut headers = headers(encoding);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&media_type).unwrap());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            match runtime.block_on(Reader::new().read(Access::Anyone, &headers, body.into())) {
                Ok(read) => prop_assert!(read.bytes.len() <= LARGEST_OF_ANYONE),
                Err(refusal) => prop_assert!([400, 413, 415].contains(&refusal.reason().status())),
            }
        }
    }
}
