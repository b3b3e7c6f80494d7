//! Tidemark as a client sees it.

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome, eventually};

use super::world::RECOVERY;

pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One caller of one address.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    pub fn new(http: Client, base: impl Into<String>, token: Option<String>) -> Self {
        Self { http, base: base.into(), token }
    }

    /// The same address with another token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The same caller of another address.
    pub fn at(&self, base: impl Into<String>) -> Self {
        Self { base: base.into(), ..self.clone() }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// A request that the caller goes on to fill; see [`send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Outcome<Answer> {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Outcome<Answer> {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// A POST that may be repeated.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Outcome<Answer> {
        send(self.request(Method::POST, path).header(IDEMPOTENCY_KEY, key).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Outcome<Answer> {
        send(self.request(Method::PUT, path).json(body)).await
    }

    /// A PUT that holds for certain versions only.
    pub async fn put_if(&self, path: &str, versions: &str, body: &Value) -> Outcome<Answer> {
        send(self.request(Method::PUT, path).header(header::IF_MATCH, versions).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Outcome<Answer> {
        send(self.request(Method::DELETE, path)).await
    }

    /// A new group; returns its id.
    pub async fn new_group(&self, name: &str) -> Outcome<String> {
        Ok(self.post("/api/groups", &json!({ "name": name })).await?.expect(201).id("group"))
    }

    /// A new task; returns its id.
    pub async fn new_task(&self, group: &str, name: &str) -> Outcome<String> {
        let path = format!("/api/groups/{group}/tasks");
        Ok(self.post(&path, &json!({ "name": name })).await?.expect(201).id("task"))
    }

    /// Makes something under a key, and repeats the request until it is acknowledged: while the application is
    /// busy, or gone for a moment. Any other answer is none to a right request.
    pub async fn insist(&self, path: &str, key: &str, body: &Value) -> Outcome<Answer> {
        eventually("the acknowledgement", RECOVERY, async || {
            let answer = self.post_once(path, key, body).await.map_err(|failure| failure.to_string())?;
            match answer.status.as_u16() {
                201 => Ok(answer),
                409 | 503 => Err(answer.text()),
                other => panic!("{other}: {}", answer.text()),
            }
        })
        .await
    }

    /// All items of a list, by following its pages. `path` may have a query.
    pub async fn all(&self, path: &str, member: &str) -> Outcome<Vec<Value>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let body = self.get(&format!("{path}{cursor}")).await?.expect(200).json();
            items.extend(body[member].as_array().ok_or_else(|| Failure::new(&body))?.iter().cloned());
            match body["next"].as_str() {
                Some(next) => cursor = format!("{separator}cursor={next}"),
                None => return Ok(items),
            }
        }
    }
}

/// Sends a request and reads its answer whole.
pub async fn send(request: RequestBuilder) -> Outcome<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, body: response.bytes().await? })
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        self.headers.get(name.as_ref()).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// The whole `ETag`.
    #[track_caller]
    pub fn tag(&self) -> &str {
        self.header("etag").unwrap_or_else(|| panic!("there is no ETag with {}", self.text()))
    }

    /// The version that the `ETag` names: that of a read tells bodies of one version apart, too.
    #[track_caller]
    pub fn version(&self) -> &str {
        self.tag().trim_start_matches("W/").trim_matches('"').split('.').next().unwrap_or_default()
    }

    /// The id of what was made.
    #[track_caller]
    pub fn id(&self, member: &str) -> String {
        id(&self.json()[member]).to_owned()
    }

    /// Checks that this is a problem document of the one shape that all errors have, and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let document = self.any_problem();
        assert_eq!((self.status.as_u16(), &document["code"]), (status, &json!(code)), "{}", self.text());
        document
    }

    /// As [`Answer::problem`], whatever the problem is.
    #[track_caller]
    pub fn any_problem(&self) -> Value {
        let told = format!("{} {:?} {}", self.status, self.headers, self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{told}");
        let document = self.json();
        for member in ["type", "title", "detail", "code", "error", "requestId"] {
            let text = document[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{member} is missing: {told}");
        }
        assert_eq!(document["status"], json!(self.status.as_u16()), "{told}");
        let errors = document["errors"].as_array().unwrap_or_else(|| panic!("errors is no list: {told}"));
        for error in errors {
            assert!(error["pointer"].is_string() && error["message"].is_string(), "{told}");
        }
        if let Some(first) = errors.first() {
            assert_eq!(document["error"], first["message"], "{told}");
        }
        assert_eq!(document["requestId"].as_str(), self.header(REQUEST_ID), "{told}");
        document
    }

    /// Checks that the body was refused for exactly these fields.
    #[track_caller]
    pub fn invalid_fields(&self, pointers: &[&str]) -> Value {
        let document = self.problem(400, "invalid-input");
        let told: Vec<&str> = document["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e["pointer"].as_str())
            .collect();
        assert_eq!(told, pointers, "{document}");
        document
    }
}

/// The id of an entity as clients see it.
#[track_caller]
pub fn id(entity: &Value) -> &str {
    entity["_id"].as_str().unwrap_or_else(|| panic!("there is no id in {entity}"))
}

/// The ids of a list.
pub fn ids(entities: &[Value]) -> Vec<&str> {
    entities.iter().map(id).collect()
}
