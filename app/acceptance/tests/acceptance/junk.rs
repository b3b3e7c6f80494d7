//! Random requests to all routes: none breaks anything, and every refusal has the one form.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use serde_json::{Value, json};
use tidemark_acceptance::Outcome;

use super::api::{IDEMPOTENCY_KEY, REQUEST_ID, send};
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

const REQUESTS: usize = 600;
const AT_ONCE: usize = 8;

pub fn trials() -> Vec<Trial> {
    trials![random_requests_never_break_anything]
}

/// All routes, `{g}` for a group and `{t}` for a task, `?` for anything.
const ROUTES: [&str; 26] = [
    "/",
    "/health",
    "/api/health",
    "/auth/register",
    "/api/auth/login",
    "/api/auth/users",
    "/api/users/me",
    "/.well-known/jwks.json",
    "/api/groups",
    "/api/groups/{g}",
    "/api/groups/?",
    "/api/groups/{g}/tasks",
    "/api/groups/{t}/tasks",
    "/api/tasks",
    "/tasks",
    "/api/tasks/{t}",
    "/tasks/?",
    "/api/tasks/{t}/status",
    "/api/tasks/{t}/position",
    "/api/tasks/{t}/comments",
    "/api/tasks/{g}/comments",
    "/api/logs/groups",
    "/api/logs/group/{g}",
    "/api/logs/group/?/tasks",
    "/api/logs/task/{t}",
    "/?/?",
];

const METHODS: [Method; 7] =
    [Method::GET, Method::GET, Method::POST, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];

const MEMBERS: [&str; 16] = [
    "name",
    "discussion",
    "description",
    "status",
    "startDate",
    "endDate",
    "groupId",
    "text",
    "after",
    "before",
    "username",
    "password",
    "displayName",
    "_id",
    "version",
    "",
];

const PARAMETERS: [&str; 6] = ["limit", "cursor", "include", "status", "groupId", "?"];

/// A request that can be told in words when it breaks something.
#[derive(Debug)]
struct Junk {
    method: Method,
    path: String,
    media_type: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Junk {
    fn random(random: &mut StdRng, group: &str, task: &str) -> Self {
        let route = pick(random, &ROUTES).replace("{g}", group).replace("{t}", task);
        let mut path = String::new();
        for character in route.chars() {
            match character {
                '?' => path.push_str(&escaped(random)),
                other => path.push(other),
            }
        }
        for number in 0..random.random_range(0..3) {
            let name = pick(random, &PARAMETERS).replace('?', &escaped(random));
            path.push(if number == 0 { '?' } else { '&' });
            path.push_str(&[name.as_str(), "=", &escaped(random)].concat());
        }
        let headers =
            [IF_MATCH.as_str(), IDEMPOTENCY_KEY, "traceparent", "x-request-id", "cache-control", "accept"];
        let headers = headers
            .into_iter()
            .filter(|_| random.random_bool(0.2))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|name| (name, header_value(random)))
            .collect();
        let media_type = if random.random_bool(0.9) { "application/json" } else { "text/plain" };
        let body = match random.random_range(0..10) {
            0 => Vec::new(),
            1 => (0..random.random_range(0..200)).map(|_| random.random()).collect(),
            2 => {
                let mut text = object(random).to_string().into_bytes();
                text.truncate(random.random_range(0..=text.len()));
                text
            }
            _ => object(random).to_string().into_bytes(),
        };
        Self { method: pick(random, &METHODS).clone(), path, media_type, headers, body }
    }
}

fn pick<'choices, T>(random: &mut StdRng, choices: &'choices [T]) -> &'choices T {
    choices.choose(random).expect("there is something to choose from")
}

/// Random bytes as they may stand in a path.
fn escaped(random: &mut StdRng) -> String {
    let bytes: Vec<u8> = (0..random.random_range(0..30)).map(|_| random.random()).collect();
    bytes
        .into_iter()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02x}")
                }
            },
        )
        .collect()
}

fn header_value(random: &mut StdRng) -> String {
    (0..random.random_range(0..40)).map(|_| char::from(random.random_range(0x20..0x7f_u8))).collect()
}

fn object(random: &mut StdRng) -> Value {
    let members =
        (0..random.random_range(0..6)).map(|_| (*pick(random, &MEMBERS)).to_owned()).collect::<Vec<_>>();
    members.into_iter().map(|name| (name, value(random, 0))).collect()
}

fn value(random: &mut StdRng, depth: usize) -> Value {
    match random.random_range(0..if depth < 3 { 11 } else { 8 }) {
        0 => json!(null),
        1 => json!(random.random::<bool>()),
        2 => json!(random.random::<i64>()),
        3 => json!(random.random::<f64>()),
        4 => {
            json!(*pick(random, &["New", "Backlog", "In Progress", "2026-02-28", "2026-02-30", "", " ", "*"]))
        }
        5 => json!("x".repeat(random.random_range(0..6000))),
        6 | 7 => {
            let text: String = (0..random.random_range(0..40)).map(|_| random.random::<char>()).collect();
            json!(text)
        }
        8 => (0..random.random_range(0..4)).map(|_| value(random, depth + 1)).collect(),
        _ => object(random),
    }
}

async fn random_requests_never_break_anything(world: Arc<World>) -> Outcome {
    let seed = world.settings.seed.unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let api = world.elsewhere()?;
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "task").await?;
    let requests: Vec<Junk> = (0..REQUESTS).map(|_| Junk::random(&mut random, &group, &task)).collect();
    stream::iter(requests)
        .map(|junk| {
            let api = api.clone();
            async move {
                let mut request =
                    api.request(junk.method.clone(), &junk.path).header(CONTENT_TYPE, junk.media_type);
                for (name, value) in &junk.headers {
                    request = request.header(*name, value);
                }
                let answer = send(request.body(junk.body.clone())).await?;
                let told = format!("SEED={seed}: {junk:?}: {}", answer.text());
                assert!(!answer.status.is_server_error(), "{told}");
                if answer.status.is_client_error() {
                    answer.any_problem();
                }
                assert!(answer.header(REQUEST_ID).is_some(), "{told}");
                Outcome::Ok(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    world.anonymous().get("/api/health").await?.expect(200);
    Ok(())
}
