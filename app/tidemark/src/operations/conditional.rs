//! Which versions of an entity a caller has seen, and will change.

use tidemark_api::Refusal;

/// The versions of an entity that the caller will change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seen {
    /// Whichever is there.
    #[default]
    Any,
    OneOf(Vec<u64>),
}

impl Seen {
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }

    /// Reads the lines of an `If-Match`: `*`, or tags such as `"3"`, `"3.9f00"` or `W/"3"`. Of a tag only what
    /// stands before the dot names the version. A tag of somebody else is well formed and matches nothing.
    pub fn parse(lines: &[&str]) -> Result<Self, Refusal> {
        if lines.is_empty() {
            return Ok(Self::Any);
        }
        let tags: Vec<&str> = lines
            .iter()
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .collect();
        if tags == ["*"] {
            return Ok(Self::Any);
        }
        let mut versions = Vec::with_capacity(tags.len());
        for tag in &tags {
            // A proxy that compresses an answer makes its tag weak; the version that it names is the same.
            let strong = tag.strip_prefix("W/").unwrap_or(tag);
            let opaque = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let Some(opaque) = opaque.filter(|opaque| !opaque.contains('"')) else {
                let message = "If-Match must be * or a list of tags such as \"3\"";
                return Err(Refusal::invalid_field("If-Match", message));
            };
            let version = opaque.split('.').next().unwrap_or_default();
            versions.extend(version.parse::<u64>().ok());
        }
        if tags.is_empty() {
            return Err(Refusal::invalid_field("If-Match", "If-Match names no tag"));
        }
        Ok(Self::OneOf(versions))
    }

    /// As it is written for [`Seen::parse`]; nothing if any version will do.
    pub fn write(&self) -> Option<String> {
        match self {
            Self::Any => None,
            // A list that no version is in is still a condition.
            Self::OneOf(versions) if versions.is_empty() => Some("\"none\"".to_owned()),
            Self::OneOf(versions) => {
                let tags: Vec<String> = versions.iter().map(|version| format!("\"{version}\"")).collect();
                Some(tags.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Seen> {
        Seen::parse(&[text]).ok()
    }

    #[test]
    fn if_match_is_a_star_or_a_list_of_versions() {
        assert_eq!(Seen::parse(&[]).unwrap(), Seen::Any);
        assert_eq!(parse("*"), Some(Seen::Any));
        assert_eq!(parse("\"3\""), Some(Seen::OneOf(vec![3])));
        assert_eq!(parse("\"3\", ,\"4\","), Some(Seen::OneOf(vec![3, 4])));
        assert_eq!(Seen::parse(&["\"3\"", "\"4\""]).unwrap(), Seen::OneOf(vec![3, 4]));
    }

    #[test]
    fn only_what_stands_before_the_dot_names_the_version_and_weak_tags_count() {
        assert_eq!(parse("\"3.9f\", W/\"4.00\""), Some(Seen::OneOf(vec![3, 4])));
    }

    #[test]
    fn a_tag_of_somebody_else_matches_nothing_and_what_is_no_tag_is_refused() {
        assert!(!parse("\"x\"").unwrap().allows(0));
        for wrong in ["w/\"3\"", "W/", "3", "", "\"3", "\"a\"b\""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for seen in [Seen::Any, Seen::OneOf(vec![]), Seen::OneOf(vec![7, 8])] {
            let lines = seen.write();
            assert_eq!(Seen::parse(&lines.as_deref().into_iter().collect::<Vec<_>>()).unwrap(), seen);
        }
    }
}
