//! One change of many tasks.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_acceptance::{Outcome, eventually};
use tidemark_domain::{GroupId, TaskId};

use super::api::{Api, ids};
use super::run::Trial;
use super::store;
use super::world::{SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        many_tasks_over_many_pages_are_changed_by_one_call,
        a_repeated_bulk_change_is_told_the_same_and_made_once,
        a_repeated_bulk_change_is_told_what_was_done_though_its_surroundings_are_gone,
        ids_that_nobody_gave_out_leave_nothing_in_the_store,
        long_texts_are_changed_and_shown_together,
        many_tasks_are_moved_together_and_keep_their_order,
        many_tasks_are_deleted_by_one_call_and_come_back_one_by_one,
        of_many_tasks_those_that_cannot_be_changed_say_why,
        a_bulk_change_that_says_nothing_or_too_much_is_refused,
    ]
}

const BULK: &str = "/api/tasks/bulk";

async fn tasks(api: &Api, group: &str, count: usize) -> Outcome<Vec<String>> {
    let mut tasks = Vec::new();
    for number in 0..count {
        tasks.push(api.new_task(group, &number.to_string()).await?);
    }
    Ok(tasks)
}

fn outcomes(answer: &Value) -> Vec<(&str, &str)> {
    let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
    results.iter().filter_map(|result| Some((result["id"].as_str()?, result["outcome"].as_str()?))).collect()
}

async fn many_tasks_over_many_pages_are_changed_by_one_call(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let (one, other) = (api.new_group("one").await?, api.new_group("other").await?);
    // In an order that is not that of the pages.
    let mut made = tasks(&api, &one, 130).await?;
    made.splice(3..3, tasks(&api, &other, 3).await?);
    let body = json!({ "ids": made, "status": "Completed", "endDate": "2026-12-24" });
    let answer = api.post(BULK, &body).await?.expect(200).json();
    let expected: Vec<(&str, &str)> = made.iter().map(|id| (id.as_str(), "done")).collect();
    assert_eq!(outcomes(&answer), expected);
    // A new day is one change, and a new status one more.
    assert!(answer["results"].as_array().into_iter().flatten().all(|result| result["version"] == json!(3)));
    for task in api.all("/api/tasks?limit=200", "tasks").await? {
        assert_eq!((&task["status"], &task["endDate"]), (&json!("Completed"), &json!("2026-12-24")));
    }
    let action = answer["actionId"].as_str().unwrap_or_default();
    let sql = "SELECT count(*) AS rows, count(DISTINCT task_id) AS tasks FROM todo_event_logs \
               WHERE action_id = $1::text::uuid";
    eventually("all marks of the action", SOON, async || {
        let rows = world.observer.rows(sql, &[action]).await.map_err(|failure| failure.to_string())?;
        let expected = json!({ "rows": 2 * made.len(), "tasks": made.len() });
        if rows == [expected] { Ok(()) } else { Err(format!("{rows:?}")) }
    })
    .await
}

async fn a_repeated_bulk_change_is_told_the_same_and_made_once(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let made = tasks(api, &group, 3).await?;
    let (key, body) = (unique("key"), json!({ "ids": made, "status": "Backlog" }));
    let first = api.post_once(BULK, &key, &body).await?.expect(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    api.put(&format!("/api/tasks/{}", made[1]), &json!({ "status": "New" })).await?.expect(200);
    let again = api.post_once(BULK, &key, &body).await?.expect(200);
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&first.body, Some("true")));
    let shown = api.get(&format!("/api/tasks/{}", made[1])).await?.expect(200);
    assert_eq!((shown.version(), &shown.json()["task"]["status"]), ("3", &json!("New")));
    let other = json!({ "ids": made, "status": "Approved" });
    api.post_once(BULK, &key, &other).await?.problem(422, "idempotency-key-reused");
    // Also where the other tasks lie in pages that have not seen the key.
    let elsewhere = api.new_task(&api.new_group(&unique("group")).await?, "elsewhere").await?;
    let other = json!({ "ids": [elsewhere], "status": "Backlog" });
    api.post_once(BULK, &key, &other).await?.problem(422, "idempotency-key-reused");
    Ok(())
}

async fn a_repeated_bulk_change_is_told_what_was_done_though_its_surroundings_are_gone(
    world: Arc<World>,
) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let made = tasks(api, &group, 3).await?;
    let (key, body) = (unique("key"), json!({ "ids": [made[0]], "after": made[2] }));
    let first = api.post_once(BULK, &key, &body).await?.expect(200);
    api.delete(&format!("/api/tasks/{}", made[2])).await?.expect(204);
    assert_eq!(api.post_once(BULK, &key, &body).await?.expect(200).body, first.body);
    api.post(BULK, &body).await?.invalid_fields(&["/after"]);
    api.post_once(BULK, &unique("key"), &body).await?.invalid_fields(&["/after"]);
    Ok(())
}

async fn ids_that_nobody_gave_out_leave_nothing_in_the_store(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group: GroupId = api.new_group(&unique("group")).await?.parse()?;
    let made_up: Vec<String> =
        (1_000..1_020).map(|page| TaskId::new(group, page, [7; 8]).to_string()).collect();
    let body = json!({ "ids": made_up, "status": "New" });
    let answer = api.post_once(BULK, &unique("key"), &body).await?.expect(200).json();
    assert!(outcomes(&answer).iter().all(|(_, outcome)| *outcome == "refused"), "{answer}");
    let pages = format!("tasks/*/{group}/1*");
    assert_eq!(store::count(&world, "return #redis.call('KEYS', ARGV[1])", &pages).await?, 0);
    Ok(())
}

