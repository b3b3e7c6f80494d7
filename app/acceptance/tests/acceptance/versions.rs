//! `ETag` and `If-Match`: nobody overwrites what they have not seen.

use std::sync::Arc;

use futures_util::future::try_join_all;
use reqwest::Method;
use reqwest::header::{IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value, json};
use tidemark_acceptance::Outcome;

use super::api::{Answer, send};
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_change_of_the_version_that_was_read_is_made,
        a_stale_change_is_refused_with_the_current_version,
        a_stale_deletion_is_refused,
        of_many_changes_of_one_version_one_is_made,
        what_is_no_version_is_refused,
        what_shall_be_new_is_not_changed,
        a_condition_that_would_decide_nothing_is_refused,
        a_read_names_the_version_that_a_change_left,
        a_read_that_is_known_is_told_so_without_a_body,
        what_a_read_gave_may_be_sent_back,
        a_member_that_nobody_sets_is_not_changed_by_sending_another_one,
    ]
}

#[track_caller]
fn stale(answer: &Answer, current: u64) {
    let document = answer.problem(412, "stale-version");
    assert_eq!(
        (&document["currentVersion"], answer.version()),
        (&json!(current), current.to_string().as_str())
    );
}

/// A group and a task, and for each a body that changes it.
async fn entities(world: &World) -> Outcome<[(String, Value); 2]> {
    let group = world.member().new_group(&unique("group")).await?;
    let task = world.member().new_task(&group, "task").await?;
    Ok([
        (format!("/api/groups/{group}"), json!({ "discussion": unique("new") })),
        (format!("/api/tasks/{task}"), json!({ "description": unique("new") })),
    ])
}

async fn a_change_of_the_version_that_was_read_is_made(world: Arc<World>) -> Outcome {
    let api = world.member();
    for (path, change) in entities(&world).await? {
        let read = api.get(&path).await?.expect(200);
        assert_eq!(api.put_if(&path, read.tag(), &change).await?.expect(200).version(), "2");
        let other = json!({ "name": "any version" });
        assert_eq!(api.put_if(&path, "*", &other).await?.expect(200).version(), "3");
        let list = json!({ "name": "one of a list" });
        assert_eq!(api.put_if(&path, "\"7\", ,\"3\",", &list).await?.expect(200).version(), "4");
        // Past the edge: NGINX takes one line of this kind.
        let process = api.at(format!("http://{}", world.addresses("tasks")?.remove(0)));
        let lines = process.request(Method::PUT, &path).header(IF_MATCH, "\"7\"").header(IF_MATCH, "\"4\"");
        let lines = send(lines.json(&json!({ "name": "one of two lines" }))).await?;
        assert_eq!(lines.expect(200).version(), "5");
    }
    Ok(())
}

async fn a_stale_change_is_refused_with_the_current_version(world: Arc<World>) -> Outcome {
    let api = world.member();
    for (path, change) in entities(&world).await? {
        api.put(&path, &change).await?.expect(200);
        let before = api.get(&path).await?.expect(200);
        stale(&api.put_if(&path, "\"1\"", &json!({ "name": "late" })).await?, 2);
        stale(&api.put_if(&path, "\"3\", \"99\"", &json!({ "name": "early" })).await?, 2);
        assert_eq!(api.get(&path).await?.expect(200).body, before.body);
        if path.contains("/tasks/") {
            let status = json!({ "status": "Approved" });
            stale(&api.put_if(&format!("{path}/status"), "\"1\"", &status).await?, 2);
        }
    }
    Ok(())
}

async fn a_stale_deletion_is_refused(world: Arc<World>) -> Outcome {
    let api = world.member();
    // The task first: it goes with its group.
    for (path, change) in entities(&world).await?.into_iter().rev() {
        api.put(&path, &change).await?.expect(200);
        let delete =
            async |versions: &str| send(api.request(Method::DELETE, &path).header(IF_MATCH, versions)).await;
        stale(&delete("\"1\"").await?, 2);
        api.get(&path).await?.expect(200);
        delete("\"2\"").await?.expect(204);
        api.get(&path).await?.problem(404, "not-found");
    }
    Ok(())
}

async fn of_many_changes_of_one_version_one_is_made(world: Arc<World>) -> Outcome {
    for (path, _) in entities(&world).await? {
        let attempts = (0..12).map(|number| {
            let (api, path) = (world.member(), path.clone());
            async move { api.put_if(&path, "\"1\"", &json!({ "name": format!("attempt {number}") })).await }
        });
        let answers = try_join_all(attempts).await?;
        let (made, refused): (Vec<Answer>, Vec<Answer>) =
            answers.into_iter().partition(|answer| answer.status.is_success());
        assert_eq!(made.len(), 1, "{path}");
        for answer in &refused {
            stale(answer, 2);
        }
    }
    Ok(())
}

async fn what_is_no_version_is_refused(world: Arc<World>) -> Outcome {
    for (path, change) in entities(&world).await? {
        for foreign in
            ["\"one\"", "\"-1\"", "\"+1\"", "\"01\"", "\"99999999999999999999\"", "\"one,1\"", ",\"\","]
        {
            world.member().put_if(&path, foreign, &change).await?.problem(412, "stale-version");
        }
        let latin = world.member().request(Method::PUT, &path).header(IF_MATCH, &b"\"\xe4\""[..]);
        send(latin.json(&change)).await?.problem(412, "stale-version");
        for versions in ["1", "w/\"1\"", "", "\"1\" \"2\"", "\"1"] {
            world.member().put_if(&path, versions, &change).await?.invalid_fields(&["If-Match"]);
        }
    }
    Ok(())
}

