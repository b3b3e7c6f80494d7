//! What a caller has seen of an entity: the versions that may be changed, the bodies that need not come again.

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
        if lines == ["*"] {
            return Ok(Self::Any);
        }
        let Some(tags) = lines.iter().map(|line| tags(line)).collect::<Option<Vec<_>>>() else {
            let message = "If-Match must be * or a list of tags such as \"3\"";
            return Err(Refusal::invalid_field("If-Match", message));
        };
        let tags = tags.concat();
        if tags.is_empty() {
            return Err(Refusal::invalid_field("If-Match", "If-Match names no tag"));
        }
        let version = |tag: &&str| tag.split('.').next().and_then(|version| version.parse().ok());
        Ok(Self::OneOf(tags.iter().filter_map(version).collect()))
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

/// Whether the lines of an `If-None-Match` name this tag. Weak and strong tags compare alike here: RFC 9110,
/// section 13.1.2. What is no list of tags names none.
pub fn is_known(lines: &[&str], tag: &str) -> bool {
    let tag = tag.trim_matches('"');
    lines.iter().any(|line| line.trim() == "*" || tags(line).is_some_and(|known| known.contains(&tag)))
}

/// What stands between the quotes of each tag of a list: RFC 9110, section 8.8.3. A proxy that compresses an
/// answer makes its tag weak, which says nothing here. Elements may be empty.
fn tags(line: &str) -> Option<Vec<&str>> {
    let mut tags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            return Some(tags);
        }
        let (tag, behind) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        rest = behind.trim_start_matches([' ', '\t']);
        let is_whole = rest.is_empty() || rest.starts_with(',');
        if !is_whole || !tag.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
            return None;
        }
        tags.push(tag);
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
        for wrong in ["w/\"3\"", "W/", "3", "", " ,", "\"3", "\"a\"b\"", "\"3\" \"4\"", "\"a b\"", "*, \"3\""]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_comma_inside_a_tag_is_a_part_of_it() {
        assert_eq!(parse("\"3,4\", \"5\""), Some(Seen::OneOf(vec![5])));
    }

    #[test]
    fn a_body_is_known_by_any_line_that_names_its_tag_weak_or_strong() {
        let tag = "\"3.9f\"";
        for lines in [&["\"x\", W/\"3.9f\""][..], &["\"x\"", "\"3.9f\""], &["*"]] {
            assert!(is_known(lines, tag), "{lines:?}");
        }
        for lines in [&[][..], &["\"3\"", "3.9f", "\"x,3.9f\""]] {
            assert!(!is_known(lines, tag), "{lines:?}");
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
