//! `tidemark repair`: lists what is damaged in the state store, and mends it on request.

use anyhow::ensure;
use tidemark_domain::Workspace;

use crate::{
    accounts,
    clock::{Clock, SystemClock},
    configuration::RepairConfiguration,
    damage::Inspection,
    dapr::{Sidecar, StateComponent},
    tasks,
};

/// Fails if something is damaged and stays so.
pub async fn run(configuration: &RepairConfiguration) -> anyhow::Result<()> {
    let workspaces: Vec<Workspace> =
        configuration.workspaces.iter().map(|name| Workspace::parse(name)).collect::<Result<_, _>>()?;
    let state = &configuration.state;
    let store = StateComponent::new(
        Sidecar::new(&configuration.sidecar)?,
        state.state_store.clone(),
        state.state_deadline,
    );
    let inspection = Inspection::new(&store, configuration.mend, SystemClock.now());
    accounts::repair(&inspection).await?;
    for workspace in &workspaces {
        tasks::repair(&inspection, workspace).await?;
    }
    tasks::repair_trash(&inspection, state.trash_retention).await?;
    let (pages, damaged) = (inspection.pages(), inspection.damaged());
    if configuration.mend {
        println!("{pages} pages were looked at, {damaged} faults were mended");
    } else {
        println!("{pages} pages were looked at, {damaged} faults were found");
        ensure!(damaged == 0, "something is damaged: run again with --mend");
    }
    Ok(())
}
