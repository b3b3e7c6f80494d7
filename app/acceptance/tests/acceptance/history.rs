//! Every change leaves a mark, which is soon readable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::header::CACHE_CONTROL;
use serde_json::{Value, json};
use tidemark_acceptance::{Outcome, eventually};
use tokio::time::Instant;

use super::api::{Answer, Api, send};
use super::run::Trial;
use super::world::{SOON, World, sentences, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        every_change_is_soon_in_the_log_in_its_words,
        what_changed_nothing_leaves_no_mark,
        a_line_of_the_log_says_what_it_is_about,
        all_marks_of_one_request_share_its_action,
        a_mark_names_the_key_of_its_request_and_the_fields_that_changed,
        the_log_is_newest_first_by_pages,
        a_page_of_the_log_holds_a_hundred_lines,
        a_deleted_group_keeps_its_log,
        the_tasks_of_a_group_are_summed_up,
        the_summary_of_all_groups_is_kept_for_a_while,
        summaries_are_told_by_pages,
        a_log_that_nobody_wrote_is_empty,
        an_event_carries_the_trace_of_its_request,
        an_event_carries_the_entity_as_it_stands_after_it,
        a_registration_is_on_the_ledger_without_the_password,
    ]
}

/// Trials that measure, and so must have the machine to themselves.
pub fn quiet_trials() -> Vec<Trial> {
    trials![one_task_s_whole_life_is_readable_within_a_second]
}

/// Waits until the log at `path` says exactly this, oldest first.
async fn says(api: &Api, path: &str, within: Duration, expected: &[String]) -> Outcome<Vec<Value>> {
    eventually(path, within, async || {
        let mut rows = api.all(path, "logs").await.map_err(|failure| failure.to_string())?;
        rows.reverse();
        if sentences(&rows) == expected { Ok(rows) } else { Err(format!("{:?}", sentences(&rows))) }
    })
    .await
}

/// A group and a task and everything that can happen to them; the words of it, in order.
async fn whole_life(api: &Api, group_name: &str) -> Outcome<(String, String, Vec<String>)> {
    let group = api.new_group(group_name).await?;
    let task = api.new_task(&group, "Write it").await?;
    let second = api.new_task(&group, "Read it").await?;
    let path = format!("/api/tasks/{task}");
    api.post(&format!("{path}/comments"), &json!({ "text": "soon" })).await?.expect(201);
    api.put(&path, &json!({ "name": "Write all of it" })).await?.expect(200);
    api.put(&format!("{path}/status"), &json!({ "status": "In Progress" })).await?.expect(200);
    api.put(&format!("{path}/position"), &json!({ "after": second, "status": "Completed" }))
        .await?
        .expect(200);
    api.put(&format!("/api/groups/{group}"), &json!({ "discussion": "done" })).await?.expect(200);
    api.delete(&path).await?.expect(204);
    let words = vec![
        format!("Group '{group_name}' was created"),
        "Task 'Write it' was created".to_owned(),
        "Task 'Read it' was created".to_owned(),
        "Comment added to task 'Write it'".to_owned(),
        "Task 'Write it' was renamed to 'Write all of it'".to_owned(),
        "Task 'Write all of it' status changed from 'New' to 'In Progress'".to_owned(),
        "Task 'Write all of it' was moved".to_owned(),
        "Task 'Write all of it' status changed from 'In Progress' to 'Completed'".to_owned(),
        format!("Group '{group_name}' was updated: discussion changed"),
        "Task 'Write all of it' was deleted".to_owned(),
    ];
    Ok((group, task, words))
}

async fn every_change_is_soon_in_the_log_in_its_words(world: Arc<World>) -> Outcome {
    let name = unique("It's \"quoted\" \\ 🦀");
    let (group, task, words) = whole_life(world.member(), &name).await?;
    // The task's own events keep their order whichever replica made them; across entities only time orders.
    let log = eventually("all events of the group", SOON, async || {
        let log = world.log_of_group(world.member(), &group).await.map_err(|failure| failure.to_string())?;
        let (mut told, mut expected) =
            (sentences(&log), words.iter().map(String::as_str).collect::<Vec<_>>());
        told.sort_unstable();
        expected.sort_unstable();
        if told == expected { Ok(log) } else { Err(format!("{told:?}")) }
    })
    .await?;
    assert!(log.iter().all(|row| row["user_name"] == json!(world.member.username)));
    assert!(log.iter().all(|row| row["group_name"] == json!(name)));
    let of_task: Vec<String> = words.iter().filter(|words| words.contains("Write")).cloned().collect();
    let log = says(world.member(), &format!("/api/logs/task/{task}"), SOON, &of_task).await?;
    let types: Vec<&Value> = log.iter().map(|row| &row["event_type"]).collect();
    assert_eq!(
        types,
        ["created", "commented", "updated", "status_changed", "updated", "status_changed", "deleted"]
    );
    assert_eq!((&log[0]["task_name"], &log[6]["task_name"]), (&json!("Write it"), &json!("Write all of it")));
    Ok(())
}

