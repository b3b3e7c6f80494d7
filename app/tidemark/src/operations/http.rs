//! The operations over HTTP: one route for every path of every operation.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use axum::{
    Router,
    extract::{FromRequestParts, Path, Request},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use tidemark_api::{
    Declaration, Method, Refusal, Success,
    declaration::{Schema, path_parameters},
};

use super::{
    answer::Answer,
    call::{Conditions, Origin},
    conditional::{self, Seen},
    idempotency,
    input::Members,
    offered::Offered,
    registry::Registry,
};
use crate::http::{Problem, accept, body};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Tells on an answer that it is the first one again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How much of a client's name is kept [bytes].
const LONGEST_USER_AGENT: usize = 256;

/// The routes of all operations that this process offers.
pub fn router(registry: &Arc<Registry>, reader: &body::Reader) -> Router {
    let mut router = Router::new();
    for operation in registry.operations() {
        let declaration = operation.declaration();
        let method = match declaration.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Delete => MethodFilter::DELETE,
        };
        for &path in declaration.paths {
            let (registry, operation) = (Arc::clone(registry), Arc::clone(operation));
            let reader = reader.clone();
            let handler = move |request: Request| async move {
                match serve(&registry, &operation, path, &reader, request).await {
                    Ok(response) => response,
                    Err(refusal) => Problem(refusal).into_response(),
                }
            };
            router = router.route(&route(path), on(method, handler));
        }
    }
    router
}

/// The path as routes and metrics have it: what it names first is called `id` in all of them, since a router
/// knows one name for one place.
fn route(path: &str) -> String {
    match path_parameters(path).next() {
        Some(name) => path.replacen(&format!("{{{name}}}"), "{id}", 1),
        None => path.to_owned(),
    }
}

async fn serve(
    registry: &Registry,
    operation: &Offered,
    path: &'static str,
    reader: &body::Reader,
    request: Request,
) -> Result<Response, Refusal> {
    let declaration = *operation.declaration();
    let schema = &operation.described.input;
    let (mut parts, body) = request.into_parts();
    let admission = registry.admit(operation, bearer_token(&parts.headers)).await?;
    if declaration.success != Success::Gone {
        accept::check(&parts.headers)?;
    }
    let conditions = conditions(&declaration, &parts.headers)?;
    let in_path = path_members(&mut parts, path).await?;
    let in_query: Vec<(String, String)> =
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let mut room = None;
    let mut members = if declaration.has_body() {
        if let Some((name, _)) = in_query.first() {
            let message = format!("{name} is not known here; members are taken from the body");
            return Err(Refusal::invalid_field(format!("?{name}"), message));
        }
        let is_absent = body::is_absent(&body) && !parts.headers.contains_key(header::CONTENT_TYPE);
        if is_absent && !operation.described.wants_body() {
            Members::default()
        } else {
            let body = reader.read(declaration.access, &parts.headers, body).await?;
            room = body.room;
            Members::parse(&body.bytes)?
        }
    } else {
        query_members(schema, in_query)?
    };
    for (name, text) in in_path {
        members.add_text(schema, name, text)?;
    }
    let answer = registry.perform(operation, admission, conditions, members).await.map_err(|refusal| {
        if declaration.has_body() { refusal } else { refusal.with_pointers(as_parameter) }
    })?;
    // As long as this, so that what is being worked on is counted.
    drop(room);
    Ok(respond(&declaration, answer, &lines(&parts.headers, &header::IF_NONE_MATCH)))
}

/// A member as a part of the query is written.
fn as_parameter(pointer: &str) -> String {
    pointer.strip_prefix('/').map_or_else(|| pointer.to_owned(), |name| format!("?{name}"))
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The lines of a header. Where one is no UTF-8 a tag may be other than it was sent: it was none of ours.
fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<Cow<'a, str>> {
    headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect()
}

/// A condition that is there and would decide nothing: whoever relies on it must hear of it.
fn unheeded(declaration: &Declaration, headers: &HeaderMap) -> Option<&'static str> {
    if headers.contains_key(header::IF_MATCH) {
        return Some("If-Match");
    }
    // A read heeds this one.
    let is_change = declaration.method != Method::Get;
    (is_change && headers.contains_key(header::IF_NONE_MATCH)).then_some("If-None-Match")
}

