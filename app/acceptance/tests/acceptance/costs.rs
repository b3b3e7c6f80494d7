//! What an answer costs the store, in calls of the sidecar and in keys.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tidemark_acceptance::{Failure, Outcome, eventually};
use tokio::time::timeout;

use super::api::{Api, ids, send};
use super::run::Trial;
use super::world::{SOON, World, unique};
use crate::trials;

/// Alone: nothing else is to be counted.
pub fn quiet_trials() -> Vec<Trial> {
    trials![
        answers_cost_few_calls_and_keys,
        no_cursor_or_number_makes_an_answer_cost_more,
        a_board_of_two_thousand_tasks_is_full_and_still_shown,
    ]
}

/// Reads of the state store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    calls: u64,
    keys: u64,
}

/// Readings so far, in all processes of the role.
async fn readings(world: &World) -> Outcome<Cost> {
    let mut cost = Cost::default();
    for address in world.addresses("tasks")? {
        let text = world.anonymous().at(format!("http://{address}")).get("/metrics").await?.text();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let value: u64 = value.parse().unwrap_or_default();
            if name == "state_keys_read_total" {
                cost.keys += value;
            } else if name.starts_with("sidecar_calls_total")
                && name.contains("_state\"")
                && name.contains("get_")
            {
                cost.calls += value;
            }
        }
    }
    Ok(cost)
}

/// What the request reads. The sweep reads too, now and then: the least of some tries is the request's own.
async fn cost(world: &World, api: &Api, method: &Method, path: &str, body: &Value) -> Outcome<Cost> {
    let mut least: Option<Cost> = None;
    for _ in 0..5 {
        let before = readings(world).await?;
        let request = api.request(method.clone(), path);
        let request = if *method == Method::GET { request } else { request.json(body) };
        let answer = send(request).await?;
        assert!(answer.status.is_success(), "{}", answer.text());
        let after = readings(world).await?;
        let cost = Cost { calls: after.calls - before.calls, keys: after.keys - before.keys };
        least = Some(least.map_or(cost, |least| least.min(cost)));
    }
    least.ok_or_else(|| Failure::new("nothing was tried"))
}

/// Makes tasks, and returns the first of them as they stand on the board.
async fn tasks(api: &Api, group: &str, count: usize) -> Outcome<Vec<String>> {
    let made =
        stream::iter(0..count).map(|number| async move { api.new_task(group, &number.to_string()).await });
    made.buffered(64).try_collect::<Vec<_>>().await?;
    let shown = api.get(&format!("/api/groups/{group}?limit=200")).await?.expect(200).json();
    let tasks = shown["group"]["tasks"].as_array().cloned().unwrap_or_default();
    Ok(ids(&tasks).into_iter().map(str::to_owned).collect())
}

async fn answers_cost_few_calls_and_keys(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let group = api.new_group("fifty").await?;
    let made = tasks(&api, &group, 50).await?;
    for task in &made[..10] {
        api.post(&format!("/api/tasks/{task}/comments"), &json!({ "text": unique("comment") }))
            .await?
            .expect(201);
    }
    let large = api.new_group("five hundred").await?;
    let many = tasks(&api, &large, 500).await?;
    let task = format!("/api/tasks/{}", made[20]);
    let between = json!({ "after": made[30], "before": made[31] });
    let after_one = json!({ "after": many[150] });
    let status = |status: &str| json!({ "status": status });
    let nothing = json!({});
    for (what, method, path, body, calls, keys) in [
        ("a board of 50", Method::GET, format!("/api/groups/{group}"), &nothing, 1, 5),
        ("a board of 500", Method::GET, format!("/api/groups/{large}?limit=200"), &nothing, 2, 26),
        ("50 tasks of a group", Method::GET, format!("/api/groups/{group}/tasks"), &nothing, 1, 4),
        ("the first 50 of 500", Method::GET, format!("/api/groups/{large}/tasks"), &nothing, 1, 4),
        ("the first 50 of all groups", Method::GET, "/api/tasks".to_owned(), &nothing, 2, 7),
        ("a task", Method::GET, task.clone(), &nothing, 1, 4),
        ("its comments", Method::GET, format!("{task}/comments"), &nothing, 1, 4),
        ("the groups", Method::GET, "/api/groups".to_owned(), &nothing, 2, 4),
        ("the groups with their tasks", Method::GET, "/api/groups?include=tasks".to_owned(), &nothing, 4, 33),
        ("a drag", Method::PUT, format!("{task}/position"), &between, 6, 10),
        (
            "a drag with one neighbour",
            Method::PUT,
            format!("/api/tasks/{}/position", many[7]),
            &after_one,
            7,
            20,
        ),
        ("a new status", Method::PUT, format!("{task}/status"), &status("Backlog"), 4, 6),
        ("a new task", Method::POST, format!("/api/groups/{group}/tasks"), &json!({ "name": "new" }), 4, 6),
        ("a deletion", Method::DELETE, format!("/api/tasks/{}", made[40]), &nothing, 4, 6),
    ] {
        let cost = if method == Method::DELETE {
            let before = readings(&world).await?;
            api.delete(&path).await?.expect(204);
            let after = readings(&world).await?;
            Cost { calls: after.calls - before.calls, keys: after.keys - before.keys }
        } else {
            cost(&world, &api, &method, &path, body).await?
        };
        eprintln!("measured: {what} reads {} keys in {} calls", cost.keys, cost.calls);
        assert!(
            cost.calls <= calls && cost.keys <= keys,
            "{what}: {cost:?}, at most {calls} calls and {keys} keys"
        );
    }
    let shown = api.get(&format!("/api/groups/{large}?limit=200")).await?.expect(200).json();
    let first = shown["group"]["tasks"].as_array().cloned().unwrap_or_default();
    assert_eq!((ids(&first).len(), &shown["group"]["taskCount"]), (200, &json!(500)));
    Ok(())
}

