//! Lists by pages: everything once, within limits, filtered.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tidemark_acceptance::{Outcome, eventually};

use super::api::{Api, id, ids};
use super::run::Trial;
use super::world::{SOON, World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        an_unknown_parameter_is_refused_with_the_known_ones,
        groups_are_listed_newest_first_and_each_once,
        a_group_made_between_two_pages_moves_nothing,
        a_group_deleted_between_two_pages_hides_no_other,
        a_group_deleted_between_two_pages_hides_no_task_of_another,
        a_list_of_groups_counts_their_tasks_and_may_hold_them,
        tasks_of_all_groups_are_listed_once,
        tasks_are_filtered_by_group_and_status,
        a_page_of_a_list_holds_fifty_and_at_most_two_hundred,
        a_limit_or_cursor_that_is_none_is_refused,
        a_parameter_given_twice_is_refused,
        an_empty_filter_is_refused_as_any_other_wrong_value,
    ]
}

/// Groups in a workspace of their own, in the order in which they were made.
async fn groups(world: &World, count: usize) -> Outcome<(Api, Vec<String>)> {
    let api = world.elsewhere()?;
    let mut groups = Vec::new();
    for number in 0..count {
        groups.push(api.new_group(&format!("group {number}")).await?);
    }
    Ok((api, groups))
}

async fn groups_are_listed_newest_first_and_each_once(world: Arc<World>) -> Outcome {
    // More than one page of the store holds.
    let (api, mut expected) = groups(&world, 70).await?;
    expected.reverse();
    for limit in [1, 7, 64, 200] {
        let listed = api.all(&format!("/api/groups?limit={limit}"), "groups").await?;
        assert_eq!(ids(&listed), expected, "by {limit}");
    }
    Ok(())
}

