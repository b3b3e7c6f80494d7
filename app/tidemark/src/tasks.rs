//! The tasks role: groups, their tasks, and the comments on them.
//!
//! Three kinds of collections in pages: the groups of a workspace, the tasks of a group, the comments of a
//! task. Keys carry the workspace of the caller's token, so that another workspace's id leads nowhere.

mod add_comment;
mod board;
mod bodies;
mod cascade;
mod change_status;
mod create_group;
mod create_task;
mod delete_group;
mod delete_task;
mod edit_task;
mod list_comments;
mod list_groups;
mod list_tasks;
mod move_task;
mod show_group;
mod show_task;
mod update_group;
mod update_task;

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRef,
    routing::{get, post, put},
};

use self::{board::Board, cascade::Cascades};
use tidemark_pages::Pages;

use crate::{
    dapr::{Message, StateComponent, TopicPublisher},
    health::{Dependency, PROBE_DEADLINE},
    identity::Verifier,
    roles::{Foundation, Offer},
};

/// What the role's handlers share.
#[derive(Clone, FromRef)]
struct TasksRole {
    board: Board,
    cascades: Arc<Cascades>,
    verifier: Arc<Verifier>,
}

pub fn start(foundation: &Foundation) -> Offer {
    let events = &foundation.configuration.events;
    let cascades = Arc::new(Cascades::new(events.clone()));
    let pages = foundation.start_pages("tasks", Some(cascades.clone()));
    let role = TasksRole {
        board: Board::new(pages.clone(), events.clone()),
        cascades,
        verifier: Arc::clone(&foundation.verifier),
    };
    let mut dependencies = vec![state_dependency(foundation.state.clone())];
    if events.kafka_enabled {
        dependencies.push(broker_dependency(&foundation.ledger, pages.clone()));
    }
    Offer { router: router(role), dependencies, pages: Some(pages), ..Offer::default() }
}

fn router(role: TasksRole) -> Router {
    let mut router = Router::new()
        .route("/api/groups", get(list_groups::handle).post(create_group::handle))
        .route(
            "/api/groups/{id}",
            get(show_group::handle).put(update_group::handle).delete(delete_group::handle),
        )
        .route("/api/groups/{id}/tasks", post(create_task::in_group).get(list_tasks::of_group));
    // The paths without /api serve clients of the older API.
    for base in ["/api/tasks", "/tasks"] {
        router = router
            .route(base, get(list_tasks::handle).post(create_task::anywhere))
            .route(
                &format!("{base}/{{id}}"),
                get(show_task::handle).put(update_task::handle).delete(delete_task::handle),
            )
            .route(&format!("{base}/{{id}}/status"), put(change_status::handle))
            .route(&format!("{base}/{{id}}/position"), put(move_task::handle))
            .route(&format!("{base}/{{id}}/comments"), get(list_comments::handle).post(add_comment::handle));
    }
    router.with_state(role)
}

fn state_dependency(state: StateComponent) -> Dependency {
    Dependency::new("state", true, move || {
        let state = state.clone();
        async move { Ok(state.ping(PROBE_DEADLINE).await?) }
    })
}

/// Published every time the broker's health is asked for; nobody listens.
const PROBE_TOPIC: &str = "tidemark.health";

/// Writes go on without the broker: events wait in the pages.
fn broker_dependency(ledger: &TopicPublisher, pages: Pages) -> Dependency {
    let probe = ledger.to_topic(PROBE_TOPIC);
    Dependency::new("kafka", false, move || {
        let (probe, pages) = (probe.clone(), pages.clone());
        async move {
            if let Some(failing_for) = pages.health().failing_for {
                return Err(format!("publishing has failed for {} seconds", failing_for.as_secs()).into());
            }
            let probe_message =
                Message { partition_key: "health".to_owned(), payload: "{}".into(), headers: Vec::new() };
            Ok(probe.publish_raw([probe_message], PROBE_DEADLINE).await?)
        }
    })
}
