//! What collections and pages are called in the store.

use std::{fmt, sync::Arc};

/// A list of pages: the groups of a workspace, the tasks of a group.
///
/// Its pages are stored under `<collection>/<number>`, its summary under `<collection>/summary`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollectionKey(Arc<str>);

/// A text that cannot name a collection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot name a collection: {reason}")]
pub struct InvalidCollectionKey {
    text: String,
    reason: &'static str,
}

/// The first segment of this module's own items; no collection may start with it.
pub(crate) const RESERVED: &str = "pages";

const KEY_BYTES: usize = 256;

impl CollectionKey {
    /// Takes a path such as `tasks/<workspace>/<group>`.
    ///
    /// Segments must not be empty, the first one must not be `pages` (that is where this module keeps its own
    /// items), and `||` is the store's own separator.
    pub fn parse(text: &str) -> Result<Self, InvalidCollectionKey> {
        let invalid = |reason| Err(InvalidCollectionKey { text: text.to_owned(), reason });
        if text.len() > KEY_BYTES {
            return invalid("it is longer than 256 bytes");
        }
        if text.contains("||") {
            return invalid("it contains ||");
        }
        if text.split('/').any(str::is_empty) {
            return invalid("it has an empty segment");
        }
        if text.split('/').next() == Some(RESERVED) {
            return invalid("its first segment is reserved");
        }
        Ok(Self(Arc::from(text)))
    }

    /// The page of that number, whether it exists or not.
    pub fn page(&self, number: u32) -> PageKey {
        PageKey { collection: self.clone(), number }
    }

    /// As [`Self::parse`] took it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn summary_key(&self) -> String {
        format!("{}/summary", self.0)
    }
}

impl fmt::Display for CollectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CollectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One page of a collection.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey {
    collection: CollectionKey,
    number: u32,
}

impl PageKey {
    /// The collection that it belongs to.
    pub fn collection(&self) -> &CollectionKey {
        &self.collection
    }

    /// Its place in the collection, from 0.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (collection, number) = text.rsplit_once('/')?;
        let page = Self { collection: CollectionKey::parse(collection).ok()?, number: number.parse().ok()? };
        // A number can be written in other ways, and the page has one name.
        (page.to_string() == text).then_some(page)
    }
}

impl fmt::Display for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.number)
    }
}

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_key_is_read_or_refused(text in ".{0,30}|[a-z|/]{0,9}/[+0-9]{0,11}") {
            if let Ok(collection) = CollectionKey::parse(&text) {
                prop_assert_eq!(collection.as_str(), text.as_str());
            }
            if let Some(page) = PageKey::parse(&text) {
                prop_assert_eq!(page.to_string(), text);
            }
        }
    }
}
