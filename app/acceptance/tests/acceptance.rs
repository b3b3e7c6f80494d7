//! What Tidemark promises its clients, tested from outside on real parts: once with all roles in one process,
//! and again, unchanged, with each role in its own behind NGINX.
//!
//! Beside cargo's own arguments, variables choose: `TOPOLOGY=split`, `APPLICATION_PROFILE=release`, `SEED` for
//! the random requests, `UPDATE=1` to write `sources.txt` anew, and `KILLS` and `CLIENTS` for the long run under
//! load, `GARBAGE_SECONDS` for that of strangers (`make garbage`):
//!
//! `ATTACH=description.json` tests a system that already runs, such as the containers of the compose file, and
//! leaves out what would break it.
//!
//! ```text
//! KILLS=10 CLIENTS=200 APPLICATION_PROFILE=release \
//!     cargo test -p tidemark-acceptance --test acceptance -- killed_at_any_moment
//! ```

mod acceptance {
    pub mod access;
    pub mod accounts;
    pub mod api;
    pub mod bad_input;
    pub mod bulk;
    pub mod closed;
    pub mod costs;
    pub mod deletion;
    pub mod garbage;
    pub mod groups;
    pub mod health;
    pub mod history;
    pub mod idempotency;
    pub mod junk;
    pub mod kills;
    pub mod links;
    pub mod lists;
    pub mod migration;
    pub mod observer;
    pub mod order;
    pub mod outages;
    pub mod poison;
    pub mod positions;
    pub mod repairs;
    pub mod restarts;
    pub mod run;
    pub mod sources;
    pub mod store;
    pub mod tasks;
    pub mod tokens;
    pub mod versions;
    pub mod world;
}

use std::process::ExitCode;

use acceptance::{
    access, accounts, bad_input, bulk, closed, costs, deletion, garbage, groups, health, history,
    idempotency, junk, kills, links, lists, migration, order, outages, poison, positions, repairs, restarts,
    run, sources, tasks, versions,
};

fn main() -> ExitCode {
    let calm = [
        // The slowest first.
        idempotency::trials(),
        positions::trials(),
        lists::trials(),
        order::trials(),
        bad_input::trials(),
        junk::trials(),
        history::trials(),
        poison::trials(),
        deletion::trials(),
        bulk::trials(),
        sources::trials(),
        accounts::trials(),
        closed::trials(),
        access::trials(),
        groups::trials(),
        tasks::trials(),
        versions::trials(),
        health::trials(),
        links::trials(),
        migration::trials(),
        repairs::trials(),
    ];
    let alone = [
        history::quiet_trials(),
        deletion::quiet_trials(),
        costs::quiet_trials(),
        outages::trials(),
        garbage::trials(),
        restarts::trials(),
        kills::trials(),
    ];
    run::run(&calm.concat(), &alone.concat())
}
