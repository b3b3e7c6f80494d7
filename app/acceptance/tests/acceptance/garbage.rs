//! Strangers who are slow, hang up and send garbage, for seconds or for ten minutes: nothing of the program or its
//! sidecar grows with them, and somebody honest beside them is never refused and loses nothing.
//!
//! `make garbage` runs it for ten minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome, eventually};
use tidemark_stack::Part;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::api::{Api, id, send};
use super::run::Trial;
use super::world::{RECOVERY, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![strangers_with_garbage_leave_nothing_behind]
}

/// After each tenth of a run everything is measured; the first three warm up.
const PARTS: u32 = 10;
const WARM_UP: usize = 3;
/// Between two tasks of the honest client.
const HONEST_PAUSE: Duration = Duration::from_millis(250);
/// A group's tasks before the honest client begins another one, and how often it looks whether all are there.
const TASKS_OF_A_GROUP: usize = 500;
const TASKS_BETWEEN_LISTS: usize = 20;
/// Of the list that strangers ask for and do not read.
const LONG_LIST: usize = 200;
/// A stranger who waits to be let go waits this long: nothing may last longer that sent only a part.
const LET_GO: Duration = Duration::from_secs(30);
/// What a gzip bomb unfolds to [bytes].
const BOMB: usize = 64 << 20;

/// Flat is: at most a quarter more than after the warm-up, and so much. Of memory [KiB], for bodies under way and for
/// what strangers made in passing; of goroutines; of descriptors. Of series nothing: a quarter is enough for answers
/// that nobody has had before. The program's descriptors must go back to what they were before anybody came; the
/// sidecar keeps its connections to the store for the next time.
const MORE_MEMORY: u64 = 32 << 10;
const MORE_GOROUTINES: u64 = 50;
const MORE_DESCRIPTORS: u64 = 16;

/// What strangers do, and how many of them do it at the same time.
const STRANGERS: [(Kind, usize); 10] = [
    (Kind::HalfHead, 24),
    (Kind::HalfBody, 24),
    (Kind::ByteByByte, 16),
    (Kind::Silent, 24),
    (Kind::Deaf, 12),
    (Kind::HangUp, 12),
    (Kind::Bytes, 4),
    (Kind::MadeUp, 6),
    (Kind::Damaged, 6),
    (Kind::Bomb, 2),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Sends a part of a head and waits.
    HalfHead,
    /// Sends a part of a body and waits.
    HalfBody,
    ByteByByte,
    /// Says nothing.
    Silent,
    /// Asks for long lists and does not read them.
    Deaf,
    /// Goes in the middle of a request, or before its answer.
    HangUp,
    /// Random bytes.
    Bytes,
    /// Well-formed requests with made-up methods, paths, headers, cursors and tokens.
    MadeUp,
    /// Right requests whose bodies have some bytes changed.
    Damaged,
    /// Small bodies that unfold to large ones.
    Bomb,
}

/// What strangers know, and what came of them.
struct Strangers {
    address: SocketAddr,
    token: String,
    username: String,
    group: String,
    task: String,
    bomb: Vec<u8>,
    tally: Mutex<BTreeMap<(Kind, String), u64>>,
}

impl Strangers {
    /// Comes again and again.
    async fn keep_coming(self: Arc<Self>, kind: Kind, mut random: StdRng) {
        loop {
            let result = self.visit(kind, &mut random).await;
            let said = result.unwrap_or_else(|fault| fault.kind().to_string());
            *self.tally.lock().unwrap_or_else(PoisonError::into_inner).entry((kind, said)).or_default() += 1;
            // A stranger is one person: what a whole crowd does at once is the edge's business.
            sleep(Duration::from_millis(random.random_range(20..200))).await;
        }
    }

