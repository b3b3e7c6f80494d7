//! What a caller has seen of an entity: the versions that may be changed, the bodies that need not come again.

use tidemark_api::Refusal;

/// The versions of an entity that the caller will change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seen {
    /// Whichever is there.
    #[default]
    Any,
    OneOf(Vec<u64>),
    NoneOf(Vec<u64>),
}

/// The names of the headers, as other ways in use them too.
pub const IF_MATCH: &str = "if-match";
pub const IF_NONE_MATCH: &str = "if-none-match";

impl Seen {
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
            Self::NoneOf(versions) => !versions.contains(&version),
        }
    }

    /// Reads the lines of an `If-Match` and those of an `If-None-Match`: `*`, or tags such as `"3"`, `"3.9f00"` or
    /// `W/"3"`. Of a tag only what stands before the dot names the version. A tag of somebody else is well formed
    /// and matches nothing.
    pub fn parse(if_match: &[impl AsRef<str>], if_none_match: &[impl AsRef<str>]) -> Result<Self, Refusal> {
        let wanted = Versions::parse("If-Match", if_match)?;
        let unwanted = Versions::parse("If-None-Match", if_none_match)?;
        Ok(match (wanted, unwanted) {
            // Whoever will make something new will change nothing that is there.
            (_, Some(Versions::Each)) => Self::OneOf(Vec::new()),
            (None | Some(Versions::Each), None) => Self::Any,
            (None | Some(Versions::Each), Some(Versions::Named(unwanted))) => Self::NoneOf(unwanted),
            (Some(Versions::Named(wanted)), None) => Self::OneOf(wanted),
            (Some(Versions::Named(mut wanted)), Some(Versions::Named(unwanted))) => {
                wanted.retain(|version| !unwanted.contains(version));
                Self::OneOf(wanted)
            }
        })
    }

    /// The header and its line from which [`Seen::parse`] reads the same; nothing if any version will do.
    pub fn write(&self) -> Option<(&'static str, String)> {
        let line = |versions: &[u64]| {
            let tags: Vec<String> = versions.iter().map(|version| format!("\"{version}\"")).collect();
            // A list that no version is in is still a condition.
            if tags.is_empty() { "\"none\"".to_owned() } else { tags.join(", ") }
        };
        match self {
            Self::Any => None,
            Self::OneOf(versions) => Some((IF_MATCH, line(versions))),
            Self::NoneOf(versions) => Some((IF_NONE_MATCH, line(versions))),
        }
    }
}

/// What the lines of one header name.
enum Versions {
    Each,
    Named(Vec<u64>),
}

impl Versions {
    fn parse(header: &str, lines: &[impl AsRef<str>]) -> Result<Option<Self>, Refusal> {
        match lines {
            [] => return Ok(None),
            [line] if line.as_ref() == "*" => return Ok(Some(Self::Each)),
            _ => {}
        }
        let Some(tags) = lines.iter().map(|line| tags(line.as_ref())).collect::<Option<Vec<_>>>() else {
            let message = format!("{header} must be * or a list of tags such as \"3\"");
            return Err(Refusal::invalid_field(header, message));
        };
        let tags = tags.concat();
        if tags.is_empty() {
            return Err(Refusal::invalid_field(header, format!("{header} names no tag")));
        }
        Ok(Some(Self::Named(tags.into_iter().filter_map(version).collect())))
    }
}

/// The version that a tag of ours names.
fn version(tag: &str) -> Option<u64> {
    let text = tag.split('.').next()?;
    // `+3` and `03` are numbers, and no tags of ours.
    text.parse().ok().filter(|version: &u64| version.to_string() == text)
}

