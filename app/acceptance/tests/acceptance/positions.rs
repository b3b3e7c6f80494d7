//! Dragging tasks over the board.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tidemark_acceptance::Outcome;

use super::api::{Answer, Api};
use super::run::Trial;
use super::world::{World, unique};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_task_is_dropped_after_before_and_between_others,
        a_task_dropped_without_neighbours_stands_last,
        a_task_is_dropped_in_another_column,
        a_hundred_drops_into_one_gap_keep_the_order,
        tasks_dropped_into_one_gap_at_the_same_moment_have_room_between_them,
        a_neighbour_must_be_another_task_of_the_group,
        neighbours_must_stand_in_order,
        a_stale_drop_is_refused,
    ]
}

struct Column {
    api: Api,
    group: String,
    tasks: Vec<String>,
}

impl Column {
    async fn of(world: &World, count: usize) -> Outcome<Self> {
        let api = world.member().clone();
        let group = api.new_group(&unique("board")).await?;
        let mut tasks = Vec::new();
        for number in 0..count {
            tasks.push(api.new_task(&group, &number.to_string()).await?);
        }
        Ok(Self { api, group, tasks })
    }

    async fn drop_task(&self, task: usize, body: &Value) -> Outcome<Answer> {
        self.api.put(&format!("/api/tasks/{}/position", self.tasks[task]), body).await
    }

    /// The numbers of the tasks as they stand on the board.
    async fn order(&self) -> Outcome<Vec<usize>> {
        let shown = self.api.get(&format!("/api/groups/{}?limit=200", self.group)).await?.expect(200).json();
        let tasks = shown["group"]["tasks"].as_array().cloned().unwrap_or_default();
        let number = |task: &Value| self.tasks.iter().position(|id| task["_id"] == json!(id));
        Ok(tasks.iter().filter_map(number).collect())
    }
}

async fn a_task_is_dropped_after_before_and_between_others(world: Arc<World>) -> Outcome {
    let column = Column::of(&world, 4).await?;
    assert_eq!(column.order().await?, [0, 1, 2, 3]);
    let id = |task: usize| json!(column.tasks[task]);
    let moved = column.drop_task(0, &json!({ "after": id(2) })).await?.expect(200);
    assert_eq!((moved.version(), &moved.json()["task"]["status"]), ("2", &json!("New")));
    assert_eq!(column.order().await?, [1, 2, 0, 3]);
    column.drop_task(3, &json!({ "before": id(1) })).await?.expect(200);
    assert_eq!(column.order().await?, [3, 1, 2, 0]);
    column.drop_task(0, &json!({ "after": id(3), "before": id(1) })).await?.expect(200);
    assert_eq!(column.order().await?, [3, 0, 1, 2]);
    column.drop_task(3, &json!({ "after": id(2) })).await?.expect(200);
    assert_eq!(column.order().await?, [0, 1, 2, 3]);
    Ok(())
}

async fn a_task_dropped_without_neighbours_stands_last(world: Arc<World>) -> Outcome {
    let mut column = Column::of(&world, 3).await?;
    column.drop_task(0, &json!({})).await?.expect(200);
    assert_eq!(column.order().await?, [1, 2, 0]);
    let later = column.api.new_task(&column.group, "later").await?;
    column.tasks.push(later);
    assert_eq!(column.order().await?, [1, 2, 0, 3], "a task made later stands after it");
    Ok(())
}

async fn a_task_is_dropped_in_another_column(world: Arc<World>) -> Outcome {
    let column = Column::of(&world, 2).await?;
    let body = json!({ "after": column.tasks[1], "status": "Completed" });
    let moved = column.drop_task(0, &body).await?.expect(200);
    assert_eq!(moved.json()["task"]["status"], json!("Completed"));
    assert_eq!(moved.version(), "3", "a place and a status are two changes");
    column.drop_task(0, &json!({ "status": "Done" })).await?.invalid_fields(&["/status"]);
    Ok(())
}

async fn a_hundred_drops_into_one_gap_keep_the_order(world: Arc<World>) -> Outcome {
    let column = Column::of(&world, 4).await?;
    for drop in 0..100 {
        // The two in the middle change places for ever, always between the same neighbours.
        let (moving, staying) = if drop % 2 == 0 { (1, 2) } else { (2, 1) };
        let body = json!({ "after": column.tasks[staying], "before": column.tasks[3] });
        column.drop_task(moving, &body).await?.expect(200);
        assert_eq!(column.order().await?, [0, staying, moving, 3]);
    }
    Ok(())
}

async fn tasks_dropped_into_one_gap_at_the_same_moment_have_room_between_them(world: Arc<World>) -> Outcome {
    let column = Column::of(&world, 9).await?;
    // Into the gap between two of them, before all, and after all.
    for body in [
        json!({ "after": column.tasks[0], "before": column.tasks[1] }),
        json!({ "before": column.tasks[0] }),
        json!({}),
    ] {
        let dropped = try_join_all((2..8).map(|task| column.drop_task(task, &body))).await?;
        let mut ranks: Vec<String> =
            dropped.into_iter().map(|answer| answer.expect(200).json()["task"]["rank"].to_string()).collect();
        ranks.sort_unstable();
        ranks.dedup();
        assert_eq!(ranks.len(), 6, "{ranks:?}");
        let order = column.order().await?;
        for pair in order.windows(2).filter(|pair| !pair.contains(&8)) {
            let body = json!({ "after": column.tasks[pair[0]], "before": column.tasks[pair[1]] });
            column.drop_task(8, &body).await?.expect(200);
        }
    }
    Ok(())
}

async fn a_neighbour_must_be_another_task_of_the_group(world: Arc<World>) -> Outcome {
    let (column, other) = (Column::of(&world, 2).await?, Column::of(&world, 1).await?);
    for neighbour in [&column.tasks[0], &other.tasks[0], &column.group, "nonsense", ""] {
        column.drop_task(0, &json!({ "after": neighbour })).await?.invalid_fields(&["/after"]);
        column.drop_task(0, &json!({ "before": neighbour })).await?.invalid_fields(&["/before"]);
    }
    column.drop_task(0, &json!({ "after": 7 })).await?.invalid_fields(&["/after"]);
    Ok(())
}

async fn neighbours_must_stand_in_order(world: Arc<World>) -> Outcome {
    let column = Column::of(&world, 3).await?;
    let reversed = json!({ "after": column.tasks[2], "before": column.tasks[1] });
    column.drop_task(0, &reversed).await?.invalid_fields(&["/before"]);
    let same = json!({ "after": column.tasks[1], "before": column.tasks[1] });
    column.drop_task(0, &same).await?.invalid_fields(&["/before"]);
    assert_eq!(column.order().await?, [0, 1, 2]);
    Ok(())
}

async fn a_stale_drop_is_refused(world: Arc<World>) -> Outcome {
    let column = Column::of(&world, 2).await?;
    let path = format!("/api/tasks/{}/position", column.tasks[0]);
    column.api.put_if(&path, "\"1\"", &json!({})).await?.expect(200);
    column.api.put_if(&path, "\"1\"", &json!({})).await?.problem(412, "stale-version");
    Ok(())
}