    /// One connection. Returns in a word how it ended.
    async fn visit(&self, kind: Kind, random: &mut StdRng) -> io::Result<String> {
        let mut connection = TcpStream::connect(self.address).await?;
        match kind {
            Kind::Silent => self.wait(connection, random).await,
            Kind::HalfHead => {
                let request = self.request(random);
                connection.write_all(&request[..random.random_range(1..head_of(&request))]).await?;
                self.wait(connection, random).await
            }
            Kind::HalfBody => {
                let (head, body) = self.with_body(random);
                let sent = random.random_range(0..body.len());
                connection.write_all(&[head.as_bytes(), &body[..sent]].concat()).await?;
                self.wait(connection, random).await
            }
            Kind::ByteByByte => {
                let pause = Duration::from_millis(random.random_range(5..100));
                for byte in self.request(random) {
                    connection.write_all(&[byte]).await?;
                    sleep(pause).await;
                }
                answered(connection).await
            }
            Kind::Deaf => {
                let list = format!("GET /api/groups/{}?limit=200 HTTP/1.1", self.group);
                let request = [list, self.headers(), "\r\n".to_owned()].concat();
                let asking = async {
                    for _ in 0..200 {
                        connection.write_all(request.as_bytes()).await?;
                    }
                    io::Result::Ok(())
                };
                let _ = timeout(Duration::from_secs(2), asking).await;
                sleep(Duration::from_secs(random.random_range(1..20))).await;
                Ok("left".to_owned())
            }
            Kind::HangUp => {
                let request = self.request(random);
                let sent = if random.random_bool(0.5) {
                    request.len()
                } else {
                    random.random_range(1..request.len())
                };
                connection.write_all(&request[..sent]).await?;
                sleep(Duration::from_millis(random.random_range(0..30))).await;
                if random.random_bool(0.5) {
                    connection.set_zero_linger()?;
                }
                Ok("left".to_owned())
            }
            Kind::Bytes => {
                let bytes: Vec<u8> = (0..random.random_range(1..5_000)).map(|_| random.random()).collect();
                connection.write_all(&bytes).await?;
                connection.shutdown().await?;
                answered(connection).await
            }
            Kind::MadeUp => {
                connection.write_all(self.made_up(random).as_bytes()).await?;
                answered(connection).await
            }
            Kind::Damaged => {
                let (head, mut body) = self.with_body(random);
                for _ in 0..random.random_range(1..4) {
                    let place = random.random_range(0..body.len());
                    body[place] = random.random();
                }
                connection.write_all(&[head.as_bytes(), &body].concat()).await?;
                answered(connection).await
            }
            Kind::Bomb => {
                let path = if random.random_bool(0.5) { "/api/groups" } else { "/api/auth/login" };
                let cut = if random.random_bool(0.2) { self.bomb.len() / 2 } else { self.bomb.len() };
                let head = format!(
                    "POST {path} HTTP/1.1{}Content-Type: application/json\r\nContent-Encoding: gzip\r\n\
                     Connection: close\r\nContent-Length: {cut}\r\n\r\n",
                    self.headers()
                );
                connection.write_all(&[head.as_bytes(), &self.bomb[..cut]].concat()).await?;
                answered(connection).await
            }
        }
    }

    /// Waits to be let go; every second one loses patience before.
    async fn wait(&self, connection: TcpStream, random: &mut StdRng) -> io::Result<String> {
        let is_impatient = random.random_bool(0.5);
        let patience =
            if is_impatient { Duration::from_millis(random.random_range(0..12_000)) } else { LET_GO };
        let over = if is_impatient { "left" } else { "never let go" };
        timeout(patience, answered(connection)).await.unwrap_or_else(|_| Ok(over.to_owned()))
    }

    /// The headers that every right request has.
    fn headers(&self) -> String {
        format!("\r\nHost: x\r\nAuthorization: Bearer {}\r\n", self.token)
    }

    /// A right request of any kind.
    fn request(&self, random: &mut StdRng) -> Vec<u8> {
        let Self { group, task, .. } = self;
        let path = match random.random_range(0..8) {
            0 => format!("/api/groups/{group}?limit=200"),
            1 => "/api/tasks?limit=200".to_owned(),
            2 => "/api/logs/groups".to_owned(),
            3 => format!("/api/tasks/{task}/comments"),
            _ => {
                let (head, body) = self.with_body(random);
                return [head.as_bytes(), &body].concat();
            }
        };
        format!("GET {path} HTTP/1.1{}Connection: close\r\n\r\n", self.headers()).into_bytes()
    }

    /// The head and the body of a right request that has one.
    fn with_body(&self, random: &mut StdRng) -> (String, Vec<u8>) {
        let Self { group, task, username, .. } = self;
        let name = unique("stranger");
        let long = "x".repeat(random.random_range(1..5_000));
        let log_in = json!({ "username": username, "password": "correct horse 1" });
        let register = json!({ "username": name, "password": "some words 1" });
        let (method, path, body) = match random.random_range(0..10) {
            0 | 1 => ("POST", "/api/auth/login".to_owned(), log_in),
            2 => ("POST", "/api/auth/register".to_owned(), register),
            3 => ("POST", "/api/groups".to_owned(), json!({ "name": name })),
            4 => ("POST", format!("/api/tasks/{task}/comments"), json!({ "text": name })),
            5 => ("PUT", format!("/api/tasks/{task}/position"), json!({})),
            6 | 7 => ("PUT", format!("/api/tasks/{task}"), json!({ "name": name, "description": long })),
            _ => ("POST", format!("/api/groups/{group}/tasks"), json!({ "name": name })),
        };
        let body = body.to_string().into_bytes();
        let takes_key = !path.starts_with("/api/auth") && method == "POST";
        let key = if takes_key && random.random_bool(0.5) {
            format!("Idempotency-Key: {name}\r\n")
        } else {
            String::new()
        };
        let head = format!(
            "{method} {path} HTTP/1.1{}{key}Content-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            self.headers(),
            body.len()
        );
        (head, body)
    }