/// Whether the lines of an `If-None-Match` name the tag that has this between its quotes. Weak and strong tags compare alike here: RFC 9110,
/// section 13.1.2. What is no list of tags names none.
pub fn is_known(lines: &[impl AsRef<str>], tag: &str) -> bool {
    let mut lines = lines.iter().map(AsRef::as_ref);
    lines.any(|line| line.trim() == "*" || tags(line).is_some_and(|known| known.contains(&tag)))
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
        if !is_whole || tag.bytes().any(|byte| matches!(byte, 0..=0x20 | 0x7f)) {
            return None;
        }
        tags.push(tag);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: &[&str] = &[];

    fn parse(text: &str) -> Option<Seen> {
        Seen::parse(&[text], NONE).ok()
    }

    #[test]
    fn if_match_is_a_star_or_a_list_of_versions() {
        assert_eq!(Seen::parse(NONE, NONE).unwrap(), Seen::Any);
        assert_eq!(parse("*"), Some(Seen::Any));
        assert_eq!(parse("\"3\""), Some(Seen::OneOf(vec![3])));
        assert_eq!(parse("\"3\", ,\"4\","), Some(Seen::OneOf(vec![3, 4])));
        assert_eq!(Seen::parse(&["\"3\"", "\"4\""], NONE).unwrap(), Seen::OneOf(vec![3, 4]));
    }

    #[test]
    fn only_what_stands_before_the_dot_names_the_version_and_weak_tags_count() {
        assert_eq!(parse("\"3.9f\", W/\"4.00\""), Some(Seen::OneOf(vec![3, 4])));
    }

    #[test]
    fn a_tag_of_somebody_else_matches_nothing_and_what_is_no_tag_is_refused() {
        for foreign in ["\"x\"", "\"+3\"", "\"03\"", "\"\"", "\"\u{e4}\"", "\"3\u{fffd}\""] {
            assert_eq!(parse(foreign), Some(Seen::OneOf(vec![])), "{foreign}");
        }
        for wrong in ["w/\"3\"", "W/", "3", "", " ,", "\"3", "\"a\"b\"", "\"3\" \"4\"", "\"a b\"", "*, \"3\""]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
            assert!(Seen::parse(NONE, &[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whoever_will_change_nothing_that_is_there_changes_no_version() {
        let parse = |if_match: &[&str], if_none_match| Seen::parse(if_match, &[if_none_match]).unwrap();
        for if_match in [NONE, &["*"], &["\"3\""]] {
            assert!(!parse(if_match, "*").allows(3));
        }
        let not_three = parse(NONE, "\"3\"");
        assert!(!not_three.allows(3) && not_three.allows(4));
        let four = parse(&["\"3\", \"4\""], "\"3\"");
        assert!(!four.allows(3) && four.allows(4) && !four.allows(5));
    }

    #[test]
    fn a_comma_inside_a_tag_is_a_part_of_it() {
        assert_eq!(parse("\"3,4\", \"5\""), Some(Seen::OneOf(vec![5])));
    }

    #[test]
    fn a_body_is_known_by_any_line_that_names_its_tag_weak_or_strong() {
        let tag = "3.9f";
        for lines in [&["\"x\", W/\"3.9f\""][..], &["\"x\"", "\"3.9f\""], &["\"\u{e4}\", \"3.9f\""], &["*"]] {
            assert!(is_known(lines, tag), "{lines:?}");
        }
        for lines in [&[][..], &["\"3\"", "3.9f", "\"x,3.9f\""]] {
            assert!(!is_known(lines, tag), "{lines:?}");
        }
    }

    fn read_back(seen: &Seen) -> Seen {
        let written = seen.write();
        let of = |header| -> Vec<&String> {
            written.iter().filter(|(name, _)| *name == header).map(|(_, line)| line).collect()
        };
        Seen::parse(&of(IF_MATCH), &of(IF_NONE_MATCH)).unwrap()
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(read_back(&Seen::Any), Seen::Any);
        for versions in [vec![], vec![7, 8]] {
            for seen in [Seen::OneOf(versions.clone()), Seen::NoneOf(versions)] {
                assert_eq!(read_back(&seen), seen);
            }
        }
    }

    /// Any characters of a header, mostly those that tags are made of.
    fn lines() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop_oneof![r"[ -~\u{80}-\u{ff}]{0,20}", r#"([*,W/" .0-9+]|"3"){0,12}"#], 0..3)
    }

    proptest! {
        #[test]
        fn any_lines_are_read_or_refused(if_match in lines(), if_none_match in lines(), version in any::<u64>()) {
            match Seen::parse(&if_match, &if_none_match) {
                Ok(seen) => prop_assert_eq!(read_back(&seen).allows(version), seen.allows(version)),
                Err(refusal) => prop_assert_eq!(refusal.reason().status(), 400),
            }
            let known = is_known(&if_none_match, "3.9f");
            prop_assert!(!known || if_none_match.iter().any(|line| line.contains("3.9f") || line.trim() == "*"));
        }
    }
}
