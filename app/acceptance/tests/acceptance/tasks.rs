//! Tasks: made, shown, changed; and the comments on them.

use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_acceptance::Outcome;
use tidemark_domain::{GroupId, TaskId};

use super::api::id;
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_new_task_is_answered_with_its_place_and_version,
        a_new_task_may_bring_all_of_its_fields,
        a_new_task_names_every_field_that_breaks_a_rule,
        a_task_goes_where_the_body_says,
        a_changed_task_keeps_what_was_not_named,
        a_cleared_field_is_empty,
        a_member_that_cannot_be_empty_is_not_cleared,
        an_unknown_member_is_refused_with_the_known_ones,
        a_change_of_a_task_names_every_field_that_breaks_a_rule,
        a_task_cannot_move_to_another_group,
        any_status_follows_any_other,
        a_status_that_is_none_of_the_five_is_refused,
        a_task_that_nobody_knows_is_not_found,
        an_id_that_names_any_page_is_not_found,
        a_comment_is_kept_with_its_author,
        a_comment_says_something_in_at_most_two_thousand_characters,
        comments_are_listed_oldest_first_by_pages,
        a_task_shows_its_first_comments_and_where_the_list_of_all_goes_on,
    ]
}

async fn group_of(world: &World) -> Outcome<String> {
    world.member().new_group(&unique("group")).await
}

async fn a_new_task_is_answered_with_its_place_and_version(world: Arc<World>) -> Outcome {
    let group = group_of(&world).await?;
    let path = format!("/api/groups/{group}/tasks");
    let answer = world.member().post(&path, &json!({ "name": " Write it " })).await?.expect(201);
    let task = answer.json()["task"].clone();
    assert_eq!((&task["name"], &task["status"]), (&json!("Write it"), &json!("New")));
    assert_eq!((&task["groupId"], &task["createdBy"]), (&json!(group), &json!(world.member.id)));
    assert_eq!(
        (&task["description"], &task["startDate"], &task["endDate"]),
        (&json!(""), &json!(null), &json!(null))
    );
    assert_eq!((&task["version"], &task["commentCount"]), (&json!(1), &json!(0)));
    assert_eq!((answer.version(), id(&task).len() <= 100), ("1", true));
    assert_eq!(answer.header("location"), Some(format!("/api/tasks/{}", id(&task)).as_str()));
    for path in ["/api/tasks", "/tasks"] {
        let shown = world.member().get(&format!("{path}/{}", id(&task))).await?.expect(200);
        let mut expected = task.clone();
        expected["comments"] = json!([]);
        assert_eq!((&shown.json()["task"], shown.version()), (&expected, "1"));
    }
    Ok(())
}

async fn a_new_task_may_bring_all_of_its_fields(world: Arc<World>) -> Outcome {
    let group = group_of(&world).await?;
    let body = json!({
        "name": "ä".repeat(255),
        "description": format!("{}\n\t", "ö".repeat(4990)),
        "status": "In Progress",
        "startDate": "2026-02-28",
        "endDate": "2026-02-28",
    });
    let path = format!("/api/groups/{group}/tasks");
    let task = world.member().post(&path, &body).await?.expect(201).json()["task"].clone();
    for field in ["name", "status", "startDate", "endDate"] {
        assert_eq!(task[field], body[field]);
    }
    Ok(())
}

async fn a_new_task_names_every_field_that_breaks_a_rule(world: Arc<World>) -> Outcome {
    let path = format!("/api/groups/{}/tasks", group_of(&world).await?);
    let create = async |body: Value| world.member().post(&path, &body).await;
    create(json!({})).await?.invalid_fields(&["/name"]);
    create(json!({ "name": "x".repeat(256) })).await?.invalid_fields(&["/name"]);
    create(json!({ "name": "two\nlines" })).await?.invalid_fields(&["/name"]);
    create(json!({ "name": "x", "description": "x".repeat(5001) })).await?.invalid_fields(&["/description"]);
    create(json!({ "name": "x", "status": "Done" })).await?.invalid_fields(&["/status"]);
    create(json!({ "name": "x", "status": "new" })).await?.invalid_fields(&["/status"]);
    create(json!({ "name": "x", "startDate": "2026-02-30" })).await?.invalid_fields(&["/startDate"]);
    create(json!({ "name": "x", "endDate": "tomorrow" })).await?.invalid_fields(&["/endDate"]);
    create(json!({ "name": "x", "endDate": 20_260_228 })).await?.invalid_fields(&["/endDate"]);
    let reversed = json!({ "name": "x", "startDate": "2026-03-02", "endDate": "2026-03-01" });
    create(reversed).await?.invalid_fields(&["/endDate"]);
    let all = json!({ "name": "", "description": "\u{7}", "status": "?", "startDate": "?", "endDate": "?" });
    create(all).await?.invalid_fields(&["/name", "/description", "/status", "/startDate", "/endDate"]);
    Ok(())
}