    /// A request that is HTTP, and nothing else that one could rely on.
    fn made_up(&self, random: &mut StdRng) -> String {
        let mut word = |most: usize| -> String {
            (0..random.random_range(1..most)).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
        };
        let (method, path, header, value) = (word(20).to_uppercase(), word(40), word(20), word(2_000));
        let method =
            [method.as_str(), "GET", "POST", "PUT", "DELETE"].choose(random).copied().unwrap_or("GET");
        let cursor: String =
            (0..random.random_range(0..60)).map(|_| char::from(random.random_range(b'0'..=b'z'))).collect();
        let cursor = cursor.replace(['\\', '^', '`', '<', '>', '[', ']'], "-");
        let path = match random.random_range(0..6) {
            0 => format!("/{path}/{cursor}"),
            1 => format!("/api/tasks?cursor={cursor}"),
            2 => format!("/api/groups?{path}={cursor}&limit={}", random.random::<u64>()),
            3 => format!("/api/groups/{}?cursor={cursor}", self.group),
            4 => format!("/api/tasks/{cursor}"),
            _ => format!("/api/logs/task/{cursor}?cursor={cursor}"),
        };
        let token = match random.random_range(0..4) {
            0 => value.clone(),
            1 => self.token.replace('e', "f"),
            2 => self.token.chars().rev().collect(),
            _ => self.token.clone(),
        };
        let named = ["If-Match", "If-None-Match", "Idempotency-Key", "traceparent", "X-Request-Id", "Accept"];
        let named = named.choose(random).copied().unwrap_or_default();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{header}: {value}\r\n\
             {named}: {cursor}\r\nConnection: close\r\n\r\n"
        )
    }
}

/// Where a request's head ends.
fn head_of(request: &[u8]) -> usize {
    request.windows(4).position(|end| end == b"\r\n\r\n").map_or(request.len(), |end| end + 3)
}

/// Reads until the other side closes; returns the status, if it told one.
async fn answered(mut connection: TcpStream) -> io::Result<String> {
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer).await;
    let status = answer.get(9..12).map(|status| String::from_utf8_lossy(status).into_owned());
    match (status, read) {
        (Some(status), _) => Ok(status),
        (None, Ok(_)) => Ok("closed".to_owned()),
        (None, Err(fault)) => Err(fault),
    }
}

/// A body that unfolds to so many bytes.
fn bomb(size: usize) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"{\"name\": \"")?;
    io::copy(&mut io::Read::take(io::repeat(b'x'), size as u64), &mut encoder)?;
    encoder.write_all(b"\"}")?;
    encoder.finish()
}

/// What the processes of the application and their sidecars have, each kind together.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    program: Process,
    sidecar: Process,
    series: u64,
    in_flight: u64,
    goroutines: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Process {
    /// Resident [KiB].
    memory: u64,
    descriptors: u64,
    /// Those of the descriptors that are connections, or wait for them.
    sockets: u64,
    threads: u64,
}

impl Process {
    fn add(&mut self, id: u32) -> Outcome {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        self.memory += number("VmRSS:");
        self.threads += number("Threads:");
        for descriptor in fs::read_dir(format!("/proc/{id}/fd"))? {
            self.descriptors += 1;
            // One that was closed meanwhile is none.
            let what = fs::read_link(descriptor?.path()).unwrap_or_default();
            self.sockets += u64::from(what.to_string_lossy().starts_with("socket:"));
        }
        Ok(())
    }
}

