//! Every fact about Dapr's sidecar that Tidemark's design leans on, tested against the real sidecar, Redis,
//! Kafka and `PostgreSQL`. A new version of one of them that behaves differently fails here first.
//!
//! The project's own `components/` and `dapr/` are used wherever a fact depends on their settings.
//!
//! The guestbook, the example of the storage engine, is tested here too: it is the smallest program that leans on
//! these facts.
//!
//! `cargo test -p tidemark-acceptance --test sidecar_contract` runs it; a word after `--` picks trials by name.

mod sidecar_contract {
    pub mod access;
    pub mod application;
    pub mod contract;
    pub mod database;
    pub mod delivery;
    pub mod guestbook;
    pub mod invocation;
    pub mod outage;
    pub mod redelivery;
    pub mod sidecar;
    pub mod state;
    pub mod store;
}

use std::process::ExitCode;

use sidecar_contract::contract::Contract;
use sidecar_contract::{access, database, delivery, guestbook, invocation, outage, redelivery, state};
use tidemark_acceptance::suite;
use tidemark_stack::StackOptions;

fn main() -> ExitCode {
    // The slowest first: they wait for Kafka to notice that a consumer is gone.
    let trials = [
        redelivery::trials(),
        outage::trials(),
        delivery::trials(),
        state::trials(),
        database::trials(),
        invocation::trials(),
        access::trials(),
        guestbook::trials(),
    ];
    suite::run(
        StackOptions::for_test("sidecar-contract"),
        Contract::new,
        trials.into_iter().flatten().collect(),
    )
}