async fn one_task_s_whole_life_is_readable_within_a_second(world: Arc<World>) -> Outcome {
    let group_name = unique("Launch");
    // What the application does at its first request is not what is measured.
    whole_life(world.member(), "warm").await?;
    let (group, _, words) = whole_life(world.member(), &group_name).await?;
    let started = Instant::now();
    says(world.member(), &format!("/api/logs/group/{group}"), SOON, &words).await?;
    eprintln!("measured: {:?} from the last call to the whole log in order", started.elapsed());
    Ok(())
}

async fn what_changed_nothing_leaves_no_mark(world: Arc<World>) -> Outcome {
    let api = world.member();
    let name = unique("group");
    let group = api.new_group(&name).await?;
    let task = api.new_task(&group, "task").await?;
    api.put(&format!("/api/groups/{group}"), &json!({ "name": name })).await?.expect(200);
    api.put(&format!("/api/tasks/{task}"), &json!({ "name": "task" })).await?.expect(200);
    api.put(&format!("/api/tasks/{task}/status"), &json!({ "status": "New" })).await?.expect(200);
    api.put_if(&format!("/api/tasks/{task}"), "\"7\"", &json!({ "name": "no" }))
        .await?
        .problem(412, "stale-version");
    api.post(&format!("/api/groups/{group}/tasks"), &json!({})).await?.invalid_fields(&["/name"]);
    api.put(&format!("/api/tasks/{task}/status"), &json!({ "status": "Backlog" })).await?.expect(200);
    let words = [
        "Task 'task' was created".to_owned(),
        "Task 'task' status changed from 'New' to 'Backlog'".to_owned(),
    ];
    says(api, &format!("/api/logs/task/{task}"), SOON, &words).await?;
    assert_eq!(world.log_of_group(api, &group).await?.len(), 3);
    Ok(())
}

/// A task with a few lines in its log.
async fn task_with_log(world: &World, lines: usize) -> Outcome<(String, String)> {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "task").await?;
    for number in 1..lines {
        api.post(&format!("/api/tasks/{task}/comments"), &json!({ "text": number.to_string() }))
            .await?
            .expect(201);
    }
    eventually("the log", SOON, async || {
        let log = world.log_of_task(api, &task).await.map_err(|failure| failure.to_string())?;
        if log.len() == lines { Ok(()) } else { Err(format!("{} lines", log.len())) }
    })
    .await?;
    Ok((group, task))
}

async fn a_line_of_the_log_says_what_it_is_about(world: Arc<World>) -> Outcome {
    let (group, task) = task_with_log(&world, 2).await?;
    for path in [format!("/api/logs/group/{group}"), format!("/api/logs/task/{task}")] {
        let body = world.member().get(&path).await?.expect(200).json();
        assert_eq!(body["next"], json!(null));
        for line in body["logs"].as_array().into_iter().flatten() {
            let mut names: Vec<&str> =
                line.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            let expected = [
                "action_id",
                "changes",
                "entity",
                "entity_id",
                "event_type",
                "group_id",
                "group_name",
                "id",
                "task_id",
                "task_name",
                "timestamp",
                "user_name",
            ];
            assert_eq!(names, expected);
            assert!(line["id"].is_u64() && line["timestamp"].as_str().is_some_and(|time| time.len() == 24));
            assert_eq!(line["group_id"], json!(group));
            let expected = match line["entity"].as_str() {
                Some("Group") => (json!(group), json!(null)),
                Some("Task") => (json!(task), json!(task)),
                _ => panic!("{line}"),
            };
            assert_eq!((line["entity_id"].clone(), line["task_id"].clone()), expected);
        }
    }
    Ok(())
}