impl Reading {
    async fn take(world: &World) -> Outcome<Self> {
        let mut reading = Self::default();
        for part in processes(world) {
            reading.program.add(process_id(&part)?)?;
            let address = part.address().ok_or_else(|| Failure::new("it listens nowhere"))?;
            let metrics = metrics(world, &address.to_string()).await?;
            reading.series +=
                metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count() as u64;
            reading.in_flight += value(&metrics, "http_requests_in_flight");
            let sidecar = process_id(&world.stack.part(&format!("{}-sidecar", part.name()))?)?;
            reading.sidecar.add(sidecar)?;
            let arguments = fs::read_to_string(format!("/proc/{sidecar}/cmdline"))?;
            let port = arguments.split('\0').skip_while(|argument| *argument != "--metrics-port").nth(1);
            let port = port.ok_or_else(|| Failure::new("the sidecar shows no metrics"))?;
            reading.goroutines +=
                value(&self::metrics(world, &format!("127.0.0.1:{port}")).await?, "go_goroutines");
        }
        Ok(reading)
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, sidecar, series, in_flight, goroutines } = self;
        for Process { memory, descriptors, sockets, threads } in [program, sidecar] {
            write!(formatter, "{:>9}{descriptors:>9}{sockets:>9}{threads:>9}", memory / 1024)?;
        }
        write!(formatter, "{goroutines:>12}{series:>8}{in_flight:>11}")
    }
}

/// What stands above readings.
fn titles() -> String {
    let process = ["MiB", "files", "sockets", "threads"].map(|title| format!("{title:>9}")).concat();
    format!(
        "{:14}{:>36}{:>36}\n{:14}{process}{process}{:>12}{:>8}{:>11}",
        "", "the program", "the sidecar", "", "goroutines", "series", "in flight"
    )
}

/// The processes of the application, which are those that have a sidecar.
fn processes(world: &World) -> Vec<Part> {
    let parts = world.stack.parts();
    let is_served =
        |part: &Part| parts.iter().any(|other| other.name() == format!("{}-sidecar", part.name()));
    parts.iter().filter(|part| is_served(part)).cloned().collect()
}

fn process_id(part: &Part) -> Outcome<u32> {
    part.pid().ok_or_else(|| Failure::new(format!("{} does not run", part.name())))
}

async fn metrics(world: &World, address: &str) -> Outcome<String> {
    let metrics = world.anonymous().at(format!("http://{address}"));
    Ok(send(metrics.request(Method::GET, "/metrics")).await?.expect(200).text())
}

