//! Text with a length rule, counted in characters as people count them.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

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

/// Trims `text` and checks it: at least one character that can be seen, at most `most`, no control characters
/// but, in texts of several lines, line breaks and tabs.
pub(crate) fn parse_required(
    name: &'static str,
    text: &str,
    most: usize,
    lines: Lines,
) -> Result<String, InvalidText> {
    let text = parse_optional(name, text, most, lines)?;
    if text.chars().any(is_visible) { Ok(text) } else { Err(InvalidText::Missing { name }) }
}

/// As [`parse_required`], but empty text is fine.
pub(crate) fn parse_optional(
    name: &'static str,
    text: &str,
    most: usize,
    lines: Lines,
) -> Result<String, InvalidText> {
    let text = match lines {
        // What looks alike is alike: a name is found however it was typed.
        Lines::One => Cow::Owned(text.trim().nfc().collect()),
        Lines::Many => Cow::Borrowed(without_blank_ends(text)),
    };
    let length = text.chars().count();
    if length > most {
        return Err(InvalidText::TooLong { name, most, length });
    }
    let allowed = |c: char| !c.is_control() || (lines == Lines::Many && matches!(c, '\n' | '\r' | '\t'));
    if text.chars().all(allowed) {
        Ok(text.into_owned())
    } else {
        Err(InvalidText::ControlCharacter { name })
    }
}

/// Leaves the indentation of the first line: it may be a list or a piece of code.
fn without_blank_ends(text: &str) -> &str {
    let text = text.trim_end();
    let (blank, _) = text.split_at(text.len() - text.trim_start().len());
    let indentation = blank.rsplit(['\n', '\r']).next().map_or(0, str::len);
    text.split_at(blank.len() - indentation).1
}

/// Whether anything can be seen of a character that stands alone.
fn is_visible(character: char) -> bool {
    // Letters and symbols by their category, blank by their shape.
    let blank = matches!(character, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}');
    let category = character.general_category();
    !blank
        && !matches!(
            category,
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::SpaceSeparator
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::NonspacingMark
                | GeneralCategory::EnclosingMark
        )
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn length_is_counted_in_characters_after_trimming() {
        assert_eq!(parse_required("name", "  ÄÖÜ  ", 3, Lines::One), Ok("ÄÖÜ".to_owned()));
        let too_long = InvalidText::TooLong { name: "name", most: 3, length: 4 };
        assert_eq!(parse_required("name", "ÄÖÜß", 3, Lines::One), Err(too_long));
    }

    #[test]
    fn a_name_of_invisible_characters_alone_is_no_name() {
        for invisible in
            ["\u{200b}", "\u{200d}\u{2060}", "\u{202e} \u{feff}", "\u{3164}", "\u{2800}", "\u{301}"]
        {
            let missing = InvalidText::Missing { name: "name" };
            assert_eq!(parse_required("name", invisible, 9, Lines::One), Err(missing), "{invisible:?}");
        }
        for visible in ["🦀", "👩\u{200d}🚀", "क\u{94d}ष", "-", "中"] {
            assert_eq!(parse_required("name", visible, 9, Lines::One), Ok(visible.to_owned()));
        }
    }

    #[test]
    fn a_name_is_one_however_it_was_typed() {
        let composed = parse_required("name", "\u{e9}t\u{e9}", 3, Lines::One);
        assert_eq!(parse_required("name", "e\u{301}te\u{301}", 3, Lines::One), composed);
    }

    #[test]
    fn the_first_line_of_a_text_keeps_its_indentation() {
        let parse = |text| parse_optional("description", text, 99, Lines::Many).unwrap();
        assert_eq!(parse("\n \n    let x = 1;\n    x \n\n"), "    let x = 1;\n    x");
        assert_eq!(parse("\t- one\r\n\t- two"), "\t- one\r\n\t- two");
        assert_eq!(parse(" \r\n a"), " a");
    }

    proptest! {
        #[test]
        fn what_was_accepted_is_accepted_as_it_is(text in "\\PC{0,12}|[ \\n\\ta\u{301}\u{200b}]{0,12}") {
            for lines in [Lines::One, Lines::Many] {
                if let Ok(parsed) = parse_required("text", &text, 99, lines) {
                    prop_assert_eq!(parse_required("text", &parsed, 99, lines), Ok(parsed.clone()));
                    prop_assert!(parsed.chars().any(is_visible));
                    prop_assert!(!parsed.ends_with(char::is_whitespace) && !parsed.starts_with('\n'));
                }
            }
        }
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

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), most in 0..40usize) {
            for lines in [Lines::One, Lines::Many] {
                for parse in [parse_required, parse_optional] {
                    if let Ok(parsed) = parse("text", &text, most, lines) {
                        prop_assert!(parsed.chars().count() <= most);
                        prop_assert_eq!(parse("text", &parsed, most, lines), Ok(parsed.clone()));
                    }
                }
            }
        }
    }
}
