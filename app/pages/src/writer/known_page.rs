//! What a writer knows of the stored page.

use crate::{PageKey, Precondition, StoreError, Versioned, page::Page};

/// What is known of the stored page.
pub(crate) enum Known {
    /// Nothing: it has not been read, or what is in memory may hold changes that are not stored.
    Nothing,
    /// The page, but not the `ETag` it has now: it is read before the next save.
    WithoutEtag(Loaded),
    /// The page, and what a save over it must demand.
    Loaded(Loaded),
}

impl Known {
    pub(crate) fn page(&self) -> Option<&Loaded> {
        match self {
            Self::Nothing => None,
            Self::WithoutEtag(loaded) | Self::Loaded(loaded) => Some(loaded),
        }
    }

    pub(crate) fn page_mut(&mut self) -> Option<&mut Loaded> {
        match self {
            Self::Nothing => None,
            Self::WithoutEtag(loaded) | Self::Loaded(loaded) => Some(loaded),
        }
    }

    /// Whether a save can be made from it without a read.
    pub(crate) fn can_be_saved_over(&self) -> bool {
        matches!(self, Self::Loaded(_))
    }

    /// Our save over `base` happened: what is in memory is now stored, with the `ETag` worked out, if the
    /// store counts in a known way.
    pub(crate) fn saved(&mut self, next_etag: Option<String>) {
        let before = std::mem::replace(self, Self::Nothing);
        *self = match before {
            Self::Nothing => Self::Nothing,
            Self::WithoutEtag(loaded) | Self::Loaded(loaded) => {
                let loaded = Loaded { stored_events: loaded.page.outbox().len(), ..loaded };
                match next_etag {
                    Some(etag) => Self::Loaded(Loaded { base: Base::Guessed(etag), ..loaded }),
                    None => Self::WithoutEtag(loaded),
                }
            }
        };
    }
}

/// A page in memory.
pub(crate) struct Loaded {
    pub(crate) page: Page,
    pub(crate) base: Base,
    /// Events in the stored outbox.
    pub(crate) stored_events: usize,
}

/// What a save goes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    Absent,
    Read(String),
    /// Worked out, not read.
    Guessed(String),
}

impl Base {
    pub(crate) fn of(stored: Option<&Versioned>) -> Self {
        stored.map_or(Self::Absent, |stored| Self::Read(stored.etag.clone()))
    }

    pub(crate) fn etag(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Read(etag) | Self::Guessed(etag) => Some(etag),
        }
    }

    pub(crate) fn precondition(&self) -> Precondition {
        self.etag().map_or(Precondition::Absent, |etag| Precondition::Etag(etag.to_owned()))
    }
}

impl Loaded {
    pub(crate) fn decode(key: &PageKey, stored: Option<Versioned>) -> Result<Self, StoreError> {
        let base = Base::of(stored.as_ref());
        let page = match stored {
            Some(stored) => Page::decode(key, stored.value)?,
            None => Page::absent(),
        };
        Ok(Self { stored_events: page.outbox().len(), page, base })
    }
}
