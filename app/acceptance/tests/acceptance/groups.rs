//! Groups: made, shown, changed.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_acceptance::Outcome;

use super::api::{id, ids};
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_new_group_is_answered_with_its_place_and_version,
        a_group_is_named_by_one_to_a_hundred_characters,
        a_group_is_shown_with_its_tasks_and_their_comments,
        a_changed_group_keeps_what_was_not_named,
        a_change_that_changes_nothing_is_no_new_version,
        a_group_that_nobody_knows_is_not_found,
        the_inbox_takes_tasks_without_a_group_and_stays,
    ]
}

async fn a_new_group_is_answered_with_its_place_and_version(world: Arc<World>) -> Outcome {
    let name = unique("Launch");
    let body = json!({ "name": format!(" {name}\t"), "discussion": "first\nsecond" });
    let answer = world.member().post("/api/groups", &body).await?.expect(201);
    let group = &answer.json()["group"];
    assert_eq!((&group["name"], &group["discussion"]), (&json!(name), &json!("first\nsecond")));
    assert_eq!((&group["tasks"], &group["taskCount"], &group["version"]), (&json!([]), &json!(0), &json!(1)));
    assert_eq!(group["createdBy"], json!(world.member.id));
    assert_eq!(group["createdAt"], group["updatedAt"]);
    assert!(
        group["createdAt"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
        "{group}"
    );
    assert_eq!(answer.header("location"), Some(format!("/api/groups/{}", id(group)).as_str()));
    assert_eq!(answer.version(), "1");
    let shown = world.member().get(&format!("/api/groups/{}", id(group))).await?.expect(200);
    assert_eq!((&shown.json()["group"], shown.version()), (group, "1"));
    Ok(())
}

async fn a_group_is_named_by_one_to_a_hundred_characters(world: Arc<World>) -> Outcome {
    let create = async |body: Value| world.member().post("/api/groups", &body).await;
    create(json!({})).await?.invalid_fields(&["/name"]);
    create(json!({ "name": null })).await?.invalid_fields(&["/name"]);
    create(json!({ "name": "  " })).await?.invalid_fields(&["/name"]);
    create(json!({ "name": "ä".repeat(101) })).await?.invalid_fields(&["/name"]);
    create(json!({ "name": "a\u{0}b" })).await?.invalid_fields(&["/name"]);
    create(json!({ "name": ["list"] })).await?.invalid_fields(&["/name"]);
    let both = json!({ "name": "", "discussion": "x".repeat(1001) });
    let refused = create(both).await?;
    refused.invalid_fields(&["/name", "/discussion"]);
    assert_eq!(refused.json()["error"], json!("name is required"));
    create(json!({ "name": "ä".repeat(100), "discussion": "ö".repeat(1000) })).await?.expect(201);
    Ok(())
}

async fn a_group_is_shown_with_its_tasks_and_their_comments(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let (one, two) = (api.new_task(&group, "one").await?, api.new_task(&group, "two").await?);
    api.post(&format!("/api/tasks/{one}/comments"), &json!({ "text": "hello" })).await?.expect(201);
    let shown = api.get(&format!("/api/groups/{group}")).await?.expect(200).json()["group"].clone();
    assert_eq!(shown["taskCount"], json!(2));
    let tasks = shown["tasks"].as_array().cloned().unwrap_or_default();
    assert_eq!(ids(&tasks), [one.as_str(), two.as_str()]);
    assert_eq!((&tasks[0]["commentCount"], &tasks[1]["commentCount"]), (&json!(1), &json!(0)));
    assert_eq!(tasks[0]["comments"][0]["text"], json!("hello"));
    assert_eq!(tasks[1]["comments"], json!([]));
    Ok(())
}

async fn a_changed_group_keeps_what_was_not_named(world: Arc<World>) -> Outcome {
    let api = world.member();
    let body = json!({ "name": unique("before"), "discussion": "stays" });
    let created = api.post("/api/groups", &body).await?.expect(201).json()["group"].clone();
    let path = format!("/api/groups/{}", id(&created));
    let name = unique("after");
    let answer = api.put(&path, &json!({ "name": name })).await?.expect(200);
    let changed = &answer.json()["group"];
    assert_eq!((&changed["name"], &changed["discussion"]), (&json!(name), &json!("stays")));
    assert_eq!((&changed["version"], answer.version()), (&json!(2), "2"));
    assert_eq!(changed["createdAt"], created["createdAt"]);
    let cleared = api.put(&path, &json!({ "discussion": "" })).await?.expect(200).json();
    assert_eq!((&cleared["group"]["name"], &cleared["group"]["discussion"]), (&json!(name), &json!("")));
    api.put(&path, &json!({ "name": "" })).await?.invalid_fields(&["/name"]);
    api.put(&path, &json!({ "discussion": "x".repeat(1001) })).await?.invalid_fields(&["/discussion"]);
    Ok(())
}

async fn a_change_that_changes_nothing_is_no_new_version(world: Arc<World>) -> Outcome {
    let name = unique("same");
    let group = world.member().new_group(&name).await?;
    let answer =
        world.member().put(&format!("/api/groups/{group}"), &json!({ "name": name })).await?.expect(200);
    assert_eq!(answer.version(), "1");
    Ok(())
}

async fn a_group_that_nobody_knows_is_not_found(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("gone")).await?;
    let task = api.new_task(&group, "task").await?;
    api.delete(&format!("/api/groups/{group}")).await?.expect(204);
    // One that is gone, one that never was, an id of another kind, and what is no id at all.
    for unknown in [group.as_str(), "g00000000000000000g00", task.as_str(), "x", "%20"] {
        let path = format!("/api/groups/{unknown}");
        api.get(&path).await?.problem(404, "not-found");
        api.put(&path, &json!({ "name": "x" })).await?.problem(404, "not-found");
        api.delete(&path).await?.problem(404, "not-found");
        api.get(&format!("{path}/tasks")).await?.problem(404, "not-found");
        api.post(&format!("{path}/tasks"), &json!({ "name": "x" })).await?.problem(404, "not-found");
    }
    Ok(())
}

async fn the_inbox_takes_tasks_without_a_group_and_stays(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let body = json!({ "name": "loose" });
    // Several at once must not make several inboxes.
    let (one, two) = tokio::try_join!(api.post("/tasks", &body), api.post("/api/tasks", &body))?;
    let inbox = one.expect(201).json()["task"]["groupId"].clone();
    assert_eq!(two.expect(201).json()["task"]["groupId"], inbox);
    let groups = api.all("/api/groups", "groups").await?;
    assert_eq!((groups.len(), &groups[0]["_id"], &groups[0]["name"]), (1, &inbox, &json!("Inbox")));
    let path = format!("/api/groups/{}", id(&groups[0]));
    api.delete(&path).await?.problem(409, "inbox-stays");
    assert_eq!(api.get(&path).await?.expect(200).json()["group"]["taskCount"], json!(2));
    Ok(())
}
