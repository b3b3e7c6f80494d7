//! Mends the users that are damaged in the store.

use tidemark_pages::{CollectionKey, Use};
use tidemark_protocol::stored::salvage_user;

use super::users::{COLLECTION, SHARDS};
use crate::damage::Inspection;

pub async fn repair(inspection: &Inspection<'_>) -> anyhow::Result<()> {
    let users = CollectionKey::parse(COLLECTION)?;
    for shard in 0..SHARDS {
        inspection
            .page(&users.page(shard), Use::Addressed, |entry| salvage_user(shard, &entry.id, &entry.value))
            .await?;
    }
    Ok(())
}
