//! What a request is aimed at: its host, and its path in one spelling.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Uri, Version, header, uri::Authority};
use tidemark_api::{Reason, Refusal};

use super::problem::Problem;

/// The request with a path in which nothing is escaped that need not be (RFC 3986, 6.2.2.2): every spelling of a path
/// leads to the same route. What the query has escaped, its reader unescapes.
pub fn in_one_spelling(mut request: Request) -> Request {
    if let Some(uri) = unescaped(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn unescaped(uri: &Uri) -> Option<Uri> {
    let (path, query) = (uri.path(), uri.query());
    let mut pieces = path.split('%');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        // What is no escape stands for nothing, and what follows it must not make it one: the path stays as it is.
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        match u8::from_str_radix(digits, 16).map(char::from) {
            Ok(plain) if plain.is_ascii_alphanumeric() || "-._~".contains(plain) => {
                text.push(plain);
                text.extend(piece.get(2..));
            }
            _ => text.extend(["%", piece]),
        }
    }
    if text == path {
        return None;
    }
    if let Some(query) = query {
        text.extend(["?", query]);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = text.try_into().ok();
    Uri::from_parts(parts).ok()
}

/// The middleware that refuses requests which leave open whom they are for (RFC 9112, 3.2).
pub async fn check_host(request: Request, next: Next) -> Response {
    match host_fault(request.version(), request.headers()) {
        None => next.run(request).await,
        Some(detail) => Problem(Refusal::new(Reason::MalformedRequest, detail)).into_response(),
    }
}

fn host_fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut lines = headers.get_all(header::HOST).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Some("Host is given twice"),
        (None, None) if version == Version::HTTP_11 => Some("Host is required"),
        (Some(host), None) if !is_host(host.as_bytes()) => Some("Host names no host"),
        _ => None,
    }
}

/// Empty is what a client sends that asks for something without a host.
fn is_host(text: &[u8]) -> bool {
    text.is_empty() || (!text.contains(&b'@') && Authority::try_from(text).is_ok())
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use http::StatusCode;
    use proptest::prelude::*;
    use tower::ServiceExt;

    use super::*;

    fn path(text: &'static str) -> String {
        let request = Request::get(text).body(Body::empty()).unwrap();
        in_one_spelling(request).uri().to_string()
    }

    #[test]
    fn letters_digits_and_marks_of_a_path_are_unescaped_and_nothing_else_is() {
        assert_eq!(path("/api/%67roup%73?a=%67"), "/api/groups?a=%67");
        assert_eq!(path("/%7Euser/%2d%2E%5f%30"), "/~user/-._0");
        for same in [
            "/a%2fb",
            "/a%20b",
            "/%c3%a4",
            "/%25%36%37",
            "/%",
            "/%6",
            "/%zz",
            "/a%+1b",
            "/%%330",
            "/%61%",
            "/",
        ] {
            let kept = match same {
                "/%25%36%37" => "/%2567",
                same => same,
            };
            assert_eq!(path(same), kept);
        }
        assert_eq!(path("http://x:1/%61"), "http://x:1/a");
    }

    async fn status(version: Version, hosts: &[&str]) -> StatusCode {
        let mut request = Request::builder().version(version).uri("/");
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let request = request.body(Body::empty()).unwrap();
        let router = Router::new().route("/", get(async || "")).layer(from_fn(check_host));
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_request_names_one_host() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for host in ["localhost:3001", "127.0.0.1", "[::1]:80", "a_b", ""] {
            assert_eq!(status(new, &[host]).await, StatusCode::OK, "{host}");
        }
        for hosts in [&[][..], &["a", "a"], &["a b"], &["a/b"], &["me@a"], &["a,b c"]] {
            assert_eq!(status(new, hosts).await, StatusCode::BAD_REQUEST, "{hosts:?}");
        }
        assert_eq!(status(old, &[]).await, StatusCode::OK);
        assert_eq!(status(old, &["a", "a"]).await, StatusCode::BAD_REQUEST);
    }

    proptest! {
        #[test]
        fn any_target_is_read_or_refused(
            target in "/[!-~]{0,30}|/(%[0-9a-fA-F]{2}|%|[a-z0-9/]){0,12}(\\?[!-~]{0,9})?",
            host in prop_oneof![prop::collection::vec(any::<u8>(), 0..20), "[a-z0-9.:@/%\\[\\] ]{0,20}".prop_map(String::into_bytes)],
        ) {
            if let Ok(request) = Request::get(&target).body(Body::empty()) {
                let query = request.uri().query().map(str::to_owned);
                let once = in_one_spelling(request);
                prop_assert_eq!(once.uri().query(), query.as_deref());
                // What is unescaped once is as it will be: no path hides another one.
                let uri = once.uri().clone();
                prop_assert_eq!(in_one_spelling(once).uri().clone(), uri);
            }
            if is_host(&host) {
                prop_assert!(!host.iter().any(|byte| b" /?#@".contains(byte) || byte.is_ascii_control()));
            }
        }
    }
}