fn conditions(declaration: &Declaration, headers: &HeaderMap) -> Result<Conditions, Refusal> {
    let mut conditions = Conditions::default();
    if declaration.takes_key() {
        let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
        if let Some(key) = lines.next() {
            conditions.key = Some(idempotency::parse(key.to_str().unwrap_or_default())?);
        }
        if lines.next().is_some() {
            return Err(Refusal::invalid_field("Idempotency-Key", "Idempotency-Key is given twice"));
        }
    }
    if declaration.takes_version() {
        let of = |name| lines(headers, name);
        conditions.seen = Seen::parse(&of(&header::IF_MATCH), &of(&header::IF_NONE_MATCH))?;
    } else if let Some(name) = unheeded(declaration, headers) {
        return Err(Refusal::invalid_field(name, format!("{name} is not heeded here")));
    }
    let text = |name: HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    // The edge says who calls; nobody else reaches this port.
    let address = text(HeaderName::from_static("x-real-ip"));
    let mut user_agent = text(header::USER_AGENT);
    // Visible ASCII, so every place is one between characters.
    user_agent.truncate(LONGEST_USER_AGENT);
    conditions.origin = Origin { address, user_agent };
    conditions.fresh = declaration.kept && demands_fresh(headers);
    Ok(conditions)
}

