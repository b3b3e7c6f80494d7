//! What goes with a group and with a task, and comes back with them.

use std::process::Stdio;
use std::sync::Arc;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::json;
use tidemark_acceptance::{Failure, Outcome, eventually};
use tidemark_stack::SidecarOptions;
use tokio::process::Command;

use super::api::{ids, send};
use super::run::{Topology, Trial};
use super::store;
use super::world::{RECOVERY, SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_deleted_group_takes_its_tasks_and_their_comments_along,
        a_deleted_task_takes_its_comments_along,
        a_deleted_group_leaves_one_mark_for_all_that_is_in_it,
        a_deleted_task_comes_back_with_its_comments,
        a_restored_group_comes_back_with_what_was_in_it_but_not_with_what_was_deleted_before,
        what_never_was_cannot_be_restored,
        a_task_made_while_its_group_is_deleted_is_refused_or_deleted,
        a_deleted_thing_can_be_deleted_once,
    ]
}

/// Alone: for a moment the trash of everybody is emptied.
pub fn quiet_trials() -> Vec<Trial> {
    trials![what_has_lain_in_the_trash_for_its_time_is_gone_with_all_that_belonged_to_it]
}

async fn a_deleted_group_takes_its_tasks_and_their_comments_along(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let (group, kept) = (api.new_group("goes").await?, api.new_group("stays").await?);
    let mut tasks = Vec::new();
    // More than one page of the store holds.
    for number in 0..66 {
        tasks.push(api.new_task(&group, &number.to_string()).await?);
    }
    let comments = |task: &str| format!("/api/tasks/{task}/comments");
    api.post(&comments(&tasks[65]), &json!({ "text": "goes too" })).await?.expect(201);
    let answer = api.delete(&format!("/api/groups/{group}")).await?.expect(204);
    assert!(answer.body.is_empty());
    api.get(&format!("/api/groups/{group}")).await?.problem(404, "not-found");
    for task in [&tasks[0], &tasks[65]] {
        api.get(&format!("/api/tasks/{task}")).await?.problem(404, "not-found");
        api.get(&comments(task)).await?.problem(404, "not-found");
        api.post(&comments(task), &json!({ "text": "late" })).await?.problem(404, "not-found");
    }
    assert!(api.all("/api/tasks", "tasks").await?.is_empty());
    assert_eq!(api.all("/api/groups", "groups").await?[0]["_id"], json!(kept));
    Ok(())
}

async fn a_deleted_task_takes_its_comments_along(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let (gone, kept) = (api.new_task(&group, "goes").await?, api.new_task(&group, "stays").await?);
    api.post(&format!("/api/tasks/{gone}/comments"), &json!({ "text": "x" })).await?.expect(201);
    api.delete(&format!("/tasks/{gone}")).await?.expect(204);
    api.get(&format!("/api/tasks/{gone}/comments")).await?.problem(404, "not-found");
    let shown = api.get(&format!("/api/groups/{group}")).await?.expect(200).json()["group"].clone();
    assert_eq!((&shown["taskCount"], &shown["tasks"][0]["_id"]), (&json!(1), &json!(kept)));
    Ok(())
}

