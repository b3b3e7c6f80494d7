//! Text with a length rule, counted in characters as people count them.

/// A rule that a value broke, worded for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    #[error("{name} is required")]
    Missing { name: &'static str },
    #[error("{name} must be at most {most} characters, not {length}")]
    TooLong { name: &'static str, most: usize, length: usize },
    #[error("{name} must not contain control characters")]
    ControlCharacter { name: &'static str },
}

/// Trims `text` and checks it: at least one character, at most `most`, no control characters but, in texts
/// of several lines, line breaks and tabs.
pub(crate) fn parse_required(
    name: &'static str,
    text: &str,
    most: usize,
    lines: Lines,
) -> Result<String, InvalidText> {
    let text = parse_optional(name, text, most, lines)?;
    if text.is_empty() { Err(InvalidText::Missing { name }) } else { Ok(text) }
}

/// As [`parse_required`], but empty text is fine.
pub(crate) fn parse_optional(
    name: &'static str,
    text: &str,
    most: usize,
    lines: Lines,
) -> Result<String, InvalidText> {
    let text = text.trim();
    let length = text.chars().count();
    if length > most {
        return Err(InvalidText::TooLong { name, most, length });
    }
    let allowed = |c: char| !c.is_control() || (lines == Lines::Many && matches!(c, '\n' | '\r' | '\t'));
    if text.chars().all(allowed) { Ok(text.to_owned()) } else { Err(InvalidText::ControlCharacter { name }) }
}

/// Whether a text is one line or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    One,
    Many,
}

/// Declares a text type whose values keep a length rule.
macro_rules! text {
    ($(#[$doc:meta])* $type:ident, $rule:ident, $name:literal, $most:literal, $lines:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $type(String);

        impl $type {
            pub fn parse(text: &str) -> Result<Self, $crate::text::InvalidText> {
                $crate::text::$rule($name, text, $most, $crate::text::Lines::$lines).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$type> for String {
            fn from(text: $type) -> Self {
                text.0
            }
        }
    };
}
pub(crate) use text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters_after_trimming() {
        assert_eq!(parse_required("name", "  ÄÖÜ  ", 3, Lines::One), Ok("ÄÖÜ".to_owned()));
        let too_long = InvalidText::TooLong { name: "name", most: 3, length: 4 };
        assert_eq!(parse_required("name", "ÄÖÜß", 3, Lines::One), Err(too_long));
    }

    #[test]
    fn blank_text_counts_as_missing() {
        assert_eq!(parse_required("name", " \t", 3, Lines::One), Err(InvalidText::Missing { name: "name" }));
        assert_eq!(parse_optional("discussion", " ", 3, Lines::Many), Ok(String::new()));
    }

    #[test]
    fn only_texts_of_many_lines_take_line_breaks() {
        assert!(parse_required("description", "a\nb", 9, Lines::Many).is_ok());
        assert!(parse_required("name", "a\nb", 9, Lines::One).is_err());
        assert!(parse_required("description", "a\u{0}b", 9, Lines::Many).is_err());
    }
}
