//! The history role: every event, kept and told.
//!
//! It consumes the ledger in bulk and writes each batch with one statement through the sidecar's database
//! binding. A repeated event adds no row. Rows are numbered in the order in which they become visible.

mod consumer;
mod group_logs;
mod log_summary;
mod logs;
mod maintenance;
mod schema;
mod summaries;
mod task_logs;

use std::sync::Arc;

use tidemark_api::Role;
use tidemark_protocol::ledger;

use self::{consumer::Consumer, log_summary::SummaryCache, schema::Schema};
use crate::{
    configuration::MigrateConfiguration,
    dapr::{DatabaseBinding, Sidecar, Subscription},
    foundation::{Foundation, Offer},
    health::{Dependency, PROBE_DEADLINE},
    operations::Offered,
};

/// What the role's actions share.
struct HistoryRole {
    database: DatabaseBinding,
    summaries: SummaryCache,
}

/// Events in one batch at most: one statement writes them.
const LARGEST_BATCH: u16 = 500;
/// How long the sidecar collects a batch [ms]. Events should be readable a tenth of a second after the change;
/// within that, a longer wait makes larger batches, and each event cheaper.
const LONGEST_WAIT: u16 = 100;

pub fn start(foundation: &Foundation) -> Offer {
    let configuration = &foundation.configuration.history;
    let database = DatabaseBinding::new(
        foundation.sidecar.clone(),
        configuration.history_binding.clone(),
        configuration.history_deadline,
    );
    let schema = Schema::prepare(database.clone(), foundation);
    maintenance::start(database.clone(), schema.clone(), foundation);
    let consumer = Consumer::new(database.clone(), &foundation.ledger, schema, Arc::clone(&foundation.clock));
    let role = Arc::new(HistoryRole {
        database: database.clone(),
        summaries: SummaryCache::new(configuration.log_summary_cache),
    });
    let subscription = Subscription {
        components: configuration.history_pubsubs.clone(),
        topic: ledger::TOPIC,
        largest_batch: LARGEST_BATCH,
        longest_wait_milliseconds: LONGEST_WAIT,
        consumer: Arc::new(consumer),
    };
    // Beside other roles the rest of the board works without the history; alone there is nothing else.
    let needed = foundation.roles == [Role::History];
    let dependency = Dependency::new("timescaledb", needed, move || {
        let database = database.with_deadline(PROBE_DEADLINE);
        async move { Ok(database.execute("SELECT 1", &[]).await?) }
    });
    Offer {
        operations: vec![
            Offered::new(&role, log_summary::summarise_logs),
            Offered::new(&role, group_logs::show_group_log),
            Offered::new(&role, group_logs::summarise_task_logs),
            Offered::new(&role, task_logs::show_task_log),
        ],
        subscriptions: vec![subscription],
        dependencies: vec![dependency],
        ..Offer::default()
    }
}

/// Brings the tables up to date through a sidecar, without serving anything.
pub async fn migrate(configuration: &MigrateConfiguration) -> anyhow::Result<()> {
    let history = &configuration.history;
    let sidecar = Sidecar::new(&configuration.sidecar)?;
    let database = DatabaseBinding::new(sidecar, history.history_binding.clone(), history.history_deadline);
    let limit = configuration.within;
    let engine = schema::ready_within(database, limit).await;
    anyhow::ensure!(engine.is_some(), "the history's tables were not ready within {limit:?}");
    Ok(())
}
