//! The tasks role: groups, their tasks, and the comments on them.
//!
//! Three kinds of collections in pages: the groups of a workspace, the tasks of a group, the comments on the tasks
//! of one page; and the lists of what was deleted, one a day. Keys carry the workspace of the caller's token, so that another workspace's id leads nowhere.

mod add_comment;
mod board;
mod bodies;
mod bulk_tasks;
mod change;
mod change_status;
mod create_group;
mod create_task;
mod delete_group;
mod delete_task;
mod early_data;
mod edit_group;
mod edit_task;
mod gap;
mod list_comments;
mod list_groups;
mod list_tasks;
mod move_task;
mod purge;
mod reading;
mod refusals;
mod repair;
mod restore_group;
mod restore_task;
mod show_group;
mod show_task;
mod task_values;
mod trash;
mod update_group;
mod update_task;

use std::sync::Arc;

use futures_util::FutureExt;
use tidemark_pages::Pages;

pub use self::repair::{repair, repair_trash};
use self::{board::Board, purge::Finisher};
use crate::{
    dapr::{Message, StateComponent, TopicPublisher},
    foundation::{Foundation, Offer},
    health::{Dependency, PROBE_DEADLINE},
    operations::Offered,
};

/// What the role's actions share.
struct TasksRole {
    board: Board,
}

pub fn start(foundation: &Foundation) -> Offer {
    let events = &foundation.configuration.events;
    let pages = foundation.start_pages("tasks", Some(Arc::new(Finisher)));
    purge::start(foundation, pages.clone());
    let board = Board::new(pages.clone(), events.clone(), Arc::clone(&foundation.clock));
    let role = Arc::new(TasksRole { board });
    let mut dependencies = vec![state_dependency(foundation.state.clone())];
    if events.kafka_enabled {
        dependencies.push(broker_dependency(&foundation.ledger, pages.clone()));
    }
    let operations = vec![
        Offered::new(&role, list_groups::list_groups),
        Offered::new(&role, create_group::create_group),
        Offered::new(&role, show_group::show_group),
        Offered::new(&role, update_group::update_group),
        Offered::new(&role, delete_group::delete_group),
        Offered::new(&role, restore_group::restore_group),
        Offered::new(&role, list_tasks::list_tasks),
        Offered::new(&role, create_task::create_task),
        Offered::new(&role, show_task::show_task),
        Offered::new(&role, update_task::update_task),
        Offered::new(&role, change_status::change_status),
        Offered::new(&role, move_task::move_task),
        Offered::new(&role, delete_task::delete_task),
        Offered::new(&role, restore_task::restore_task),
        Offered::new(&role, bulk_tasks::bulk_tasks),
        Offered::new(&role, list_comments::list_comments),
        Offered::new(&role, add_comment::add_comment),
    ];
    let unfit = {
        let pages = pages.clone();
        async move { early_data::found(&pages).await.into() }.boxed()
    };
    Offer { operations, dependencies, pages: Some(pages), unfit: Some(unfit), ..Offer::default() }
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