async fn a_group_made_between_two_pages_moves_nothing(world: Arc<World>) -> Outcome {
    let (api, expected) = groups(&world, 4).await?;
    let first = api.get("/api/groups?limit=2").await?.expect(200).json();
    api.new_group("new").await?;
    let next = first["next"].as_str().unwrap_or_default();
    let second = api.get(&format!("/api/groups?limit=2&cursor={next}")).await?.expect(200).json();
    let seen: Vec<&Value> =
        [&first, &second].into_iter().filter_map(|page| page["groups"].as_array()).flatten().collect();
    let seen: Vec<&str> = seen.into_iter().map(id).collect();
    assert_eq!(seen, expected.iter().rev().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(second["next"], json!(null));
    Ok(())
}

async fn a_group_deleted_between_two_pages_hides_no_other(world: Arc<World>) -> Outcome {
    let (api, made) = groups(&world, 5).await?;
    let first = api.get("/api/groups?limit=2").await?.expect(200).json();
    // The last one that was shown, where the next page goes on.
    api.delete(&format!("/api/groups/{}", made[3])).await?.expect(204);
    let next = first["next"].as_str().unwrap_or_default();
    let rest = api.get(&format!("/api/groups?limit=9&cursor={next}")).await?.expect(200).json();
    let rest = rest["groups"].as_array().cloned().unwrap_or_default();
    assert_eq!(ids(&rest), [made[2].as_str(), &made[1], &made[0]]);
    Ok(())
}

async fn a_group_deleted_between_two_pages_hides_no_task_of_another(world: Arc<World>) -> Outcome {
    let (api, made) = groups(&world, 2).await?;
    for number in 0..4 {
        api.new_task(&made[0], &number.to_string()).await?;
    }
    let mut expected = Vec::new();
    for number in 0..4 {
        expected.push(api.new_task(&made[1], &number.to_string()).await?);
    }
    let first = api.get("/api/tasks?limit=2").await?.expect(200).json();
    // The group that was being shown.
    api.delete(&format!("/api/groups/{}", made[0])).await?.expect(204);
    let next = first["next"].as_str().unwrap_or_default();
    let second = api.get(&format!("/api/tasks?cursor={next}")).await?.expect(200).json();
    assert_eq!(ids(second["tasks"].as_array().map_or(&[], Vec::as_slice)), expected);
    Ok(())
}

async fn a_list_of_groups_counts_their_tasks_and_may_hold_them(world: Arc<World>) -> Outcome {
    let (api, made) = groups(&world, 2).await?;
    let tasks = [api.new_task(&made[0], "one").await?, api.new_task(&made[0], "two").await?];
    api.post(&format!("/api/tasks/{}/comments", tasks[1]), &json!({ "text": "x" })).await?.expect(201);
    // Counts are derived, and follow within a moment.
    eventually("the counts of tasks", SOON, async || {
        let listed = api.all("/api/groups", "groups").await.map_err(|failure| failure.to_string())?;
        let counts: Vec<&Value> = listed.iter().map(|group| &group["taskCount"]).collect();
        if counts == [&json!(0), &json!(2)] { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await?;
    let plain = api.all("/api/groups", "groups").await?;
    assert!(plain.iter().all(|group| group.get("tasks").is_none()));
    let full = api.all("/api/groups?include=tasks", "groups").await?;
    assert_eq!((&full[0]["tasks"], &full[0]["taskCount"]), (&json!([]), &json!(0)));
    let embedded = full[1]["tasks"].as_array().cloned().unwrap_or_default();
    assert_eq!(ids(&embedded), tasks);
    assert_eq!((&embedded[1]["commentCount"], &full[1]["taskCount"]), (&json!(1), &json!(2)));
    api.get("/api/groups?include=comments").await?.invalid_fields(&["?include"]);
    Ok(())
}

async fn tasks_of_all_groups_are_listed_once(world: Arc<World>) -> Outcome {
    let (api, made) = groups(&world, 3).await?;
    let mut expected = BTreeSet::new();
    for number in 0..70 {
        expected.insert(api.new_task(&made[if number < 66 { 0 } else { 2 }], "task").await?);
    }
    for path in ["/api/tasks?limit=9", "/tasks?limit=200", "/api/tasks"] {
        let listed = api.all(path, "tasks").await?;
        assert_eq!(listed.len(), expected.len(), "{path}");
        let listed: BTreeSet<String> = ids(&listed).into_iter().map(str::to_owned).collect();
        assert_eq!(listed, expected, "{path}");
    }
    let shown = api.get(&format!("/api/groups/{}?limit=65", made[0])).await?.expect(200).json();
    assert_eq!(
        (shown["group"]["tasks"].as_array().map(Vec::len), &shown["group"]["taskCount"]),
        (Some(65), &json!(66))
    );
    let next = shown["next"].as_str().unwrap_or_default();
    let rest = api.get(&format!("/api/groups/{}?limit=65&cursor={next}", made[0])).await?.expect(200).json();
    assert_eq!((rest["group"]["tasks"].as_array().map(Vec::len), &rest["next"]), (Some(1), &json!(null)));
    Ok(())
}

async fn tasks_are_filtered_by_group_and_status(world: Arc<World>) -> Outcome {
    let (api, made) = groups(&world, 2).await?;
    let mut expected = Vec::new();
    for number in 0..6 {
        let status = if number % 2 == 0 { "In Progress" } else { "Backlog" };
        let group = &made[usize::from(number > 3)];
        let body = json!({ "name": number.to_string(), "status": status });
        expected.push(api.post(&format!("/api/groups/{group}/tasks"), &body).await?.expect(201).id("task"));
    }
    let listed = async |path: String| -> Outcome<BTreeSet<String>> {
        let tasks = api.all(&path, "tasks").await?;
        Ok(ids(&tasks).into_iter().map(str::to_owned).collect())
    };
    let some =
        |numbers: &[usize]| -> BTreeSet<String> { numbers.iter().map(|n| expected[*n].clone()).collect() };
    for base in ["/api/tasks", "/tasks"] {
        assert_eq!(listed(format!("{base}?status=In%20Progress&limit=1")).await?, some(&[0, 2, 4]));
        assert_eq!(listed(format!("{base}?groupId={}", made[0])).await?, some(&[0, 1, 2, 3]));
        assert_eq!(listed(format!("{base}?groupId={}&status=Backlog", made[1])).await?, some(&[5]));
        assert_eq!(listed(format!("{base}?status=Approved")).await?, some(&[]));
        api.get(&format!("{base}?status=Done")).await?.invalid_fields(&["?status"]);
        api.get(&format!("{base}?groupId=nonsense")).await?.problem(404, "not-found");
    }
    let of_group = format!("/api/groups/{}/tasks", made[0]);
    assert_eq!(listed(of_group.clone()).await?, some(&[0, 1, 2, 3]));
    assert_eq!(listed(format!("{of_group}?status=Backlog&limit=1")).await?, some(&[1, 3]));
    api.get(&format!("{of_group}?status=Done")).await?.invalid_fields(&["?status"]);
    Ok(())
}

async fn a_page_of_a_list_holds_fifty_and_at_most_two_hundred(world: Arc<World>) -> Outcome {
    let (api, made) = groups(&world, 1).await?;
    for number in 0..51 {
        api.new_task(&made[0], &number.to_string()).await?;
    }
    let length = async |path: &str| -> Outcome<usize> {
        Ok(api.get(path).await?.expect(200).json()["tasks"].as_array().map_or(0, Vec::len))
    };
    assert_eq!((length("/api/tasks").await?, length("/api/tasks?limit=200").await?), (50, 51));
    Ok(())
}

/// Every list that has pages.
async fn paged(world: &World) -> Outcome<Vec<String>> {
    let group = world.member().new_group(&unique("group")).await?;
    let task = world.member().new_task(&group, "task").await?;
    Ok(vec![
        "/api/groups".to_owned(),
        "/api/tasks".to_owned(),
        "/tasks".to_owned(),
        "/api/auth/users".to_owned(),
        format!("/api/groups/{group}"),
        format!("/api/groups/{group}/tasks"),
        format!("/api/tasks/{task}/comments"),
        format!("/api/logs/group/{group}"),
        format!("/api/logs/task/{task}"),
        "/api/logs/groups".to_owned(),
        format!("/api/logs/group/{group}/tasks"),
    ])
}

async fn a_limit_or_cursor_that_is_none_is_refused(world: Arc<World>) -> Outcome {
    for path in paged(&world).await? {
        let largest = match path.as_str() {
            "/api/logs/groups" => 10_000,
            path if path.contains("/logs/") => 1000,
            _ => 200,
        };
        for limit in ["0", "-1", "many", "", "1.5", &(largest + 1).to_string(), "99999999999999999999"] {
            world.member().get(&format!("{path}?limit={limit}")).await?.invalid_fields(&["?limit"]);
        }
        for cursor in ["x", "!", "bm90IGpzb24", "e30", "%00", "%FF"] {
            world.member().get(&format!("{path}?cursor={cursor}")).await?.invalid_fields(&["?cursor"]);
        }
        for limit in [1, largest] {
            world.member().get(&format!("{path}?limit={limit}")).await?.expect(200);
        }
    }
    Ok(())
}

async fn a_parameter_given_twice_is_refused(world: Arc<World>) -> Outcome {
    for path in paged(&world).await? {
        for parameter in ["limit", "cursor"] {
            let answer = world.member().get(&format!("{path}?{parameter}=1&{parameter}=2")).await?;
            answer.problem(400, "invalid-input");
        }
    }
    for path in ["/api/groups?include=tasks&include=tasks", "/api/tasks?status=New&status=New"] {
        world.member().get(path).await?.problem(400, "invalid-input");
    }
    Ok(())
}

async fn an_empty_filter_is_refused_as_any_other_wrong_value(world: Arc<World>) -> Outcome {
    let group = world.member().new_group(&unique("group")).await?;
    let of_group = format!("/api/groups/{group}/tasks");
    for (path, parameter, accepted) in [
        ("/api/tasks", "status", "New, Backlog"),
        ("/tasks", "status", "New, Backlog"),
        (of_group.as_str(), "status", "New, Backlog"),
        ("/api/tasks", "groupId", "the id of a group"),
        ("/tasks", "groupId", "the id of a group"),
        ("/api/groups", "include", "tasks"),
    ] {
        let answer = world.member().get(&format!("{path}?{parameter}=")).await?;
        let told = answer.invalid_fields(&[&format!("?{parameter}")]);
        assert!(told["detail"].as_str().is_some_and(|told| told.contains(accepted)), "{path}: {told}");
    }
    Ok(())
}

async fn an_unknown_parameter_is_refused_with_the_known_ones(world: Arc<World>) -> Outcome {
    for (path, unknown, known) in [
        ("/api/tasks?stauts=New", "stauts", "status"),
        ("/api/groups?limit=5&page=2", "page", "cursor"),
        ("/api/users/me?x=", "x", "nothing"),
    ] {
        let document = world.member().get(path).await?.invalid_fields(&[&format!("?{unknown}")]);
        let told = document["error"].as_str().unwrap_or_default();
        assert!(told.contains(unknown) && told.contains(known), "{told}");
    }
    let twice = world.member().get("/api/tasks?limit=5&limit=6").await?;
    twice.invalid_fields(&["?limit"]);
    Ok(())
}