/// Requests to each list.
const MADE_UP: usize = 60;
/// Keys that an answer reads on an average at most, whatever cursor it is asked for with, of what is laid out here;
/// and of users, who lie in 256 pages. The sweep reads some meanwhile.
const FEW_KEYS: u64 = 40;
const KEYS_OF_USERS: u64 = 280;
/// The longest that any answer may take: what spins would take for ever.
const LONGEST: Duration = Duration::from_secs(5);

fn number(random: &mut StdRng) -> Value {
    let numbers = [
        json!(0),
        json!(1),
        json!(64),
        json!(1 << 24),
        json!((1 << 24) + 1),
        json!(u32::MAX - 1),
        json!(u32::MAX),
        json!(1_u64 << 32),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(random.random::<u32>()),
    ];
    if random.random_bool(0.5) {
        return json!(random.random_range(0..1 << 24));
    }
    numbers.choose(random).cloned().unwrap_or_default()
}

fn text(random: &mut StdRng, known: &[String]) -> Value {
    let texts =
        ["", "infinity", "\0", "2026-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "z", "\u{10ffff}"];
    let texts = texts.into_iter().chain(known.iter().map(String::as_str));
    json!(texts.choose(random).unwrap_or_default())
}

/// The same with some of its numbers and texts replaced.
fn changed(random: &mut StdRng, value: &Value, known: &[String]) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| changed(random, item, known)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), changed(random, member, known))).collect()
        }
        Value::String(_) if random.random_bool(0.5) => text(random, known),
        Value::Number(_) if random.random_bool(0.5) => number(random),
        other => other.clone(),
    }
}

/// A cursor of some list's form, mostly one that was given out with some of it replaced.
fn made_up(random: &mut StdRng, given: &[Value], known: &[String]) -> String {
    let (one, other) = (number(random), number(random));
    let position = match random.random_range(0..12) {
        0 => json!({ "page": one, "number": other }),
        1 => json!([one, other]),
        2 => json!([text(random, known), other]),
        3 => json!([text(random, known), text(random, known)]),
        4 => json!([one, { "entry": text(random, known), "created_at": other }]),
        5 => json!({ "group": null, "within": { "page": one, "number": other } }),
        _ => given.choose(random).map(|given| changed(random, given, known)).unwrap_or_default(),
    };
    URL_SAFE_NO_PAD.encode(position.to_string())
}