/// The value of a metric without labels.
fn value(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

/// Creates tasks and lists them until `end`. Every request must be answered as if nobody else were there.
async fn honest(api: &Api, end: Instant) -> Outcome<Honest> {
    let mut honest = Honest::default();
    let mut pace = interval(HONEST_PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tasks = BTreeSet::new();
    let mut group = String::new();
    while Instant::now() < end {
        pace.tick().await;
        if tasks.len() % TASKS_OF_A_GROUP == 0 {
            group = api.new_group(&unique("honest")).await?;
            tasks.clear();
        }
        let (key, begun) = (unique("key"), Instant::now());
        let path = format!("/api/groups/{group}/tasks");
        let made = api.post_once(&path, &key, &json!({ "name": key })).await?.expect(201).id("task");
        honest.slowest = honest.slowest.max(begun.elapsed());
        tasks.insert(made.clone());
        honest.tasks.entry(group.clone()).or_default().insert(made);
        if tasks.len() % TASKS_BETWEEN_LISTS == 0 {
            assert_eq!(listed(api, &group).await?, tasks);
            honest.lists += 1;
        }
    }
    Ok(honest)
}

async fn listed(api: &Api, group: &str) -> Outcome<BTreeSet<String>> {
    let tasks = api.all(&format!("/api/groups/{group}/tasks?limit=200"), "tasks").await?;
    Ok(tasks.iter().map(|task| id(task).to_owned()).collect())
}

#[derive(Default)]
struct Honest {
    tasks: BTreeMap<String, BTreeSet<String>>,
    lists: usize,
    slowest: Duration,
}

/// Prints what there is after each part of the time, and returns all of it.
async fn measure(world: &World, time: Duration) -> Outcome<Vec<Reading>> {
    let start = Instant::now();
    let mut readings = Vec::new();
    for part in 1..=PARTS {
        sleep_until(start + time * part / PARTS).await;
        let reading = Reading::take(world).await?;
        eprintln!("{:<14}{reading}", format!("{} s", start.elapsed().as_secs()));
        readings.push(reading);
    }
    Ok(readings)
}

/// Whether it is no more than a quarter and `more` above what it was.
fn is_flat(before: u64, after: u64, more: u64) -> bool {
    after <= before + before / 4 + more
}

async fn strangers_with_garbage_leave_nothing_behind(world: Arc<World>) -> Outcome {
    let seed = world.settings.seed.unwrap_or_else(rand::random);
    let time = Duration::from_secs(world.settings.garbage_seconds);
    let theirs = world.elsewhere()?;
    let group = theirs.new_group("long").await?;
    let mut task = String::new();
    for number in 0..LONG_LIST {
        task = theirs.new_task(&group, &format!("{number} {}", "long ".repeat(40))).await?;
    }
    let strangers = Arc::new(Strangers {
        address: world.stack.base_url().replace("http://localhost", "127.0.0.1").parse()?,
        token: theirs.token().to_owned(),
        username: world.member.username.clone(),
        group,
        task,
        bomb: bomb(BOMB)?,
        tally: Mutex::default(),
    });
    let api = world.elsewhere()?;
    // The honest client's connection is there before.
    api.new_group("first").await?;
    let crowd: usize = STRANGERS.iter().map(|(_, count)| count).sum();
    eprintln!("measured: {crowd} strangers for {} s, SEED={seed}\n{}", time.as_secs(), titles());
    let before = Reading::take(&world).await?;
    eprintln!("{:<14}{before}", "before");

    let mut coming = JoinSet::new();
    let mut seeds = StdRng::seed_from_u64(seed);
    for (kind, count) in STRANGERS {
        for _ in 0..count {
            coming.spawn(Arc::clone(&strangers).keep_coming(kind, StdRng::from_rng(&mut seeds)));
        }
    }
    let (honest, readings) = tokio::join!(honest(&api, Instant::now() + time), measure(&world, time));
    coming.shutdown().await;
    let (honest, readings) = (honest?, readings?);
    let (warm, last) = (readings[WARM_UP - 1], readings[readings.len() - 1]);

    // They have left: nothing of theirs is open or under way.
    let after = eventually("what was open is closed", RECOVERY, async || {
        let now = Reading::take(&world).await.map_err(|failure| failure.to_string())?;
        let is_closed = now.program.descriptors <= before.program.descriptors + MORE_DESCRIPTORS;
        // One is this question.
        if is_closed && now.in_flight == before.in_flight {
            Ok(now)
        } else {
            Err(format!("\n{}\n{:14}{now}", titles(), ""))
        }
    })
    .await?;
    eprintln!("{:<14}{after}", "they have left");
    for ((kind, said), times) in strangers.tally.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        eprintln!("{:<14}{said:<20}{times:>8}", format!("{kind:?}"));
        let is_fault = said.starts_with('5') && said != "503";
        assert!(!is_fault && said != "never let go", "SEED={seed}: {kind:?}: {said}");
    }
    let count: usize = honest.tasks.values().map(BTreeSet::len).sum();
    eprintln!(
        "honest        {count} tasks made, each by one request; listed {} times; the slowest took {} ms",
        honest.lists,
        honest.slowest.as_millis()
    );

    for (moment, now) in [("at the end", last), ("when they had left", after)] {
        for (whose, before, now) in
            [("program", warm.program, now.program), ("sidecar", warm.sidecar, now.sidecar)]
        {
            assert!(
                is_flat(before.memory, now.memory, MORE_MEMORY),
                "SEED={seed}: memory of the {whose} {moment}"
            );
            assert!(
                is_flat(before.descriptors, now.descriptors, MORE_DESCRIPTORS),
                "SEED={seed}: {whose} {moment}"
            );
        }
        assert!(
            is_flat(warm.goroutines, now.goroutines, MORE_GOROUTINES),
            "SEED={seed}: goroutines {moment}"
        );
        assert!(is_flat(warm.series, now.series, 0), "SEED={seed}: series {moment}");
    }
    nothing_is_lost(&world, &api, &honest).await
}

/// On the board each task once, and in the log each created once.
async fn nothing_is_lost(world: &World, api: &Api, honest: &Honest) -> Outcome {
    for (group, tasks) in &honest.tasks {
        assert_eq!(&listed(api, group).await?, tasks);
    }
    let sql = "SELECT count(*) AS rows, count(DISTINCT task_id) AS tasks FROM todo_event_logs \
               WHERE event_type = 'created' AND entity = 'Task' \
                 AND group_id IN (SELECT jsonb_array_elements_text($1::text::jsonb))";
    let groups = serde_json::to_string(&honest.tasks.keys().collect::<Vec<_>>())?;
    let count: usize = honest.tasks.values().map(BTreeSet::len).sum();
    let expected: Value = json!({ "rows": count, "tasks": count });
    eventually("one row for each task", RECOVERY, async || {
        let rows = world.observer.rows(sql, &[&groups]).await.map_err(|failure| failure.to_string())?;
        if rows == [expected.clone()] { Ok(()) } else { Err(format!("{rows:?}, not {expected}")) }
    })
    .await
}
