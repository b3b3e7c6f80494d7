//! Compression: of answers that are worth it, and of bodies that come compressed.

use http::{HeaderMap, header};
use tidemark_api::{Reason, Refusal};
use tower_http::compression::{
    CompressionLayer, CompressionLevel, Predicate,
    predicate::{NotForContentType, SizeAbove},
};

/// The smallest answer that is compressed [bytes], as at the edge.
const WORTH_IT: u16 = 1024;

/// Compresses answers for whoever takes that. The edge does not ask for it, since it compresses by itself.
pub fn of_answers() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(WORTH_IT).and(NotForContentType::IMAGES).and(NotForContentType::SSE);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

/// How a body was encoded.
#[derive(Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Gzip,
}

impl Encoding {
    /// How the body says that it is encoded.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut codings = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        match (codings.next(), codings.next()) {
            (None, _) => Ok(Self::Plain),
            (Some(coding), None)
                if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") =>
            {
                Ok(Self::Gzip)
            }
            _ => Err(Refusal::new(Reason::UnsupportedEncoding, "compress the body with gzip, or not at all")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::{Router, body::Body, response::Response, routing::get};
    use flate2::read::GzDecoder;
    use http::{HeaderValue, Request};
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use tower::ServiceExt;

    use super::*;

    async fn answer(path: &str, accepted: &str) -> Response {
        let router = Router::new()
            .route("/short", get(async || "short"))
            .route("/long", get(async || "long".repeat(1000)))
            .layer(of_answers());
        let request = Request::get(path).header(header::ACCEPT_ENCODING, accepted);
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_large_answer_is_compressed_for_who_takes_that() {
        let response = answer("/long", "gzip, br").await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[header::VARY], "accept-encoding");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.len() < 200, "{}", body.len());
        let mut plain = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, "long".repeat(1000));
    }

    #[tokio::test]
    async fn who_does_not_take_gzip_and_who_gets_little_gets_plain_bytes() {
        for (path, accepted) in [("/long", ""), ("/long", "gzip;q=0"), ("/long", "br"), ("/short", "gzip")] {
            let response = answer(path, accepted).await;
            assert!(!response.headers().contains_key(header::CONTENT_ENCODING), "{path} {accepted}");
        }
    }

    #[test]
    fn a_body_is_plain_or_gzip() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(line));
            }
            Encoding::of(&headers)
        };
        for plain in [&[][..], &[""], &["identity"], &["Identity, identity"]] {
            assert_eq!(of(plain), Ok(Encoding::Plain));
        }
        for gzip in [&["gzip"][..], &["X-GZIP"], &["identity", "gzip"]] {
            assert_eq!(of(gzip), Ok(Encoding::Gzip));
        }
        for other in [&["br"][..], &["deflate"], &["gzip, gzip"], &["gzip", "gzip"], &["nonsense"]] {
            assert_eq!(of(other).unwrap_err().reason(), Reason::UnsupportedEncoding);
        }
    }

    proptest! {
        #[test]
        fn any_content_encoding_is_read_or_refused(lines in prop::collection::vec("[ -~]{0,12}|[gzip, X-]{0,9}", 0..3)) {
            let lines = lines.iter().map(|line| (header::CONTENT_ENCODING, HeaderValue::from_str(line).unwrap()));
            if let Err(refusal) = Encoding::of(&lines.collect()) {
                prop_assert_eq!(refusal.reason(), Reason::UnsupportedEncoding);
            }
        }
    }
}
