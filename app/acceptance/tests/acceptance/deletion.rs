//! What goes with a group and with a task.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde_json::json;
use tidemark_acceptance::{Outcome, eventually};

use super::run::Trial;
use super::world::{SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_deleted_group_takes_its_tasks_and_their_comments_along,
        a_deleted_task_takes_its_comments_along,
        each_task_of_a_deleted_group_leaves_its_own_mark,
        a_task_made_while_its_group_is_deleted_is_refused_or_deleted,
        a_deleted_thing_can_be_deleted_once,
    ]
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

async fn each_task_of_a_deleted_group_leaves_its_own_mark(world: Arc<World>) -> Outcome {
    let api = world.member();
    let name = unique("group");
    let group = api.new_group(&name).await?;
    let tasks = [api.new_task(&group, "one").await?, api.new_task(&group, "two").await?];
    api.delete(&format!("/api/groups/{group}")).await?.expect(204);
    eventually("the deletions in the log", SOON, async || {
        let log = world.log_of_group(api, &group).await.map_err(|failure| failure.to_string())?;
        let mut deleted: Vec<&str> = log
            .iter()
            .filter(|row| row["event_type"] == "deleted" && row["group_name"] == json!(name))
            .filter_map(|row| row["changes"].as_str())
            .collect();
        deleted.sort_unstable();
        let expected = [
            format!("Group '{name}' was deleted"),
            "Task 'one' was deleted".to_owned(),
            "Task 'two' was deleted".to_owned(),
        ];
        if deleted == expected { Ok(()) } else { Err(format!("{deleted:?}")) }
    })
    .await?;
    for task in tasks {
        let log = world.log_of_task(api, &task).await?;
        assert_eq!(log.iter().filter(|row| row["event_type"] == "deleted").count(), 1);
        assert_eq!(log.last().map(|row| &row["user_name"]), Some(&json!(world.member.username)));
    }
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
