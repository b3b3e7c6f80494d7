//! `ETag` and `If-Match`: an entity's version as clients name it.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header, request::Parts};

use super::problem::Problem;

/// The `ETag` of an entity at `version`.
pub fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a valid header value")
}

/// The versions of an entity that the caller will change. Without the header: whichever is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    OneOf(Vec<u64>),
}

impl IfMatch {
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }

    fn parse(value: Option<&HeaderValue>) -> Result<Self, Problem> {
        let Some(value) = value else { return Ok(Self::Any) };
        let invalid = || Problem::invalid_field("If-Match", "If-Match must be * or an ETag such as \"3\"");
        let text = value.to_str().map_err(|_| invalid())?.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        // A proxy that compresses an answer makes its tag weak. The version that it names is the same: other than
        // a digest of bytes it does not depend on their encoding.
        let version = |tag: &str| {
            let tag = tag.trim();
            tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?.parse().ok()
        };
        let versions: Option<Vec<u64>> = text.split(',').map(version).collect();
        versions.map(Self::OneOf).ok_or_else(invalid)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Self::parse(parts.headers.get(header::IF_MATCH)).map_err(IntoResponse::into_response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Option<IfMatch> {
        IfMatch::parse(Some(&HeaderValue::from_static(text))).ok()
    }

    #[test]
    fn if_match_is_a_star_or_a_list_of_versions() {
        assert_eq!(IfMatch::parse(None).unwrap(), IfMatch::Any);
        assert_eq!(parse("*"), Some(IfMatch::Any));
        assert_eq!(parse("\"3\""), Some(IfMatch::OneOf(vec![3])));
        assert_eq!(parse("\"3\", \"4\""), Some(IfMatch::OneOf(vec![3, 4])));
    }

    #[test]
    fn a_version_in_a_tag_that_a_proxy_made_weak_is_the_same_version() {
        assert_eq!(parse("W/\"3\", \"4\""), Some(IfMatch::OneOf(vec![3, 4])));
    }

    #[test]
    fn a_foreign_etag_is_refused() {
        for wrong in ["w/\"3\"", "W/", "3", "\"x\"", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_etag_matches_the_version_it_was_made_from() {
        let sent_back = IfMatch::parse(Some(&etag(7))).unwrap();
        assert!(sent_back.allows(7) && !sent_back.allows(8));
    }
}
