//! The items in which processes tell each other which pages they have in use. All live under
//! `pages/<namespace>/`:
//!
//! - `directory`: the incarnations that have or may have active pages.
//! - `lease/<incarnation>`: a sign of life, with a time to live.
//! - `register/<incarnation>/<slot>`: the names of active pages.
//! - `sweeper`: who sweeps, with a time to live.

use std::{fmt, time::Duration};

use bytes::Bytes;
use prost::Message;

use crate::{Configuration, Precondition, StateStore, StoreError, key::RESERVED};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Directory {
    /// Goes up with every new sweeper; only the one who raised it last may remove an incarnation.
    #[prost(uint64, tag = "1")]
    pub(crate) fencing: u64,
    #[prost(message, repeated, tag = "2")]
    pub(crate) incarnations: Vec<Incarnation>,
}

/// One life of an instance, or one part of it between two losses of its lease.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Incarnation {
    #[prost(fixed64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) instance: String,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:016x})", self.instance, self.id)
    }
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Lease {
    /// Of an incarnation: its id. Of the sweep: the sweeping process.
    #[prost(fixed64, tag = "1")]
    pub(crate) holder: u64,
    /// Goes up with every renewal.
    #[prost(uint64, tag = "2")]
    pub(crate) beat: u64,
    /// Taken away: its holder must not rely on it any more.
    #[prost(bool, tag = "3")]
    pub(crate) revoked: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Slot {
    #[prost(string, repeated, tag = "1")]
    pub(crate) pages: Vec<String>,
    /// Swept: nothing may be noted here any more. Pages that could not be visited stay.
    #[prost(bool, tag = "2")]
    pub(crate) swept: bool,
}

/// What the items are called.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(configuration: &Configuration) -> Self {
        Self { prefix: format!("{RESERVED}/{}", configuration.namespace) }
    }

    pub(crate) fn directory(&self) -> String {
        format!("{}/directory", self.prefix)
    }

    pub(crate) fn sweeper(&self) -> String {
        format!("{}/sweeper", self.prefix)
    }

    pub(crate) fn lease(&self, incarnation: u64) -> String {
        format!("{}/lease/{incarnation:016x}", self.prefix)
    }

    pub(crate) fn slot(&self, incarnation: u64, slot: u32) -> String {
        format!("{}/register/{incarnation:016x}/{slot}", self.prefix)
    }
}

/// An item as it was read, and what a save over it must demand.
pub(crate) struct Item<M> {
    pub(crate) value: Option<M>,
    pub(crate) precondition: Precondition,
}

#[derive(Debug, thiserror::Error)]
#[error("item {name} cannot be decoded")]
struct CorruptItem {
    name: String,
    #[source]
    cause: prost::DecodeError,
}

pub(crate) async fn read<M: Message + Default>(
    store: &dyn StateStore,
    name: &str,
) -> Result<Item<M>, StoreError> {
    let Some(stored) = store.get(name).await? else {
        return Ok(Item { value: None, precondition: Precondition::Absent });
    };
    let value = decode(name, stored.value)?;
    Ok(Item { value: Some(value), precondition: Precondition::Etag(stored.etag) })
}

pub(crate) fn decode<M: Message + Default>(name: &str, value: Bytes) -> Result<M, StoreError> {
    M::decode(value).map_err(|cause| StoreError::unreadable(CorruptItem { name: name.to_owned(), cause }))
}

/// Changes an item, whoever else does. `change` returns whether there was anything to change: it runs on the
/// item as it is each time, and must find its own work done if an earlier save happened after all.
pub(crate) async fn update<M: Message + Default>(
    store: &dyn StateStore,
    name: &str,
    time_to_live: Option<Duration>,
    mut change: impl FnMut(&mut M) -> bool,
) -> Result<M, StoreError> {
    let mut attempts = 0;
    loop {
        let item = read::<M>(store, name).await?;
        let mut value = item.value.unwrap_or_default();
        if !change(&mut value) {
            return Ok(value);
        }
        let encoded = Bytes::from(value.encode_to_vec());
        match store.save(name, encoded, item.precondition, time_to_live).await {
            Ok(()) => return Ok(value),
            Err(error) => {
                attempts += 1;
                if attempts == ATTEMPTS {
                    return Err(error.into_store_error());
                }
            }
        }
    }
}

const ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    proptest! {
        #[test]
        fn any_item_is_read_or_refused(
            instance in ".{0,9}",
            pages in vec(".{0,9}", 0..3),
            number: u64,
            changes in vec(any::<(Index, u8)>(), 0..4),
            random in vec(any::<u8>(), 0..60),
        ) {
            let directory =
                Directory { fencing: number, incarnations: [Incarnation { id: number, instance }].into() };
            let lease = Lease { holder: number, beat: number, revoked: true };
            let slot = Slot { pages, swept: true };
            for mut bytes in [directory.encode_to_vec(), lease.encode_to_vec(), slot.encode_to_vec(), random] {
                for (at, byte) in changes.iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                prop_assert!(is_read_again::<Directory>(&bytes));
                prop_assert!(is_read_again::<Lease>(&bytes));
                prop_assert!(is_read_again::<Slot>(&bytes));
            }
        }
    }

    /// Whether the item, if it is one, is written so that it reads back.
    fn is_read_again<M: Message + Default + PartialEq>(bytes: &[u8]) -> bool {
        match decode::<M>("item", bytes.to_vec().into()) {
            Ok(item) => decode::<M>("item", item.encode_to_vec().into()).is_ok_and(|again| again == item),
            Err(fault) => fault.is_unreadable(),
        }
    }
}