async fn a_task_goes_where_the_body_says(world: Arc<World>) -> Outcome {
    let group = group_of(&world).await?;
    let api = world.member();
    for path in ["/api/tasks", "/tasks"] {
        let body = json!({ "name": "x", "groupId": group });
        assert_eq!(api.post(path, &body).await?.expect(201).json()["task"]["groupId"], json!(group));
        for unknown in ["nonsense", "g00000000000000000g00"] {
            let body = json!({ "name": "x", "groupId": unknown });
            api.post(path, &body).await?.problem(404, "not-found");
        }
        api.post(path, &json!({ "groupId": group })).await?.invalid_fields(&["/name"]);
        // Whoever means the Inbox leaves the member out.
        let answer = api.post(path, &json!({ "name": "", "groupId": "" })).await?;
        answer.invalid_fields(&["/name", "/groupId"]);
    }
    Ok(())
}

async fn a_changed_task_keeps_what_was_not_named(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let body = json!({ "name": "before", "description": "stays", "startDate": "2026-01-01" });
    let created =
        api.post(&format!("/api/groups/{group}/tasks"), &body).await?.expect(201).json()["task"].clone();
    let path = format!("/api/tasks/{}", id(&created));
    let answer = api.put(&path, &json!({ "name": "after", "endDate": "2026-01-31" })).await?.expect(200);
    let changed = answer.json()["task"].clone();
    let mut expected = created.clone();
    expected["name"] = json!("after");
    expected["endDate"] = json!("2026-01-31");
    expected["version"] = json!(2);
    expected["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!((&changed, answer.version()), (&expected, "2"));
    // A status among other changes is a change of its own.
    let both = api
        .put(&format!("/tasks/{}", id(&created)), &json!({ "name": "again", "status": "Backlog" }))
        .await?;
    assert_eq!((both.version(), &both.json()["task"]["status"]), ("4", &json!("Backlog")));
    let same = api.put(&path, &json!({ "name": "again", "status": "Backlog" })).await?.expect(200);
    assert_eq!(same.version(), "4", "nothing has changed");
    Ok(())
}

async fn a_cleared_field_is_empty(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let body = json!({ "name": "x", "description": "d", "startDate": "2026-01-01", "endDate": "2026-01-02" });
    let task = api.post(&format!("/api/groups/{group}/tasks"), &body).await?.expect(201).id("task");
    let clear = json!({ "description": null, "startDate": null, "endDate": "" });
    let cleared = api.put(&format!("/api/tasks/{task}"), &clear).await?.expect(200).json()["task"].clone();
    let fields = (&cleared["description"], &cleared["startDate"], &cleared["endDate"]);
    assert_eq!(fields, (&json!(""), &json!(null), &json!(null)));
    Ok(())
}

async fn a_member_that_cannot_be_empty_is_not_cleared(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let task = api.new_task(&group, "x").await?;
    let path = format!("/api/tasks/{task}");
    let shown = api.get(&path).await?.expect(200).json()["task"].clone();
    let of_task: Vec<&str> = shown.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let board = api.get(&format!("/api/groups/{group}")).await?.expect(200).json()["group"].clone();
    let of_group: Vec<&str> =
        board.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    for (path, members) in [
        (path.clone(), of_task),
        (format!("/api/groups/{group}"), of_group),
        (format!("{path}/status"), vec!["status"]),
        (format!("{path}/position"), vec!["status"]),
    ] {
        for member in members {
            let may_be_empty = ["description", "startDate", "endDate", "discussion"].contains(&member);
            let answer = api.put(&path, &json!({ member: null })).await?;
            if may_be_empty {
                answer.expect(200);
            } else {
                answer.invalid_fields(&[&format!("/{member}")]);
            }
        }
    }
    for member in ["name", "status"] {
        let body = json!({ "ids": [task], member: null });
        api.post("/api/tasks/bulk", &body).await?.invalid_fields(&[&format!("/{member}")]);
    }
    let cleared = json!({ "ids": [task], "description": null, "startDate": null, "endDate": null });
    api.post("/api/tasks/bulk", &cleared).await?.expect(200);
    api.put(&format!("/api/groups/{group}"), &json!({ "discussion": "d" })).await?.expect(200);
    let empty = api.put(&format!("/api/groups/{group}"), &json!({ "discussion": null })).await?.expect(200);
    assert_eq!(empty.json()["group"]["discussion"], json!(""));
    Ok(())
}

async fn an_unknown_member_is_refused_with_the_known_ones(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let path = format!("/api/tasks/{}", api.new_task(&group, "x").await?);
    for (path, unknown, known) in [
        (path.clone(), "stauts", "status"),
        (format!("{path}/status"), "state", "status"),
        (format!("{path}/position"), "index", "before"),
        (format!("/api/groups/{group}"), "title", "discussion"),
    ] {
        let told = api.put(&path, &json!({ unknown: 0 })).await?.invalid_fields(&[&format!("/{unknown}")]);
        assert!(told["detail"].as_str().is_some_and(|told| told.contains(known)), "{path}: {told}");
    }
    for path in ["/api/groups", "/api/tasks", "/api/tasks/bulk", &format!("{path}/comments")] {
        let answer = api.post(path, &json!({ "unknown": 0 })).await?;
        let told = answer.problem(400, "invalid-input");
        assert!(told["errors"].to_string().contains("/unknown"), "{path}: {told}");
        api.post(&format!("{path}?name=x"), &json!({ "name": "x" })).await?.invalid_fields(&["?name"]);
    }
    Ok(())
}

async fn a_change_of_a_task_names_every_field_that_breaks_a_rule(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let body = json!({ "name": "x", "startDate": "2026-01-10" });
    let task = api.post(&format!("/api/groups/{group}/tasks"), &body).await?.expect(201).id("task");
    let path = format!("/api/tasks/{task}");
    let all = json!({ "name": "", "description": "\u{1}", "status": "?", "startDate": "?", "endDate": "?", "groupId": "?" });
    let pointers = ["/name", "/description", "/status", "/startDate", "/endDate", "/groupId"];
    api.put(&path, &all).await?.invalid_fields(&pointers);
    // Only together with what is stored is this end before the start.
    api.put(&path, &json!({ "endDate": "2026-01-09" })).await?.invalid_fields(&["/endDate"]);
    assert_eq!(api.get(&path).await?.expect(200).version(), "1");
    Ok(())
}

async fn a_task_cannot_move_to_another_group(world: Arc<World>) -> Outcome {
    let (api, group, other) = (world.member(), group_of(&world).await?, group_of(&world).await?);
    let task = api.new_task(&group, "x").await?;
    let path = format!("/api/tasks/{task}");
    api.put(&path, &json!({ "groupId": other })).await?.invalid_fields(&["/groupId"]);
    api.put(&path, &json!({ "groupId": group, "name": "y" })).await?.expect(200);
    Ok(())
}

async fn any_status_follows_any_other(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let task = api.new_task(&group, "x").await?;
    let order = ["Approved", "New", "Completed", "Backlog", "In Progress", "Approved", "Backlog"];
    for (number, status) in order.into_iter().enumerate() {
        let path = if number % 2 == 0 { "/api/tasks" } else { "/tasks" };
        let answer =
            api.put(&format!("{path}/{task}/status"), &json!({ "status": status })).await?.expect(200);
        assert_eq!(answer.json()["task"]["status"], json!(status));
        assert_eq!(answer.version(), (number + 2).to_string());
    }
    let same =
        api.put(&format!("/api/tasks/{task}/status"), &json!({ "status": "Backlog" })).await?.expect(200);
    assert_eq!(same.version(), "8", "the same again changes nothing");
    Ok(())
}

async fn a_status_that_is_none_of_the_five_is_refused(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let path = format!("/api/tasks/{}/status", api.new_task(&group, "x").await?);
    for status in [json!("Done"), json!("new"), json!(""), json!(null), json!(1), json!(["New"])] {
        api.put(&path, &json!({ "status": status })).await?.invalid_fields(&["/status"]);
    }
    api.put(&path, &json!({})).await?.invalid_fields(&["/status"]);
    Ok(())
}

async fn a_task_that_nobody_knows_is_not_found(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let gone = api.new_task(&group, "gone").await?;
    api.delete(&format!("/api/tasks/{gone}")).await?.expect(204);
    // One whose place in the page is another's, an id of another kind, and what is no id at all.
    let never = format!("{}00000000", gone.split_at(gone.len() - 8).0);
    for unknown in [gone.as_str(), never.as_str(), group.as_str(), "x"] {
        for base in ["/api/tasks", "/tasks"] {
            let path = format!("{base}/{unknown}");
            api.get(&path).await?.problem(404, "not-found");
            api.put(&path, &json!({ "name": "x" })).await?.problem(404, "not-found");
            api.put(&format!("{path}/status"), &json!({ "status": "New" })).await?.problem(404, "not-found");
            api.put(&format!("{path}/position"), &json!({})).await?.problem(404, "not-found");
            api.delete(&path).await?.problem(404, "not-found");
            api.get(&format!("{path}/comments")).await?.problem(404, "not-found");
            let comment = json!({ "text": "x" });
            api.post(&format!("{path}/comments"), &comment).await?.problem(404, "not-found");
        }
    }
    Ok(())
}

async fn an_id_that_names_any_page_is_not_found(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let known: GroupId = group.parse()?;
    for page in [1, 2, 1 << 24, (1 << 24) + 1, u32::MAX - 1, u32::MAX] {
        let unknown = GroupId::new(page, [7; 8]);
        let path = format!("/api/groups/{unknown}");
        api.get(&path).await?.problem(404, "not-found");
        api.get(&format!("{path}/tasks")).await?.problem(404, "not-found");
        api.put(&path, &json!({ "name": "x" })).await?.problem(404, "not-found");
        api.post(&format!("{path}/tasks"), &json!({ "name": "x" })).await?.problem(404, "not-found");
        api.post(&format!("{path}/restore"), &json!({})).await?.problem(404, "not-found");
        api.delete(&path).await?.problem(404, "not-found");
        for id in [TaskId::new(known, page, [7; 8]), TaskId::new(unknown, page, [7; 8])] {
            let path = format!("/api/tasks/{id}");
            api.get(&path).await?.problem(404, "not-found");
            api.get(&format!("{path}/comments")).await?.problem(404, "not-found");
            api.put(&path, &json!({ "name": "x" })).await?.problem(404, "not-found");
            api.put(&format!("{path}/status"), &json!({ "status": "New" })).await?.problem(404, "not-found");
            api.put(&format!("{path}/position"), &json!({})).await?.problem(404, "not-found");
            api.post(&format!("{path}/comments"), &json!({ "text": "x" })).await?.problem(404, "not-found");
            api.post(&format!("{path}/restore"), &json!({})).await?.problem(404, "not-found");
            api.delete(&path).await?.problem(404, "not-found");
            let log = api.get(&format!("/api/logs/task/{id}")).await?.expect(200);
            assert_eq!(log.json()["logs"], json!([]));
        }
    }
    // An id that is too long to be one is not repeated whole.
    let long = json!({ "name": "x", "groupId": "g".repeat(10_000) });
    let told = api.post("/api/tasks", &long).await?.problem(404, "not-found");
    assert!(told["detail"].as_str().is_some_and(|told| told.len() < 200), "{told}");
    Ok(())
}

async fn a_comment_is_kept_with_its_author(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let task = api.new_task(&group, "x").await?;
    let path = format!("/api/tasks/{task}/comments");
    let comment = api.post(&path, &json!({ "text": "a\nb 🦀" })).await?.expect(201).json()["comment"].clone();
    assert_eq!((&comment["text"], &comment["taskId"]), (&json!("a\nb 🦀"), &json!(task)));
    assert_eq!(
        (&comment["user"], &comment["userId"]),
        (&json!(world.member.username), &json!(world.member.id))
    );
    assert!(comment["timestamp"].is_string() && comment["timestamp"] == comment["createdAt"]);
    assert_eq!(api.all(&path, "comments").await?, std::slice::from_ref(&comment));
    let shown = api.get(&format!("/api/tasks/{task}")).await?.expect(200);
    assert_eq!(
        (&shown.json()["task"]["comments"], &shown.json()["task"]["commentCount"]),
        (&json!([comment]), &json!(1))
    );
    assert_eq!(shown.version(), "1", "a comment lies beside its task");
    api.post(&format!("/tasks/{task}/comments"), &json!({ "text": "alias" })).await?.expect(201);
    assert_eq!(api.all(&format!("/tasks/{task}/comments"), "comments").await?.len(), 2);
    Ok(())
}

async fn a_comment_says_something_in_at_most_two_thousand_characters(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let path = format!("/api/tasks/{}/comments", api.new_task(&group, "x").await?);
    for body in [json!({}), json!({ "text": " " }), json!({ "text": "x".repeat(2001) }), json!({ "text": 1 })]
    {
        api.post(&path, &body).await?.invalid_fields(&["/text"]);
    }
    api.post(&path, &json!({ "text": "ä".repeat(2000) })).await?.expect(201);
    Ok(())
}

async fn comments_are_listed_oldest_first_by_pages(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    let task = api.new_task(&group, "x").await?;
    let path = format!("/api/tasks/{task}/comments");
    // More than one page of the store holds.
    let expected: Vec<String> = (0..70).map(|number| format!("comment {number}")).collect();
    for text in &expected {
        api.post(&path, &json!({ "text": text })).await?.expect(201);
    }
    for limit in [7, 64, 200] {
        let listed = api.all(&format!("{path}?limit={limit}"), "comments").await?;
        let texts: Vec<&str> = listed.iter().filter_map(|comment| comment["text"].as_str()).collect();
        assert_eq!(texts, expected);
    }
    let first = api.get(&path).await?.expect(200).json();
    assert_eq!(first["comments"].as_array().map(Vec::len), Some(50), "the default limit");
    Ok(())
}

async fn a_task_shows_its_first_comments_and_where_the_list_of_all_goes_on(world: Arc<World>) -> Outcome {
    let (api, group) = (world.member(), group_of(&world).await?);
    // Comments on the tasks of a page lie together: each list must find its own.
    let (task, other) = (api.new_task(&group, "x").await?, api.new_task(&group, "y").await?);
    let mut expected = Vec::new();
    for number in 0..100 {
        let commented = if number % 2 == 0 { &task } else { &other };
        let text = format!("comment {number}");
        let path = format!("/api/tasks/{commented}/comments");
        api.post(&path, &json!({ "text": text })).await?.expect(201);
        if number % 2 == 0 {
            expected.push(text);
        }
    }
    let texts = |comments: &[Value]| -> Vec<String> {
        comments.iter().filter_map(|comment| Some(comment["text"].as_str()?.to_owned())).collect()
    };
    let alone = api.get(&format!("/api/tasks/{task}")).await?.expect(200).json()["task"].clone();
    let board = api.get(&format!("/api/groups/{group}")).await?.expect(200).json();
    for shown in [&alone, &board["group"]["tasks"][0]] {
        assert_eq!(shown["commentCount"], json!(50));
        let mut listed = texts(shown["comments"].as_array().map_or(&[], Vec::as_slice));
        if let Some(next) = shown["commentsNext"].as_str() {
            let path = format!("/api/tasks/{task}/comments?limit=200&cursor={next}");
            listed.extend(texts(&api.all(&path, "comments").await?));
        }
        assert_eq!(listed, expected);
    }
    for limit in [1, 7, 50] {
        let listed = api.all(&format!("/api/tasks/{task}/comments?limit={limit}"), "comments").await?;
        assert_eq!(texts(&listed), expected, "by {limit}");
    }
    Ok(())
}
