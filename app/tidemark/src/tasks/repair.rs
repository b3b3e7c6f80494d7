//! Mends what is damaged of the boards in the store.

use std::time::Duration;

use jiff::ToSpan;
use tidemark_domain::{GroupId, TaskId, Workspace, id::unique_part};
use tidemark_pages::{Entry, StoreError, Use};
use tidemark_protocol::stored::{Salvage, salvage_comment, salvage_group, salvage_task};

use super::{
    board::{TRASH, bulk_keys_of, comments_of, groups_of, tasks_of},
    bulk_tasks::KEY_PAGES,
    trash,
};
use crate::damage::Inspection;

/// Mends the groups of the workspace, with all that is in them.
pub async fn repair(inspection: &Inspection<'_>, workspace: &Workspace) -> Result<(), StoreError> {
    let trashed_at = |entry: &Entry| (entry.label == TRASH).then_some(inspection.now());
    let salvage = |page, entry: &Entry| salvage_group(page, &entry.id, &entry.value, trashed_at(entry));
    for (page, groups) in inspection.collection(&groups_of(workspace), salvage).await? {
        for unique in groups.iter().filter_map(|group| unique_part(&group.id).ok()) {
            repair_tasks(inspection, workspace, GroupId::new(page, unique)).await?;
        }
    }
    for number in 0..KEY_PAGES {
        let page = bulk_keys_of(workspace).page(number.into());
        inspection.page(&page, Use::Addressed, |_| Salvage::Sound).await?;
    }
    Ok(())
}

async fn repair_tasks(
    inspection: &Inspection<'_>,
    workspace: &Workspace,
    group: GroupId,
) -> Result<(), StoreError> {
    let trashed_at = |entry: &Entry| (entry.label == TRASH).then_some(inspection.now());
    let salvage = |page, entry: &Entry| salvage_task(group, page, &entry.id, &entry.value, trashed_at(entry));
    for (task_page, _) in inspection.collection(&tasks_of(workspace, group), salvage).await? {
        let salvage = |page, entry: &Entry| {
            let task = TaskId::new(group, task_page, unique_part(&entry.label).unwrap_or_default());
            salvage_comment(task, page, &entry.id, &entry.value)
        };
        inspection.collection(&comments_of(workspace, group, task_page), salvage).await?;
    }
    Ok(())
}

/// Mends the lists of what was deleted.
pub async fn repair_trash(inspection: &Inspection<'_>, retention: Duration) -> Result<(), StoreError> {
    let today = trash::day(inspection.now());
    let oldest = trash::due_days(trash::due_before(inspection.now(), retention)).last().unwrap_or(today);
    for day in oldest.series(1.day()).take_while(|day| *day <= today) {
        for list in trash::lists_of(day) {
            inspection.collection(&list, |_, _| Salvage::Sound).await?;
        }
    }
    Ok(())
}