async fn what_shall_be_new_is_not_changed(world: Arc<World>) -> Outcome {
    let api = world.member();
    for (path, change) in entities(&world).await? {
        let ask = async |method: Method, path: &str, tags: &str| {
            let request = api.request(method.clone(), path).header(IF_NONE_MATCH, tags.to_owned());
            send(if method == Method::PUT { request.json(&change) } else { request }).await
        };
        let read = api.get(&path).await?.expect(200);
        for method in [Method::PUT, Method::DELETE] {
            for tags in ["*", "\"1\"", "\"x\", W/\"1\"", read.tag()] {
                stale(&ask(method.clone(), &path, tags).await?, 1);
            }
            ask(method.clone(), &path, "1").await?.invalid_fields(&["If-None-Match"]);
            let nowhere = format!("{path}00");
            ask(method, &nowhere, "*").await?.problem(404, "not-found");
        }
        assert_eq!(api.get(&path).await?.expect(200).body, read.body);
        assert_eq!(ask(Method::PUT, &path, "\"7\", \"x\"").await?.expect(200).version(), "2");
    }
    Ok(())
}

async fn a_condition_that_would_decide_nothing_is_refused(world: Arc<World>) -> Outcome {
    let api = world.member();
    let [(group, _), (task, _)] = entities(&world).await?;
    let (comments, restore) = (format!("{task}/comments"), format!("{task}/restore"));
    for (method, path, body) in [
        (Method::POST, "/api/groups", json!({ "name": "x" })),
        (Method::POST, "/api/tasks", json!({ "name": "x" })),
        (Method::POST, &comments, json!({ "text": "x" })),
        (Method::POST, &restore, json!({})),
        (Method::POST, "/api/tasks/bulk", json!({ "ids": ["x"], "status": "New" })),
        (Method::GET, &group, json!(null)),
        (Method::GET, &task, json!(null)),
    ] {
        for (name, told) in [(IF_MATCH, "If-Match"), (IF_NONE_MATCH, "If-None-Match")] {
            if method == Method::GET && name == IF_NONE_MATCH {
                continue;
            }
            let request = api.request(method.clone(), path).header(name, "*");
            let request = if method == Method::GET { request } else { request.json(&body) };
            send(request).await?.invalid_fields(&[told]);
        }
    }
    Ok(())
}

async fn a_read_names_the_version_that_a_change_left(world: Arc<World>) -> Outcome {
    for (path, change) in entities(&world).await? {
        let changed = world.member().put(&path, &change).await?.expect(200);
        assert_eq!(world.member().get(&path).await?.expect(200).version(), changed.version());
    }
    Ok(())
}

async fn a_read_that_is_known_is_told_so_without_a_body(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    let task = world.member().new_task(&group, "task").await?;
    let path = format!("/api/tasks/{task}");
    let read = world.member().get(&path).await?.expect(200);
    let ask = async |tag: &str| {
        send(world.member().request(Method::GET, &path).header(IF_NONE_MATCH, tag.to_owned())).await
    };
    for known in [read.tag().to_owned(), format!("\"x\", {}", read.tag().trim_start_matches("W/"))] {
        let answer = ask(&known).await?.expect(304);
        assert_eq!((answer.body.len(), answer.tag()), (0, read.tag()));
    }
    // Past the edge: NGINX takes one line of this kind.
    let address = world.addresses("tasks")?.remove(0);
    let process = world.member().at(format!("http://{address}"));
    let lines = process.request(Method::GET, &path).header(IF_NONE_MATCH, "\"x\"");
    send(lines.header(IF_NONE_MATCH, read.tag())).await?.expect(304);
    // A comment does not change its task's version, and yet what is shown.
    let comment = json!({ "text": "news" });
    world.member().post(&format!("{path}/comments"), &comment).await?.expect(201);
    let changed = ask(read.tag()).await?.expect(200);
    assert_eq!((changed.version(), changed.tag() != read.tag()), (read.version(), true));
    Ok(())
}

async fn what_a_read_gave_may_be_sent_back(world: Arc<World>) -> Outcome {
    for (path, _) in entities(&world).await? {
        let read = world.member().get(&path).await?.expect(200).json();
        let body = read["group"].as_object().or_else(|| read["task"].as_object()).cloned();
        let body = Value::from(body.unwrap_or_default());
        assert_eq!(world.member().put(&path, &body).await?.expect(200).version(), "1");
        let mut renamed = body;
        renamed["name"] = json!("renamed");
        assert_eq!(world.member().put(&path, &renamed).await?.expect(200).version(), "2");
        // It says which version it was read from.
        stale(&world.member().put(&path, &renamed).await?, 2);
    }
    Ok(())
}

async fn a_member_that_nobody_sets_is_not_changed_by_sending_another_one(world: Arc<World>) -> Outcome {
    for (path, _) in entities(&world).await? {
        for member in ["_id", "createdBy", "createdAt", "updatedAt"] {
            let body = json!({ "name": "x", member: "2026-01-01T00:00:00.000Z" });
            world.member().put(&path, &body).await?.invalid_fields(&[&format!("/{member}")]);
        }
        assert_eq!(world.member().get(&path).await?.expect(200).version(), "1");
    }
    Ok(())
}
