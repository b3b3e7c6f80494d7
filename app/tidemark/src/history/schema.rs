//! The history's tables, made and brought up to date at start.
//!
//! Each migration runs once, as one transaction, under a lock: replicas that start together take turns. With
//! TimescaleDB the log is a hypertable; without, it is partitioned by month.

use std::time::Duration;

use serde::Deserialize;
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use crate::{
    dapr::{DatabaseBinding, DatabaseError},
    foundation::Foundation,
    telemetry::WithCauses,
};

/// Migrations in order. One that has been released is never changed: a new one follows it.
const MIGRATIONS: [Migration; 3] = [
    Migration {
        version: 1,
        timescale: include_str!("migrations/0001_event_log_timescale.sql"),
        native: include_str!("migrations/0001_event_log_native.sql"),
    },
    Migration {
        version: 2,
        timescale: include_str!("migrations/0002_record_events_timescale.sql"),
        native: include_str!("migrations/0002_record_events_native.sql"),
    },
    Migration {
        version: 3,
        timescale: include_str!("migrations/0003_actions_timescale.sql"),
        native: include_str!("migrations/0003_actions_native.sql"),
    },
];

struct Migration {
    version: u32,
    timescale: &'static str,
    native: &'static str,
}

/// What stores the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    TimescaleDb,
    /// Declarative partitions of plain PostgreSQL.
    Native,
}

/// Known once the tables are ready.
#[derive(Clone)]
pub struct Schema(watch::Receiver<Option<Engine>>);

const MIGRATION_DEADLINE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(500);

impl Schema {
    /// Begins to prepare the tables; goes on until it succeeds.
    pub fn prepare(database: DatabaseBinding, foundation: &Foundation) -> Self {
        let (ready, schema) = watch::channel(None);
        let stopping = foundation.stopping.clone();
        let migrate = async move {
            ready.send_replace(Some(until_ready(database).await));
        };
        foundation.tasks.spawn(async move {
            stopping.run_until_cancelled(migrate).await;
        });
        Self(schema)
    }

    /// Waits until the tables are ready. `None` if the process stops before that.
    pub async fn ready(&mut self) -> Option<Engine> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|engine| *engine)
    }
}

/// Brings the tables up to date, trying again until `limit` has passed. `None` if they are not ready by then.
pub async fn ready_within(database: DatabaseBinding, limit: Duration) -> Option<Engine> {
    timeout(limit, until_ready(database)).await.ok()
}

async fn until_ready(database: DatabaseBinding) -> Engine {
    let database = database.with_deadline(MIGRATION_DEADLINE);
    loop {
        match migrate(&database).await {
            Ok(engine) => {
                info!(?engine, "history tables are ready");
                return engine;
            }
            Err(fault) => warn!(error = %WithCauses(&fault), "history tables are not ready yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(Deserialize)]
struct Found {
    yes: bool,
}

/// Answers a question that is an SQL expression.
async fn ask(database: &DatabaseBinding, question: &str) -> Result<bool, DatabaseError> {
    let found: Vec<Found> = database.rows(&format!("SELECT {question} AS yes"), &[]).await?;
    Ok(found.iter().any(|found| found.yes))
}

/// The extension is made where it can be installed. Its Apache edition, which some clouds offer, has neither
/// compression nor retention: there the native partitions serve better.
async fn engine(database: &DatabaseBinding) -> Result<Engine, DatabaseError> {
    let installable = "EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')";
    if !ask(database, installable).await? {
        return Ok(Engine::Native);
    }
    // Not in a migration's transaction: the extension must be there before its functions are named.
    database.execute("CREATE EXTENSION IF NOT EXISTS timescaledb", &[]).await?;
    let complete = "coalesce(current_setting('timescaledb.license', true), '') = 'timescale'";
    Ok(if ask(database, complete).await? { Engine::TimescaleDb } else { Engine::Native })
}

async fn migrate(database: &DatabaseBinding) -> Result<Engine, DatabaseError> {
    let engine = engine(database).await?;
    for migration in MIGRATIONS {
        let statements = match engine {
            Engine::TimescaleDb => migration.timescale,
            Engine::Native => migration.native,
        };
        database.execute(&guarded(migration.version, statements), &[]).await?;
    }
    Ok(engine)
}

/// Several statements without parameters are one transaction: lock, look, migrate, note.
fn guarded(version: u32, statements: &str) -> String {
    format!(
        "SELECT pg_advisory_xact_lock(7241001);
         CREATE TABLE IF NOT EXISTS schema_migrations (
             version integer PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         );
         DO $migration$
         BEGIN
             IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = {version}) THEN
                 {statements}
                 INSERT INTO schema_migrations (version) VALUES ({version});
             END IF;
         END
         $migration$;"
    )
}
