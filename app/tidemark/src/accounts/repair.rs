//! Mends the users that are damaged in the store.

use tidemark_pages::{CollectionKey, Entry, Use};
use tidemark_protocol::stored::{Salvage, salvage_user};

use super::users::{COLLECTION, LIKENESSES, SHARDS};
use crate::damage::Inspection;

pub async fn repair(inspection: &Inspection<'_>) -> anyhow::Result<()> {
    let (users, likenesses) = (CollectionKey::parse(COLLECTION)?, CollectionKey::parse(LIKENESSES)?);
    for shard in 0..SHARDS {
        let salvage = |entry: &Entry| salvage_user(shard, &entry.id, &entry.value);
        inspection.page_of_users(&users.page(shard), salvage).await?;
        // Any bytes can be read as a name: only the page itself can be damaged.
        inspection.page(&likenesses.page(shard), Use::Addressed, |_| Salvage::Sound).await?;
    }
    Ok(())
}