/// What the rows of a group say, by the name of the action that they belong to.
async fn rows_by_action(world: &World, group: &str, rows: usize) -> Outcome<BTreeMap<String, Vec<Value>>> {
    let found = eventually("the rows", SOON, async || {
        let sql = "SELECT event_type, action_id::text, command_id, event_data FROM todo_event_logs \
                   WHERE group_id = $1 ORDER BY id";
        let found = world.observer.rows(sql, &[group]).await.map_err(|failure| failure.to_string())?;
        if found.len() == rows { Ok(found) } else { Err(format!("{} rows", found.len())) }
    })
    .await?;
    let mut actions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in found {
        let action = row["action_id"].as_str().unwrap_or_default().to_owned();
        actions.entry(action).or_default().push(row);
    }
    Ok(actions)
}

async fn all_marks_of_one_request_share_its_action(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let (first, _) = (api.new_task(&group, "first").await?, api.new_task(&group, "second").await?);
    let both = json!({ "name": "renamed", "status": "Completed" });
    api.put(&format!("/api/tasks/{first}"), &both).await?.expect(200);
    api.delete(&format!("/api/groups/{group}")).await?.expect(204);
    let actions = rows_by_action(&world, &group, 6).await?;
    let mut types: Vec<Vec<&str>> = actions
        .values()
        .map(|rows| rows.iter().filter_map(|row| row["event_type"].as_str()).collect())
        .collect();
    types.sort_unstable();
    let expected: [&[&str]; 5] =
        [&["created"], &["created"], &["created"], &["deleted"], &["updated", "status_changed"]];
    assert_eq!(types, expected, "{actions:?}");
    assert!(actions.keys().all(|action| action.len() == 36), "{actions:?}");
    Ok(())
}

async fn a_mark_names_the_key_of_its_request_and_the_fields_that_changed(world: Arc<World>) -> Outcome {
    let (api, key, old) = (world.member(), unique("key"), unique("old"));
    let body = json!({ "name": old, "discussion": "d" });
    let group = api.post_once("/api/groups", &key, &body).await?.expect(201).id("group");
    api.put(&format!("/api/groups/{group}"), &json!({ "name": "new" })).await?.expect(200);
    api.delete(&format!("/api/groups/{group}")).await?.expect(204);
    let actions = rows_by_action(&world, &group, 3).await?;
    let mut rows: Vec<&Value> = actions.values().flatten().collect();
    rows.sort_by_key(|row| row["event_data"]["payload"]["entityVersion"].as_u64());
    assert_eq!((&rows[0]["command_id"], &rows[1]["command_id"]), (&json!(key), &json!(null)));
    let fields = json!([{ "name": "name", "before": old, "after": "new", "cut": false }]);
    assert_eq!(rows[1]["event_data"]["payload"]["fields"], fields);
    let deleted = &rows[2]["event_data"]["payload"];
    assert_eq!((&deleted["group"], &deleted["deletedGroup"]["discussion"]), (&json!(null), &json!("d")));
    Ok(())
}