fn demands_fresh(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

/// What the path names. A path that is no text leads nowhere, as one with an unknown id.
async fn path_members(parts: &mut Parts, path: &'static str) -> Result<Vec<(&'static str, String)>, Refusal> {
    let names: Vec<&'static str> = path_parameters(path).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let texts = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await;
    let Ok(Path(texts)) = texts else { return Err(Refusal::not_found("entry", "of this path")) };
    Ok(names.into_iter().zip(texts.into_iter().map(|(_, text)| text)).collect())
}

fn query_members(schema: &Schema, pairs: Vec<(String, String)>) -> Result<Members, Refusal> {
    let mut members = Members::default();
    for (name, text) in pairs {
        members.add_text(schema, &name, text).map_err(|refusal| refusal.with_pointers(as_parameter))?;
    }
    Ok(members)
}

/// The answer, without its body if that is among the `known` ones.
fn respond(declaration: &Declaration, answer: Answer<Bytes>, known: &[Cow<'_, str>]) -> Response {
    let status = StatusCode::from_u16(declaration.success.status()).unwrap_or(StatusCode::OK);
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    };
    let mut is_known = false;
    if declaration.method == Method::Get {
        // The version alone would not do: a body can change while its entity does not.
        let tag = tag(answer.version, &answer.output);
        is_known = conditional::is_known(known, &tag);
        // Weak, since the bytes are others where the answer is compressed, here or at the edge (RFC 9110, 8.8.1).
        set(header::ETAG, format!("W/\"{tag}\""));
        // Also of an answer that has no body this time.
        set(header::VARY, "accept-encoding".to_owned());
    } else if let Some(version) = answer.version {
        set(header::ETAG, format!("\"{version}\""));
    }
    if let (Success::Created { at: Some(at) }, Some(id)) = (declaration.success, &answer.id) {
        set(header::LOCATION, at.replace("{id}", id));
    }
    if answer.replayed {
        set(REPLAYED, "true".to_owned());
    }
    match (answer.good_for, answer.age) {
        (Some(lifetime), _) => set(header::CACHE_CONTROL, format!("public, max-age={}", lifetime.as_secs())),
        (None, age) => {
            set(header::CACHE_CONTROL, "private, no-cache".to_owned());
            if let Some(age) = age {
                set(header::AGE, age.as_secs().to_string());
            }
        }
    }
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    if declaration.success == Success::Gone {
        return (status, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, headers, answer.output).into_response()
}

/// The answer as it may leave. The router tells a length with every one, and that with a 304 would be the length of
/// its 200 (RFC 9110, 8.6), which nobody knows here.
pub fn without_false_length<B>(mut response: http::Response<B>) -> http::Response<B> {
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// What stands between the quotes of a body's tag: the version of its entity, if it shows one, and what tells bodies
/// of one version apart.
fn tag(version: Option<u64>, body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    let rest = hasher.finish();
    match version {
        Some(version) => format!("{version}.{rest:016x}"),
        None => format!("{rest:016x}"),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use tidemark_api::{
        Operation,
        tasks::{CreateTask, ListTasks, ShowTask, UpdateTask},
    };
    use tower::{ServiceBuilder, ServiceExt};

    use super::*;
    use crate::http::encoding;

    /// A read as it leaves the process.
    async fn read(method: http::Method, accepted: &str, known: &str) -> Response {
        let handler = async |headers: HeaderMap| {
            let answer = Answer::from(Bytes::from("long".repeat(1000))).at_version(3);
            respond(&ShowTask::DECLARATION, answer, &lines(&headers, &header::IF_NONE_MATCH))
        };
        let router = Router::new().route("/", get(handler)).layer(encoding::of_answers());
        let service = ServiceBuilder::new().map_response(without_false_length).service(router);
        let request = Request::builder().method(method).uri("/");
        let request = request.header(header::ACCEPT_ENCODING, accepted).header(header::IF_NONE_MATCH, known);
        service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_read_has_one_tag_packed_or_plain_whole_or_known() {
        let plain = read(http::Method::GET, "", "\"x\"").await;
        let tag = plain.headers()[header::ETAG].to_str().unwrap();
        assert!(tag.starts_with("W/\"3."), "{tag}");
        for method in [http::Method::GET, http::Method::HEAD] {
            let whole = read(method.clone(), "gzip", "\"x\"").await;
            assert_eq!(whole.headers()[header::CONTENT_ENCODING], "gzip");
            assert_eq!(whole.status(), StatusCode::OK);
            assert_eq!(whole.headers()[header::ETAG], tag);
            for accepted in ["", "gzip"] {
                let known = read(method.clone(), accepted, tag).await;
                assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
                assert_eq!(known.headers()[header::ETAG], tag);
                assert!(!known.headers().contains_key(header::CONTENT_LENGTH), "{method}");
            }
        }
    }

    #[test]
    fn what_a_path_names_first_is_called_id_in_its_route() {
        assert_eq!(route("/api/groups/{groupId}/tasks"), "/api/groups/{id}/tasks");
        assert_eq!(route("/api/groups"), "/api/groups");
    }

    #[test]
    fn a_tag_changes_with_the_body_and_shows_the_version_before_its_dot() {
        let (one, other) = (tag(Some(3), b"one"), tag(Some(3), b"other"));
        assert!(one != other && one.starts_with("3.") && other.starts_with("3."));
    }

    #[test]
    fn a_fresh_answer_is_demanded_on_any_line_in_any_case() {
        let of = |lines: &[&'static str]| {
            let line = |line: &&'static str| (header::CACHE_CONTROL, HeaderValue::from_static(line));
            demands_fresh(&lines.iter().map(line).collect())
        };
        assert!(of(&["no-cache"]) && of(&["max-age=9, No-Cache"]) && of(&["max-age=9", "no-cache"]));
        assert!(!of(&[]) && !of(&["max-age=9", "no-cache-at-all"]));
    }

    #[test]
    fn a_token_is_what_follows_the_word_bearer_in_any_case() {
        let of = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(text))]);
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(of("bEARER  abc"), Some("abc".to_owned()));
        assert_eq!(of("Basic abc"), None);
    }

    /// Headers that are read, with any bytes that a header may have.
    fn headers() -> impl Strategy<Value = HeaderMap> {
        let names = prop::sample::select(
            &[
                "if-match",
                "if-none-match",
                "idempotency-key",
                "authorization",
                "user-agent",
                "x-real-ip",
                "cache-control",
            ][..],
        );
        let value = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| HeaderValue::from_bytes(&bytes).ok()),
            r#"(Bearer |no-cache|[*,W/" .0-9=+]){0,12}"#.prop_map(|text| HeaderValue::try_from(text).ok()),
        ];
        prop::collection::vec((names, value), 0..6).prop_map(|lines| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                if let Some(value) = value {
                    headers.append(name, value);
                }
            }
            headers
        })
    }

    proptest! {
        #[test]
        fn any_headers_are_read_or_refused(headers in headers()) {
            let _ = bearer_token(&headers);
            for declaration in [UpdateTask::DECLARATION, CreateTask::DECLARATION, ListTasks::DECLARATION] {
                match conditions(&declaration, &headers) {
                    Ok(conditions) => prop_assert!(conditions.origin.user_agent.len() <= LONGEST_USER_AGENT),
                    Err(refusal) => prop_assert_eq!(refusal.reason().status(), 400),
                }
            }
        }

        #[test]
        fn any_path_is_read_or_refused(path in "/[!-~]{0,20}/[!-~]{0,20}|/(%[0-9a-f]{2}|%|[a-z0-9]){0,9}/x") {
            let Ok(request) = Request::get(&path).body(axum::body::Body::empty()) else { return Ok(()) };
            let handler = async |request: Request| {
                let (mut parts, _) = request.into_parts();
                match path_members(&mut parts, "/{id}/{name}").await {
                    Ok(members) => members.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "),
                    Err(refusal) => refusal.reason().status().to_string(),
                }
            };
            let router = Router::new().route("/{id}/{name}", axum::routing::get(handler)).fallback(async || "404");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let body = runtime.block_on(async {
                router.oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes()
            });
            prop_assert!(body == "id name" || body == "404", "{:?}", body);
        }
    }
}