async fn a_deleted_group_leaves_one_mark_for_all_that_is_in_it(world: Arc<World>) -> Outcome {
    let api = world.member();
    let name = unique("group");
    let group = api.new_group(&name).await?;
    api.new_task(&group, "one").await?;
    api.delete(&format!("/api/groups/{group}")).await?.expect(204);
    let restored = api.post(&format!("/api/groups/{group}/restore"), &json!({})).await?.expect(200);
    assert_eq!(restored.json()["group"]["version"], json!(3));
    eventually("the marks in the log", SOON, async || {
        let log = world.log_of_group(api, &group).await.map_err(|failure| failure.to_string())?;
        let told: Vec<&str> = log.iter().filter_map(|row| row["changes"].as_str()).collect();
        let expected = [
            format!("Group '{name}' was created"),
            "Task 'one' was created".to_owned(),
            format!("Group '{name}' was deleted"),
            format!("Group '{name}' was restored"),
        ];
        if told == expected { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await
}

async fn a_deleted_task_comes_back_with_its_comments(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = format!("/api/tasks/{}", api.new_task(&group, "back").await?);
    api.post(&format!("{task}/comments"), &json!({ "text": "kept" })).await?.expect(201);
    let before = api.get(&task).await?.expect(200).json()["task"].clone();
    api.delete(&task).await?.expect(204);
    for path in [format!("{task}/status"), task.clone(), format!("{task}/position")] {
        let body = if path.ends_with("position") { json!({}) } else { json!({ "status": "Backlog" }) };
        api.put(&path, &body).await?.problem(404, "not-found");
    }

    let (key, restore) = (unique("key"), format!("{task}/restore"));
    let restored = api.post_once(&restore, &key, &json!({})).await?.expect(200);
    assert_eq!(restored.version(), "3", "the deletion counts, and so does the restoration");
    let again = api.post_once(&restore, &key, &json!({})).await?.expect(200);
    assert_eq!((again.body, again.headers.get("idempotency-replayed").is_some()), (restored.body, true));
    let mut after = api.get(&task).await?.expect(200).json()["task"].clone();
    for member in ["version", "updatedAt"] {
        after[member] = before[member].clone();
    }
    assert_eq!(after, before);
    let path = format!("{}/restore", task.replace("/api", ""));
    let unchanged = send(api.request(Method::POST, &path)).await?.expect(200);
    api.post(&path, &json!({ "name": "x" })).await?.invalid_fields(&["/name"]);
    assert_eq!(unchanged.version(), "3", "what is not in the trash stays as it is");
    Ok(())
}

async fn a_restored_group_comes_back_with_what_was_in_it_but_not_with_what_was_deleted_before(
    world: Arc<World>,
) -> Outcome {
    let api = world.elsewhere()?;
    let group = api.new_group("back").await?;
    let path = format!("/api/groups/{group}");
    let (kept, gone) = (api.new_task(&group, "kept").await?, api.new_task(&group, "gone").await?);
    api.post(&format!("/api/tasks/{kept}/comments"), &json!({ "text": "too" })).await?.expect(201);
    api.delete(&format!("/api/tasks/{gone}")).await?.expect(204);
    api.delete(&path).await?.expect(204);
    let restore_task = format!("/api/tasks/{kept}/restore");
    api.post(&restore_task, &json!({})).await?.problem(404, "not-found");
    api.post(&format!("{path}/tasks"), &json!({ "name": "late" })).await?.problem(404, "not-found");
    api.put(&path, &json!({ "name": "late" })).await?.problem(404, "not-found");
    assert!(api.all("/api/groups?include=tasks", "groups").await?.is_empty());

    let restored = api.post(&format!("{path}/restore"), &json!({})).await?.expect(200).json();
    assert_eq!(restored["group"]["name"], json!("back"));
    let shown = api.get(&path).await?.expect(200).json()["group"].clone();
    assert_eq!(ids(shown["tasks"].as_array().map_or(&[], Vec::as_slice)), [kept.as_str()]);
    assert_eq!(shown["tasks"][0]["comments"][0]["text"], json!("too"));
    api.post(&format!("/api/tasks/{gone}/restore"), &json!({})).await?.expect(200);
    assert_eq!(api.get(&path).await?.expect(200).json()["group"]["taskCount"], json!(2));
    Ok(())
}

async fn what_never_was_cannot_be_restored(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let foreign = world.elsewhere()?.new_group("theirs").await?;
    let unknown = "g".to_owned() + &"a".repeat(20);
    for path in [
        format!("/api/groups/{unknown}/restore"),
        format!("/api/groups/{foreign}/restore"),
        format!("/api/tasks/{group}/restore"),
        "/api/tasks/nonsense/restore".to_owned(),
    ] {
        api.post(&path, &json!({})).await?.problem(404, "not-found");
    }
    Ok(())
}

/// Whether a text lies anywhere in the store.
async fn store_holds(world: &World, needle: &str) -> Outcome<bool> {
    let script = "for _, key in ipairs(redis.call('KEYS', '*')) do if redis.call('TYPE', key).ok == 'hash' then \
                  local data = redis.call('HGET', key, 'data'); \
                  if data and string.find(data, ARGV[1], 1, true) then return 1 end end end return 0";
    Ok(store::count(world, script, needle).await? == 1)
}

async fn what_has_lain_in_the_trash_for_its_time_is_gone_with_all_that_belonged_to_it(
    world: Arc<World>,
) -> Outcome {
    let api = world.elsewhere()?;
    let [kept, task_word, group_word] = [unique("kept"), unique("task"), unique("group")];
    let group = api.new_group("stays").await?;
    let (stays, goes) = (api.new_task(&group, &kept).await?, api.new_task(&group, &task_word).await?);
    for (task, text) in [(&stays, &kept), (&goes, &task_word)] {
        let (path, body) = (format!("/api/tasks/{task}/comments"), json!({ "text": text }));
        api.post(&path, &body).await?.expect(201);
    }
    let doomed = api.new_group(&group_word).await?;
    // More than one page of the store holds.
    for number in 0..66 {
        let task = api.new_task(&doomed, &group_word).await?;
        if number % 65 == 0 {
            let (path, body) = (format!("/api/tasks/{task}/comments"), json!({ "text": group_word }));
            api.post(&path, &body).await?.expect(201);
        }
    }
    api.delete(&format!("/api/tasks/{goes}")).await?.expect(204);
    api.delete(&format!("/api/groups/{doomed}")).await?.expect(204);
    for word in [&task_word, &group_word] {
        assert!(store_holds(&world, word).await?, "the trash keeps it");
    }

    // A whole page of groups, and with it the place of the Inbox.
    let full = world.elsewhere()?;
    for _ in 0..65 {
        let group = full.new_group(&group_word).await?;
        full.delete(&format!("/api/groups/{group}")).await?.expect(204);
    }

    // A replica that keeps the trash for a second. Its app-id is one that sees the store and that nobody calls.
    let serving = world.processes("tasks")?.remove(0).pid().ok_or_else(|| Failure::new("no process"))?;
    let app_id = match world.topology {
        Topology::Single => "tidemark-tasks",
        Topology::Split => "tidemark",
    };
    let options = SidecarOptions { name: Some("purge-sidecar".to_owned()), ..SidecarOptions::new(app_id) };
    let sidecar = world.stack.start_sidecar(options).await?;
    let purging = Command::new(format!("/proc/{serving}/exe"))
        .args(["serve", "tasks", "--instance", "purge", "--trash-retention", "1s"])
        .args(["--http-address", "127.0.0.1:0", "--app-channel-address", "127.0.0.1:0"])
        .args(["--dapr-grpc-endpoint", &sidecar.grpc_endpoint()])
        .env("DAPR_API_TOKEN", sidecar.api_token())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    eventually("the purge", RECOVERY, async || {
        for word in [&task_word, &group_word] {
            if store_holds(&world, word).await.map_err(|failure| failure.to_string())? {
                return Err(format!("{word} is still there"));
            }
        }
        Ok(())
    })
    .await?;
    drop(purging);
    sidecar.part().stop().await?;

    api.post(&format!("/api/tasks/{goes}/restore"), &json!({})).await?.problem(404, "not-found");
    api.post(&format!("/api/groups/{doomed}/restore"), &json!({})).await?.problem(404, "not-found");
    let shown = api.get(&format!("/api/tasks/{stays}")).await?.expect(200).json()["task"].clone();
    assert_eq!((&shown["name"], &shown["comments"][0]["text"]), (&json!(kept), &json!(kept)));
    assert_eq!(shown["commentCount"], json!(1));
    full.post("/api/tasks", &json!({ "name": "for the Inbox" })).await?.expect(201);
    Ok(())
}

async fn a_task_made_while_its_group_is_deleted_is_refused_or_deleted(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    for _ in 0..3 {
        let group = api.new_group("contested").await?;
        let path = format!("/api/groups/{group}/tasks");
        let body = json!({ "name": "late?" });
        let creations = try_join_all((0..10).map(|_| api.post(&path, &body)));
        let group_path = format!("/api/groups/{group}");
        let (created, deleted) = tokio::try_join!(creations, api.delete(&group_path))?;
        deleted.expect(204);
        for answer in created {
            if answer.status.as_u16() == 201 {
                api.get(&format!("/api/tasks/{}", answer.id("task"))).await?.problem(404, "not-found");
            } else {
                answer.problem(404, "not-found");
            }
        }
    }
    assert!(api.all("/api/tasks", "tasks").await?.is_empty());
    Ok(())
}

async fn a_deleted_thing_can_be_deleted_once(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "task").await?;
    for path in [format!("/api/tasks/{task}"), format!("/api/groups/{group}")] {
        let answers = try_join_all((0..5).map(|_| api.delete(&path))).await?;
        let (made, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status.is_success());
        assert_eq!(made.len(), 1, "{path}");
        for answer in refused {
            answer.problem(404, "not-found");
        }
    }
    Ok(())
}