async fn no_cursor_or_number_makes_an_answer_cost_more(world: Arc<World>) -> Outcome {
    let seed = world.settings.seed.unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let api = world.elsewhere()?;
    let mut known = Vec::new();
    for name in ["one", "two", "three"] {
        known.push(api.new_group(name).await?);
    }
    known.extend(tasks(&api, &known[0], 70).await?);
    known.push(api.new_task(&known[1], "task").await?);
    let (group, task) = (known[0].clone(), known[3].clone());
    for number in 0..3 {
        let comment = json!({ "text": number.to_string() });
        api.post(&format!("/api/tasks/{task}/comments"), &comment).await?.expect(201);
    }
    // An entry's name is the end of its id.
    known.extend(known.clone().iter().filter_map(|id| Some(id.get(id.len() - 13..)?.to_owned())));
    // Each with a cursor of its form, where it gives none out.
    let (task_place, time) =
        (json!({ "group": null, "within": { "page": 0, "number": 1 } }), "2026-01-01T00:00:00.000Z");
    let lists = [
        ("/api/groups?".to_owned(), json!(null)),
        ("/api/groups?include=tasks&".to_owned(), json!(null)),
        ("/api/tasks?".to_owned(), task_place.clone()),
        ("/api/tasks?status=New&".to_owned(), task_place.clone()),
        ("/api/tasks?status=Approved&".to_owned(), task_place.clone()),
        (format!("/api/groups/{group}?"), json!(["1", task])),
        (format!("/api/groups/{group}/tasks?"), task_place.clone()),
        (format!("/api/groups/{group}/tasks?status=Approved&"), task_place),
        (format!("/api/tasks/{task}/comments?"), json!({ "page": 0, "number": 1 })),
        ("/api/auth/users?".to_owned(), json!([0, 1])),
        ("/api/logs/groups?".to_owned(), json!([time, group])),
        (format!("/api/logs/group/{group}?"), json!([time, 1])),
        (format!("/api/logs/group/{group}/tasks?"), json!([time, task])),
        (format!("/api/logs/task/{task}?"), json!([time, 1])),
    ];
    for (list, other) in lists {
        let first = api.get(&format!("{list}limit=1")).await?.expect(200).json();
        let next = first["next"].as_str().and_then(|next| URL_SAFE_NO_PAD.decode(next).ok());
        let next = next.and_then(|next| serde_json::from_slice::<Value>(&next).ok());
        let given = [next.unwrap_or(other)];
        let (before, mut read) = (readings(&world).await?, 0);
        for _ in 0..MADE_UP {
            let limit = match random.random_range(0..8) {
                0 => format!("limit={}&", number(&mut random)),
                1..4 => "limit=200&".to_owned(),
                _ => String::new(),
            };
            let path = format!("{list}{limit}cursor={}", made_up(&mut random, &given, &known));
            let told = format!("SEED={seed}: {path}");
            let answer = timeout(LONGEST, api.get(&path)).await.map_err(|_| Failure::new(&told))??;
            assert!(matches!(answer.status.as_u16(), 200 | 400), "{told}: {}", answer.text());
            read += u64::from(answer.status == 200);
        }
        assert!(read > 0, "SEED={seed}: no cursor of {list} was one");
        let keys = (readings(&world).await?.keys - before.keys) / read;
        let most = if list.starts_with("/api/auth/users") { KEYS_OF_USERS } else { FEW_KEYS };
        eprintln!("measured: {read} made-up cursors of {list} read {keys} keys each on an average");
        assert!(keys <= most, "SEED={seed}: {list} reads {keys} keys on an average");
    }
    world.anonymous().get("/api/health").await?.expect(200);
    Ok(())
}

async fn a_board_of_two_thousand_tasks_is_full_and_still_shown(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let group = api.new_group("full").await?;
    tasks(&api, &group, 2_000).await?;
    let (path, body) = (format!("/api/groups/{group}/tasks"), json!({ "name": "one too many" }));
    // What a replica counts of pages that another has filled follows within a moment.
    let refused = eventually("the limit", SOON, async || {
        let answer = api.post(&path, &body).await.map_err(|failure| failure.to_string())?;
        if answer.status.as_u16() == 201 { Err(answer.text()) } else { Ok(answer) }
    })
    .await?;
    let told = refused.problem(409, "limit-reached")["error"].to_string();
    assert!(told.contains("2000 tasks"), "{told}");

    let shown = api.get(&format!("/api/groups/{group}?limit=1")).await?.expect(200).json();
    let over = shown["group"]["taskCount"].as_u64().unwrap_or_default().saturating_sub(2_000);
    assert!(over < 20, "{shown}");
    let replicas: Vec<Api> =
        world.addresses("tasks")?.iter().map(|address| api.at(format!("http://{address}"))).collect();
    let listed = api.all(&format!("{path}?limit=200"), "tasks").await?;
    let doomed: Vec<&str> = ids(&listed).into_iter().take(usize::try_from(over)? + replicas.len()).collect();
    let bulk = json!({ "ids": doomed, "delete": true });
    api.post("/api/tasks/bulk", &bulk).await?.expect(200);
    for replica in &replicas {
        eventually("room for one", SOON, async || {
            let answer = replica.post(&path, &body).await.map_err(|failure| failure.to_string())?;
            if answer.status.as_u16() == 201 { Ok(()) } else { Err(answer.text()) }
        })
        .await?;
    }
    for replica in &replicas {
        eventually("the count", SOON, async || {
            let groups = replica.all("/api/groups", "groups").await.map_err(|failure| failure.to_string())?;
            if groups[0]["taskCount"] == json!(2_000) { Ok(()) } else { Err(groups[0].to_string()) }
        })
        .await?;
        // A board has no room for what lies in its trash.
        let restore = format!("/api/tasks/{}/restore", doomed[0]);
        replica.post(&restore, &json!({})).await?.problem(409, "limit-reached");
    }
    Ok(())
}
