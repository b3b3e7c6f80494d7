//! `Idempotency-Key`: a repeated request has one effect and one answer.

use std::sync::Arc;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tidemark_acceptance::Outcome;

use super::api::{Answer, Api, IDEMPOTENCY_KEY, id, send};
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_repeated_change_gets_its_first_answer_whatever_came_between,
        a_repeated_change_that_changed_nothing_changes_nothing_again,
        a_repeated_deletion_is_told_as_done,
        a_repeated_request_gets_the_first_answer_byte_for_byte,
        the_first_answer_comes_again_after_the_entity_was_changed,
        the_first_answer_comes_again_after_the_entity_was_deleted,
        the_first_answer_comes_again_after_many_others_were_made,
        the_first_answer_comes_again_from_any_replica,
        one_key_with_another_body_is_refused,
        of_many_simultaneous_requests_with_one_key_one_makes_something,
        keys_of_other_callers_and_other_lists_are_others,
        what_is_no_key_is_refused,
        a_refused_request_does_not_use_up_its_key,
    ]
}

/// One request of each kind that makes something.
struct Creations {
    api: Api,
    group: String,
    task: String,
}

impl Creations {
    async fn of(world: &World) -> Outcome<Self> {
        let api = world.elsewhere()?;
        let group = api.new_group("group").await?;
        let task = api.new_task(&group, "task").await?;
        Ok(Self { api, group, task })
    }

    /// Paths, bodies, and what is made.
    fn all(&self) -> [(String, Value, &'static str); 4] {
        [
            ("/api/groups".to_owned(), json!({ "name": "made", "discussion": "once" }), "group"),
            (format!("/api/groups/{}/tasks", self.group), json!({ "name": "made" }), "task"),
            ("/tasks".to_owned(), json!({ "name": "made", "status": "Backlog" }), "task"),
            (format!("/api/tasks/{}/comments", self.task), json!({ "text": "made" }), "comment"),
        ]
    }
}

#[track_caller]
fn is_replay(again: Answer, first: &Answer) {
    let again = again.expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!(
        (again.header("location"), again.header("etag")),
        (first.header("location"), first.header("etag"))
    );
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
}

async fn a_repeated_request_gets_the_first_answer_byte_for_byte(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, _) in creations.all() {
        let key = unique("key");
        let first = creations.api.post_once(&path, &key, &body).await?.expect(201);
        for _ in 0..2 {
            is_replay(creations.api.post_once(&path, &key, &body).await?, &first);
        }
    }
    assert_eq!(
        creations.api.all("/api/groups", "groups").await?.len(),
        3,
        "the group, the Inbox and one more"
    );
    assert_eq!(creations.api.all("/api/tasks", "tasks").await?.len(), 3);
    let comments = format!("/api/tasks/{}/comments", creations.task);
    assert_eq!(creations.api.all(&comments, "comments").await?.len(), 1);
    Ok(())
}

async fn the_first_answer_comes_again_after_the_entity_was_changed(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, member) in creations.all() {
        if member == "comment" {
            continue;
        }
        let key = unique("key");
        let first = creations.api.post_once(&path, &key, &body).await?.expect(201);
        let made = format!("/api/{member}s/{}", first.id(member));
        creations.api.put(&made, &json!({ "name": "changed" })).await?.expect(200);
        is_replay(creations.api.post_once(&path, &key, &body).await?, &first);
    }
    Ok(())
}

async fn the_first_answer_comes_again_after_the_entity_was_deleted(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, member) in creations.all() {
        if member == "comment" {
            continue;
        }
        let key = unique("key");
        let first = creations.api.post_once(&path, &key, &body).await?.expect(201);
        let made = format!("/api/{member}s/{}", first.id(member));
        creations.api.delete(&made).await?.expect(204);
        is_replay(creations.api.post_once(&path, &key, &body).await?, &first);
        creations.api.get(&made).await?.problem(404, "not-found");
    }
    Ok(())
}

async fn the_first_answer_comes_again_after_many_others_were_made(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, _) in creations.all() {
        let key = unique("key");
        let first = creations.api.post_once(&path, &key, &body).await?.expect(201);
        // More than a page of the store holds.
        for _ in 0..70 {
            creations.api.post(&path, &body).await?.expect(201);
        }
        is_replay(creations.api.post_once(&path, &key, &body).await?, &first);
    }
    Ok(())
}

async fn the_first_answer_comes_again_from_any_replica(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    let replicas: Vec<Api> = world
        .addresses("tasks")?
        .into_iter()
        .map(|address| creations.api.at(format!("http://{address}")))
        .collect();
    for (path, body, _) in creations.all() {
        for number in 0..replicas.len() {
            let key = unique("key");
            let first = replicas[number].post_once(&path, &key, &body).await?.expect(201);
            for other in &replicas {
                is_replay(other.post_once(&path, &key, &body).await?, &first);
            }
        }
    }
    Ok(())
}

async fn one_key_with_another_body_is_refused(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, _) in creations.all() {
        let key = unique("key");
        creations.api.post_once(&path, &key, &body).await?.expect(201);
        let member = if body["text"].is_string() { "text" } else { "name" };
        let mut other = body.clone();
        other[member] = json!("other");
        creations.api.post_once(&path, &key, &other).await?.problem(422, "idempotency-key-reused");
    }
    Ok(())
}