async fn the_log_is_newest_first_by_pages(world: Arc<World>) -> Outcome {
    let (_, task) = task_with_log(&world, 23).await?;
    let path = format!("/api/logs/task/{task}");
    let whole = world.member().get(&path).await?.expect(200).json()["logs"].clone();
    let times: Vec<&str> =
        whole.as_array().into_iter().flatten().filter_map(|line| line["timestamp"].as_str()).collect();
    assert!(times.len() == 23 && times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    for limit in [1, 5, 23, 1000] {
        let paged = world.member().all(&format!("{path}?limit={limit}"), "logs").await?;
        assert_eq!(json!(paged), whole, "by {limit}");
    }
    Ok(())
}

async fn a_page_of_the_log_holds_a_hundred_lines(world: Arc<World>) -> Outcome {
    let (group, _) = task_with_log(&world, 101).await?;
    let body = world.member().get(&format!("/api/logs/group/{group}")).await?.expect(200).json();
    assert_eq!(body["logs"].as_array().map(Vec::len), Some(100));
    assert!(body["next"].is_string());
    Ok(())
}

async fn a_deleted_group_keeps_its_log(world: Arc<World>) -> Outcome {
    let (group, task) = task_with_log(&world, 2).await?;
    world.member().delete(&format!("/api/groups/{group}")).await?.expect(204);
    eventually("the deletion", SOON, async || {
        let log = world.log_of_group(world.member(), &group).await.map_err(|failure| failure.to_string())?;
        if log.len() == 4 { Ok(()) } else { Err(format!("{:?}", sentences(&log))) }
    })
    .await?;
    assert_eq!(world.log_of_task(world.member(), &task).await?.len(), 2);
    Ok(())
}

async fn the_tasks_of_a_group_are_summed_up(world: Arc<World>) -> Outcome {
    let (group, task) = task_with_log(&world, 4).await?;
    let later = world.member().new_task(&group, "later").await?;
    let path = format!("/api/logs/group/{group}/tasks");
    eventually("the later task", SOON, async || {
        let body = world.member().get(&path).await.map_err(|failure| failure.to_string())?.json();
        let summary: Vec<[&Value; 3]> = body["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|task| [&task["task_id"], &task["task_name"], &task["log_count"]])
            .collect();
        let latest_first =
            [[&json!(later), &json!("later"), &json!("1")], [&json!(task), &json!("task"), &json!("4")]];
        if summary == latest_first { Ok(()) } else { Err(body.to_string()) }
    })
    .await?;
    let body = world.member().get(&path).await?.expect(200).json();
    assert!(body["tasks"][0]["last_activity"].as_str().is_some_and(|time| time.ends_with('Z')));
    Ok(())
}

async fn the_summary_of_all_groups_is_kept_for_a_while(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let summary = async |freshness: Option<&str>| {
        let request = api.request(Method::GET, "/api/logs/groups");
        send(match freshness {
            Some(freshness) => request.header(CACHE_CONTROL, freshness),
            None => request,
        })
        .await
    };
    let name = unique("group");
    let group = api.new_group(&name).await?;
    let fresh = eventually("the group in the summary", SOON, async || {
        let answer: Answer = summary(Some("no-cache")).await.map_err(|failure| failure.to_string())?;
        if answer.json()["groups"][0].is_object() { Ok(answer) } else { Err(answer.text()) }
    })
    .await?;
    let line = fresh.json()["groups"][0].clone();
    assert_eq!((&line["group_id"], &line["group_name"]), (&json!(group), &json!(name)));
    assert_eq!(line["log_count"], json!("1"), "a number as text");
    assert!(line["last_activity"].as_str().is_some_and(|time| time.ends_with('Z')));

    api.new_task(&group, "task").await?;
    eventually("the task in the log", SOON, async || {
        let log = world.log_of_group(&api, &group).await.map_err(|failure| failure.to_string())?;
        if log.len() == 2 { Ok(()) } else { Err(format!("{:?}", sentences(&log))) }
    })
    .await?;
    let kept = summary(None).await?.expect(200);
    assert_eq!(kept.body, fresh.body, "kept for a while");
    assert!(kept.header("age").is_some() && kept.header("cache-control").is_some());
    let fresh = summary(Some("no-cache")).await?.expect(200).json();
    assert_eq!(fresh["groups"][0]["log_count"], json!("2"));
    assert_eq!(summary(None).await?.expect(200).json(), fresh, "what was asked for is kept from then on");
    Ok(())
}

async fn summaries_are_told_by_pages(world: Arc<World>) -> Outcome {
    let api = world.elsewhere()?;
    let mut groups = Vec::new();
    for number in 0..5 {
        groups.push(api.new_group(&number.to_string()).await?);
    }
    for number in 0..4 {
        api.new_task(&groups[0], &number.to_string()).await?;
    }
    let of_tasks = format!("/api/logs/group/{}/tasks", groups[0]);
    for (path, member, count) in [("/api/logs/groups", "groups", 5), (of_tasks.as_str(), "tasks", 4)] {
        let whole = eventually("all of them", SOON, async || {
            let request = api.request(Method::GET, path).header(CACHE_CONTROL, "no-cache");
            let answer = send(request).await.map_err(|failure| failure.to_string())?;
            let found = answer.json()[member].as_array().cloned().unwrap_or_default();
            let lines: u64 =
                found.iter().filter_map(|one| one["log_count"].as_str()?.parse::<u64>().ok()).sum();
            if found.len() == count && lines >= 4 + u64::from(member == "groups") * 5 {
                Ok(found)
            } else {
                Err(answer.text())
            }
        })
        .await?;
        for limit in 1..=count + 1 {
            assert_eq!(api.all(&format!("{path}?limit={limit}"), member).await?, whole, "{path} by {limit}");
        }
        assert_eq!(api.get(path).await?.json()["next"], json!(null));
        for cursor in [r#"["soon","a"]"#, r#"["infinity","\u0000"]"#, r#"["infinity"]"#, "[1,2]"] {
            let cursor = URL_SAFE_NO_PAD.encode(cursor);
            api.get(&format!("{path}?cursor={cursor}")).await?.invalid_fields(&["?cursor"]);
        }
    }
    Ok(())
}

async fn a_log_that_nobody_wrote_is_empty(world: Arc<World>) -> Outcome {
    let api = world.member();
    let (group, task) = ("g00000000000000000g00", format!("t{}", "0".repeat(39)));
    assert_eq!(api.get(&format!("/api/logs/group/{group}")).await?.expect(200).json()["logs"], json!([]));
    assert_eq!(api.get(&format!("/api/logs/task/{task}")).await?.expect(200).json()["logs"], json!([]));
    for other in [task.as_str(), "nonsense"] {
        api.get(&format!("/api/logs/group/{other}")).await?.problem(404, "not-found");
        api.get(&format!("/api/logs/group/{other}/tasks")).await?.problem(404, "not-found");
    }
    api.get(&format!("/api/logs/task/{group}")).await?.problem(404, "not-found");
    Ok(())
}

async fn an_event_carries_the_trace_of_its_request(world: Arc<World>) -> Outcome {
    let trace = format!("{:032x}", rand::random::<u128>() | 1);
    let create =
        world.member().request(Method::POST, "/api/groups").json(&json!({ "name": unique("traced") }));
    let create = create.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let group = send(create).await?.expect(201).id("group");
    let stored = eventually("the event's row", SOON, async || {
        let sql = "SELECT event_data FROM todo_event_logs WHERE group_id = $1";
        let rows = world.observer.rows(sql, &[&group]).await.map_err(|failure| failure.to_string())?;
        rows.into_iter().next().ok_or("no row").map_err(str::to_owned)
    })
    .await?;
    let traceparent = stored["event_data"]["traceparent"].as_str().unwrap_or_default();
    assert_eq!(traceparent.split('-').nth(1), Some(trace.as_str()), "{stored}");
    Ok(())
}

async fn an_event_carries_the_entity_as_it_stands_after_it(world: Arc<World>) -> Outcome {
    let api = world.member();
    let group = api.new_group(&unique("group")).await?;
    let task = api.new_task(&group, "before").await?;
    api.put(&format!("/api/tasks/{task}"), &json!({ "name": "after", "endDate": "2026-12-31" }))
        .await?
        .expect(200);
    let payload = world
        .observer
        .on_ledger("the change", SOON, |seen| {
            let mut events = seen.iter().filter_map(|seen| seen.event.as_ref());
            events.find(|event| event.payload.entity_id == task && event.payload.entity_version == 2).cloned()
        })
        .await?
        .payload;
    let state = payload.task.unwrap_or_else(|| panic!("there is no task in the event"));
    assert_eq!((state.name.as_str(), state.end_date.as_deref()), ("after", Some("2026-12-31")));
    assert_eq!((payload.group_id.as_deref(), payload.workspace.as_str()), (Some(group.as_str()), "default"));
    assert_eq!((payload.user, payload.user_id), (world.member.username.clone(), world.member.id.clone()));
    Ok(())
}

async fn a_registration_is_on_the_ledger_without_the_password(world: Arc<World>) -> Outcome {
    let (name, password) = (unique("Radia"), unique("secret 1"));
    let body = json!({ "username": name, "password": password });
    let user = world.anonymous().post("/api/auth/register", &body).await?.expect(201).id("user");
    let seen = world
        .observer
        .on_ledger("the registration", SOON, |seen| seen.iter().find(|seen| seen.is_of(&user)).cloned())
        .await?;
    let bytes = String::from_utf8_lossy(&seen.payload);
    assert!(!bytes.contains(&password) && !bytes.contains("argon2"));
    let event = seen.event.as_ref().unwrap_or_else(|| panic!("no event in {bytes}"));
    assert_eq!(
        (event.event_type.as_str(), event.payload.changes.as_str()),
        ("registered", format!("User '{name}' registered").as_str())
    );
    Ok(())
}
