//! Finding the real parts on this machine, and getting those that are missing.
//!
//! System programs come from the distribution's packages. `daprd` and Kafka are no packages: they are built
//! or downloaded once a version into the cache folder and shared by all stacks of the user. A part appears
//! in the cache under its name only when it is whole.

mod cache;
mod daprd;
mod kafka;
mod packages;
mod toolchain;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) use cache::PartCache;
pub(crate) use packages::find_program;
use packages::{CARGO, GO, JAVA, MAVEN, NGINX, Need, POSTGRES, REDIS};

use crate::error::StackError;
use crate::parts::kafka::Programs as KafkaPrograms;
use crate::progress::Progress;
use crate::stack::Topology;

/// The versions that are built or downloaded; what the distribution provides comes in its version.
pub const DAPR_VERSION: &str = "1.18.1";
/// See [`DAPR_VERSION`].
pub const KAFKA_VERSION: &str = "4.1.0";

/// A part that can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Installable {
    /// The state store.
    Redis,
    /// The broker.
    Kafka,
    /// The history database.
    Postgres,
    /// The sidecar.
    Daprd,
    /// The edge in front of separate roles.
    Nginx,
}

impl Installable {
    /// What a whole stack in this topology needs.
    pub(crate) fn of(topology: Topology) -> BTreeSet<Self> {
        let mut parts = BTreeSet::from([Self::Redis, Self::Kafka, Self::Postgres, Self::Daprd]);
        if matches!(topology, Topology::Split { .. }) {
            parts.insert(Self::Nginx);
        }
        parts
    }
}

/// One thing that the stack uses, and whether this machine has it.
pub(crate) struct Examination {
    pub(crate) title: String,
    pub(crate) found: Option<String>,
    pub(crate) remedy: String,
}

/// Looks for everything that the stack uses, without installing anything.
pub(crate) async fn examine() -> Vec<Examination> {
    let mut found = Vec::new();
    for need in [&REDIS, &POSTGRES, &NGINX, &JAVA, &MAVEN, &GO, &CARGO] {
        found.push(need.examine().await);
    }
    found
}

/// Where the installed parts are. Reading one that was not asked for is an error in this crate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Programs {
    pub(crate) redis: PathBuf,
    pub(crate) kafka: KafkaPrograms,
    /// The folder of the server's programs.
    pub(crate) postgres: PathBuf,
    pub(crate) daprd: PathBuf,
    pub(crate) nginx: PathBuf,
}

/// Finds `wanted` parts and installs those that are missing.
pub(crate) async fn install(
    wanted: &BTreeSet<Installable>,
    cache: &PartCache,
    progress: &Progress,
) -> Result<Programs, StackError> {
    let mut programs = Programs::default();
    let mut missing: Vec<&'static Need> = Vec::new();
    for (part, need, place) in [
        (Installable::Redis, &REDIS, &mut programs.redis),
        (Installable::Postgres, &POSTGRES, &mut programs.postgres),
        (Installable::Nginx, &NGINX, &mut programs.nginx),
    ] {
        if wanted.contains(&part) {
            match need.find() {
                Some(found) => *place = found,
                None => missing.push(need),
            }
        }
    }
    if !missing.is_empty() {
        packages::install(&missing, progress).await?;
        for need in missing {
            let found = need.find().ok_or_else(|| need.missing())?;
            match need.program {
                "redis-server" => programs.redis = found,
                "nginx" => programs.nginx = found,
                _ => programs.postgres = found,
            }
        }
    }
    if wanted.contains(&Installable::Kafka) {
        programs.kafka = kafka::install(cache, progress).await?;
    }
    if wanted.contains(&Installable::Daprd) {
        programs.daprd = daprd::install(cache, progress).await?;
    }
    Ok(programs)
}