async fn long_texts_are_changed_and_shown_together(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let group = api.new_group("long").await?;
    let made = tasks(&api, &group, 130).await?;
    let long = "\u{1f986}".repeat(5_000);
    for description in [&long, "short"] {
        let body = json!({ "ids": made, "description": description, "endDate": null });
        let answer = api.post(BULK, &body).await?.expect(200).json();
        assert!(outcomes(&answer).iter().all(|(_, outcome)| *outcome == "done"), "{answer}");
        let shown = api.get(&format!("/api/groups/{group}?limit=200")).await?.expect(200).json();
        let shown = shown["group"]["tasks"].as_array().cloned().unwrap_or_default();
        assert!(shown.len() == 130 && shown.iter().all(|task| task["description"] == json!(description)));
    }
    Ok(())
}

async fn many_tasks_are_moved_together_and_keep_their_order(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let made = tasks(api, &group, 70).await?;
    let board = async || -> Outcome<Vec<String>> {
        let shown = api.get(&format!("/api/groups/{group}?limit=200")).await?.expect(200).json();
        let tasks = shown["group"]["tasks"].as_array().cloned().unwrap_or_default();
        Ok(ids(&tasks).into_iter().map(str::to_owned).collect())
    };
    let moved = [&made[69], &made[2], &made[33]];
    let body = json!({ "ids": moved, "after": made[10], "before": made[11], "status": "In Progress" });
    api.post(BULK, &body).await?.expect(200);
    let mut expected: Vec<&String> = made.iter().filter(|id| !moved.contains(id)).collect();
    let place = expected.iter().position(|id| **id == made[11]).unwrap_or_default();
    expected.splice(place..place, moved);
    assert_eq!(board().await?.iter().collect::<Vec<_>>(), expected);

    let body = json!({ "ids": [made[5], made[4]], "before": made[0] });
    api.post(BULK, &body).await?.expect(200);
    assert_eq!(board().await?[..3], [made[5].clone(), made[4].clone(), made[0].clone()]);
    let last = board().await?.pop().unwrap_or_default();
    let body = json!({ "ids": [made[0], made[1]], "after": last });
    api.post(BULK, &body).await?.expect(200);
    assert_eq!(board().await?[68..], [made[0].clone(), made[1].clone()]);
    Ok(())
}

async fn many_tasks_are_deleted_by_one_call_and_come_back_one_by_one(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let group = api.new_group("group").await?;
    let made = tasks(&api, &group, 66).await?;
    let answer = api.post(BULK, &json!({ "ids": made, "delete": true })).await?.expect(200).json();
    assert!(outcomes(&answer).iter().all(|(_, outcome)| *outcome == "done"), "{answer}");
    assert!(api.all("/api/tasks", "tasks").await?.is_empty());
    for task in [&made[0], &made[65]] {
        api.post(&format!("/api/tasks/{task}/restore"), &json!({})).await?.expect(200);
    }
    let back = api.all("/api/tasks", "tasks").await?;
    assert_eq!(ids(&back).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([&*made[0], &*made[65]]));
    Ok(())
}

async fn of_many_tasks_those_that_cannot_be_changed_say_why(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let made = tasks(api, &group, 3).await?;
    api.put(&format!("/api/tasks/{}", made[0]), &json!({ "endDate": "2026-05-01" })).await?.expect(200);
    api.delete(&format!("/api/tasks/{}", made[1])).await?.expect(204);
    let theirs = world.elsewhere()?;
    let foreign = theirs.new_task(&theirs.new_group("theirs").await?, "theirs").await?;
    let asked = json!([made[0], made[1], "nonsense", foreign, made[2]]);
    let body = json!({ "ids": asked, "startDate": "2026-06-01" });
    let answer = api.post(BULK, &body).await?.expect(200).json();
    let codes: Vec<&str> = answer["results"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|result| result["code"].as_str().unwrap_or("none"))
        .collect();
    assert_eq!(codes, ["invalid-input", "not-found", "not-found", "not-found", "none"], "{answer}");
    let told = answer["results"][0]["error"].as_str().unwrap_or_default();
    assert!(told.contains("endDate"), "{told}");
    Ok(())
}

async fn a_bulk_change_that_says_nothing_or_too_much_is_refused(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "task").await?;
    let elsewhere = api.new_task(&api.new_group(&unique("group")).await?, "elsewhere").await?;
    let many: Vec<String> = (0..501).map(|number| format!("t{number}")).collect();
    for (body, pointer) in [
        (json!({ "ids": [], "status": "New" }), "/ids"),
        (json!({ "ids": many, "status": "New" }), "/ids"),
        (json!({ "ids": [task, task], "status": "New" }), "/ids"),
        (json!({ "ids": [task] }), "/ids"),
        (json!({ "ids": [task], "delete": true, "status": "New" }), "/delete"),
        (json!({ "ids": [task], "status": "Done" }), "/status"),
        (json!({ "ids": [task], "name": null }), "/name"),
        (json!({ "ids": [task], "after": elsewhere }), "/after"),
        (json!({ "ids": [task], "before": task }), "/before"),
        (json!({ "ids": [task], "stauts": "New" }), "/stauts"),
    ] {
        api.post(BULK, &body).await?.invalid_fields(&[pointer]);
    }
    api.post(BULK, &json!({ "status": "New" })).await?.problem(400, "invalid-input");
    Ok(())
}
