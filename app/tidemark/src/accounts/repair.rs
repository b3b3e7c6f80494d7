//! Mends the users that are damaged in the store.

use tidemark_pages::{CollectionKey, Entry};
use tidemark_protocol::stored::salvage_user;

use super::users::{COLLECTION, SHARDS};
use crate::damage::Inspection;

pub async fn repair(inspection: &Inspection<'_>) -> anyhow::Result<()> {
    let users = CollectionKey::parse(COLLECTION)?;
    for shard in 0..SHARDS {
        let salvage = |entry: &Entry| salvage_user(shard, &entry.id, &entry.value);
        inspection.page_of_users(&users.page(shard), salvage).await?;
    }
    Ok(())
}
