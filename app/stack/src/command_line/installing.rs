//! Installing everything in advance.

use std::process::ExitCode;

use crate::folders::Folders;
use crate::install::{Installable, PartCache, install};
use crate::progress::Progress;
use crate::stack::Topology;

pub(super) async fn install_all(folders: &Folders, progress: &Progress) -> anyhow::Result<ExitCode> {
    let everything = Installable::of(Topology::Split { tasks_replicas: 1 });
    install(&everything, &PartCache::new(&folders.cache()), progress).await?;
    println!("Everything that the stack needs is installed.");
    Ok(ExitCode::SUCCESS)
}