async fn of_many_simultaneous_requests_with_one_key_one_makes_something(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, member) in creations.all() {
        let key = unique("key");
        let attempts = (0..20).map(|_| creations.api.post_once(&path, &key, &body));
        let answers = try_join_all(attempts).await?;
        let first: Vec<&Answer> =
            answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).collect();
        assert_eq!(first.len(), 1, "{path}: {}", answers.iter().map(Answer::text).collect::<String>());
        for answer in &answers {
            assert_eq!((answer.status.as_u16(), &answer.body), (201, &first[0].body), "{path}");
        }
        let made = first[0].json()[member].clone();
        let list = if member == "comment" { path.clone() } else { format!("/api/{member}s") };
        let listed = creations.api.all(&list, &format!("{member}s")).await?;
        assert_eq!(listed.iter().filter(|listed| id(listed) == id(&made)).count(), 1);
    }
    Ok(())
}

async fn keys_of_other_callers_and_other_lists_are_others(world: Arc<World>) -> Outcome {
    let (one, other) = (world.stranger()?, world.stranger()?);
    let (key, body) = (unique("key"), json!({ "name": unique("group") }));
    let first = one.post_once("/api/groups", &key, &body).await?.expect(201).id("group");
    let second = other.post_once("/api/groups", &key, &body).await?.expect(201).id("group");
    assert_ne!(first, second);
    let path = |group: &str| format!("/api/groups/{group}/tasks");
    let here = one.post_once(&path(&first), &key, &body).await?.expect(201).id("task");
    let there = one.post_once(&path(&second), &key, &body).await?.expect(201).id("task");
    assert_ne!(here, there);
    Ok(())
}

async fn what_is_no_key_is_refused(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, _) in creations.all() {
        for key in ["", "ä", &"k".repeat(256)] {
            let request = creations.api.request(Method::POST, &path).json(&body);
            let request = request.header(IDEMPOTENCY_KEY, key.as_bytes());
            send(request).await?.invalid_fields(&["Idempotency-Key"]);
        }
        let twice = creations.api.request(Method::POST, &path).json(&body);
        let twice = twice.header(IDEMPOTENCY_KEY, "one").header(IDEMPOTENCY_KEY, "one");
        send(twice).await?.invalid_fields(&["Idempotency-Key"]);
        creations.api.post_once(&path, &"k".repeat(255), &body).await?.expect(201);
    }
    Ok(())
}

async fn a_refused_request_does_not_use_up_its_key(world: Arc<World>) -> Outcome {
    let creations = Creations::of(&world).await?;
    for (path, body, _) in creations.all() {
        let key = unique("key");
        creations.api.post_once(&path, &key, &json!({})).await?.any_problem();
        creations.api.post_once(&path, &key, &body).await?.expect(201);
    }
    Ok(())
}

async fn a_repeated_change_gets_its_first_answer_whatever_came_between(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "task").await?;
    for path in [format!("/api/groups/{group}"), format!("/api/tasks/{task}")] {
        let (key, change) = (unique("key"), json!({ "name": "first" }));
        let put = async |body: &serde_json::Value| {
            send(api.request(Method::PUT, &path).header(IDEMPOTENCY_KEY, &key).json(body)).await
        };
        let first = put(&change).await?.expect(200);
        api.put(&path, &json!({ "name": "second" })).await?.expect(200);
        let again = put(&change).await?.expect(200);
        assert_eq!((again.version(), again.header("idempotency-replayed")), (first.version(), Some("true")));
        let (name, shown) = if path.contains("groups") { ("group", "group") } else { ("task", "task") };
        assert_eq!(again.json()[name]["name"], json!("first"));
        assert_eq!(api.get(&path).await?.expect(200).json()[shown]["name"], json!("second"));
        put(&json!({ "name": "other" })).await?.problem(422, "idempotency-key-reused");
    }
    Ok(())
}

async fn a_repeated_change_that_changed_nothing_changes_nothing_again(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "task").await?;
    for (path, change) in [
        (format!("/api/groups/{group}"), json!({ "discussion": "" })),
        (format!("/api/tasks/{task}/status"), json!({ "status": "New" })),
    ] {
        let key = unique("key");
        for replayed in [None, Some("true")] {
            let request = api.request(Method::PUT, &path).header(IDEMPOTENCY_KEY, &key).json(&change);
            let answer = send(request).await?.expect(200);
            assert_eq!((answer.version(), answer.header("idempotency-replayed")), ("1", replayed));
        }
    }
    Ok(())
}

async fn a_repeated_deletion_is_told_as_done(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "task").await?;
    for path in [format!("/api/tasks/{task}"), format!("/api/groups/{group}")] {
        let key = unique("key");
        for replayed in [None, Some("true")] {
            let request = api.request(Method::DELETE, &path).header(IDEMPOTENCY_KEY, &key);
            let answer = send(request).await?.expect(204);
            assert_eq!(answer.header("idempotency-replayed"), replayed);
        }
        api.delete(&path).await?.problem(404, "not-found");
    }
    Ok(())
}
