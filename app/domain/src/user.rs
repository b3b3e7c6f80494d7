//! Users, and what their names and passwords must be like.

use std::{collections::HashSet, fmt, sync::LazyLock};

use jiff::Timestamp;
use precis_profiles::{UsernameCaseMapped, precis_core::profile::PrecisFastInvocation};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};
use unicode_security::{confusable_detection::skeleton, mixed_script::AugmentedScriptSet};

use crate::{
    UserId,
    text::{InvalidText, Lines, parse_required, text},
};

text!(
    /// The name shown to others: at most 100 characters, may be empty.
    DisplayName, parse_optional, "displayName", 100, One
);

/// A user name: 1 to 100 characters, shown as it was typed. Words of one space between them, each by RFC 8265.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username(String);

/// A rule that a new user name broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUsername {
    #[error(transparent)]
    Text(#[from] InvalidText),
    #[error("username must be of letters, digits and the marks of ASCII, with single spaces between words")]
    Character,
    #[error("username must not mix scripts")]
    MixedScripts,
}

impl Username {
    const LONGEST: usize = 100;

    /// The rules for a new name.
    pub fn parse(text: &str) -> Result<Self, InvalidUsername> {
        let name = Self::registered(text)?;
        fold(name.as_str()).ok_or(InvalidUsername::Character)?;
        if is_of_one_script(name.as_str()) { Ok(name) } else { Err(InvalidUsername::MixedScripts) }
    }

    /// A name that was registered, perhaps when the rules were others, or that somebody offers at log-in.
    pub fn registered(text: &str) -> Result<Self, InvalidText> {
        parse_required("username", text, Self::LONGEST, Lines::One).map(Self)
    }

    /// The form in which two names are the same: RFC 8265's `UsernameCaseMapped`. By it a user is found, so it
    /// never changes.
    pub fn folded(&self) -> String {
        fold(&self.0).unwrap_or_else(|| self.0.to_lowercase())
    }

    /// What the eye makes of the name, which no two users share: its skeleton after Unicode's Technical Standard
    /// 39. By way of capitals, since names are shown as they were typed: a capital "i" is taken for an "l", and
    /// letters of Cyrillic and Greek for Latin ones of which only the capitals are alike. The standard may change it:
    /// nobody is found by it.
    pub fn likeness(&self) -> String {
        let capitals: String = skeleton(&self.folded().to_uppercase()).collect();
        skeleton(&capitals.to_lowercase()).collect()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

/// The profile is one of single words; names of several are what RFC 8265, section 3.5, leaves to applications.
fn fold(name: &str) -> Option<String> {
    let words: Option<Vec<_>> = name.split(' ').map(|word| UsernameCaseMapped::enforce(word).ok()).collect();
    words.map(|words| words.join(" "))
}

/// Whether a reader takes the letters for what they are: all of one script, or Latin beside Chinese, Japanese
/// or Korean, as people there write (the "highly restrictive" level of Unicode's Technical Standard 39).
fn is_of_one_script(name: &str) -> bool {
    let not_latin: String = name.chars().filter(|letter| letter.script() != Script::Latin).collect();
    let scripts = AugmentedScriptSet::for_str(&not_latin);
    !AugmentedScriptSet::for_str(name).is_empty() || scripts.hanb || scripts.jpan || scripts.kore
}

/// Whoever made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub id: UserId,
    pub name: Username,
}

/// A registered person as others may see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    pub display_name: DisplayName,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: u64,
}

/// A password on its way to being hashed: never shown, never stored, never logged.
pub struct Password(String);

/// A rule that a new password broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error("password must be at least 8 characters long")]
    TooShort,
    #[error("password must be at most 256 bytes long")]
    TooLong,
    #[error("password must not contain control characters")]
    ControlCharacter,
    #[error("password is one of the most common ones")]
    Common,
    #[error("password must not be the user name")]
    OwnName,
}

/// What is tried first by whoever guesses.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("user/common_passwords.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

impl Password {
    const SHORTEST_CHARACTERS: usize = 8;
    const LONGEST_BYTES: usize = 256;

    /// The rules for a new password of the user with that name. None is about its composition: such rules
    /// make passwords worse.
    pub fn parse(text: &str, username: Option<&Username>) -> Result<Self, InvalidPassword> {
        let password = normalised(text);
        let lower_case = password.to_lowercase();
        if password.chars().count() < Self::SHORTEST_CHARACTERS {
            Err(InvalidPassword::TooShort)
        } else if password.len() > Self::LONGEST_BYTES {
            Err(InvalidPassword::TooLong)
        } else if password.chars().any(char::is_control) {
            Err(InvalidPassword::ControlCharacter)
        } else if COMMON.contains(lower_case.as_str()) {
            Err(InvalidPassword::Common)
        } else if username.is_some_and(|name| name.folded() == lower_case) {
            Err(InvalidPassword::OwnName)
        } else {
            Ok(Self(password))
        }
    }

    /// A password given at log-in: whatever it is, the hash decides.
    pub fn offered(text: &str) -> Self {
        Self(normalised(text))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// What RFC 8265's `OpaqueString` maps. Its tables of allowed characters end with Unicode 6.3 in the crate that
/// names are checked with, and would refuse a password for a newer letter or symbol.
fn normalised(text: &str) -> String {
    let space = |letter: char| match letter.general_category() {
        GeneralCategory::SpaceSeparator => ' ',
        _ => letter,
    };
    text.chars().map(space).nfc().collect()
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> InvalidPassword {
        Password::parse(text, Some(&Username::parse("Ada Lovelace").unwrap())).unwrap_err()
    }

    #[test]
    fn a_password_is_long_enough_uncommon_and_not_the_user_name() {
        for good in ["correct horse", "Avinash123", "only letters", "1029384756473829", "🦀🦀🦀🦀🦀🦀🦀🦀"]
        {
            assert!(Password::parse(good, None).is_ok(), "{good}");
        }
        assert!(Password::parse(&"é".repeat(128), None).is_ok());
        assert_eq!(refused("Arun123"), InvalidPassword::TooShort);
        assert_eq!(refused("ÄÖÜÄÖÜÄ"), InvalidPassword::TooShort);
        assert_eq!(refused(&"é".repeat(129)), InvalidPassword::TooLong);
        assert_eq!(refused("with\u{0}zero in it"), InvalidPassword::ControlCharacter);
        assert_eq!(refused("PassWord"), InvalidPassword::Common);
        assert_eq!(refused("1qaz2wsx"), InvalidPassword::Common);
        assert_eq!(refused("ada lovelace"), InvalidPassword::OwnName);
        assert!(COMMON.len() > 900 && COMMON.iter().all(|common| common.len() >= 8));
    }

    #[test]
    fn a_password_is_the_same_on_every_keyboard() {
        let stored = Password::parse("caf\u{e9} \u{2003}au lait", None).unwrap();
        assert_eq!(stored.reveal(), "caf\u{e9}  au lait");
        assert_eq!(Password::offered("cafe\u{301} \u{a0}au lait").reveal(), stored.reveal());
    }

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Password::offered("hunter2hunter2")), "Password(…)");
    }

    #[test]
    fn names_that_differ_in_case_only_are_the_same_name() {
        assert_eq!(Username::parse("Ädä").unwrap().folded(), Username::parse("äDÄ").unwrap().folded());
    }

    #[test]
    fn a_name_is_shown_as_typed_and_known_in_every_case_width_and_composition() {
        let name = Username::parse(" Zo\u{65}\u{308} Smith ").unwrap();
        assert_eq!(name.as_str(), "Zo\u{eb} Smith");
        assert_eq!(String::from(name.clone()), name.as_str());
        for same in ["ZO\u{cb} SMITH", "zo\u{eb} smith", "\u{ff3a}o\u{eb} \u{ff33}mith"] {
            assert_eq!(Username::parse(same).unwrap().folded(), name.folded(), "{same}");
        }
    }

    #[test]
    fn what_cannot_be_seen_or_turns_the_writing_is_no_part_of_a_name() {
        let invisible = ["a\u{200b}b", "a\u{202e}b", "a\u{2066}b", "a\u{ad}b", "a\u{feff}b", "a\u{3164}b"];
        for name in invisible.into_iter().chain(["a  b", "a🦀", "a\u{a0}b"]) {
            assert_eq!(Username::parse(name), Err(InvalidUsername::Character), "{name:?}");
        }
    }

    #[test]
    fn a_name_does_not_mix_scripts_that_look_alike() {
        for mixed in ["p\u{430}ypal", "\u{3bf}k", "\u{430}\u{3b1}"] {
            assert_eq!(Username::parse(mixed), Err(InvalidUsername::MixedScripts), "{mixed:?}");
        }
        for plain in ["Anna-1", "Анна", "Άννα", "דוד", "a.b_c@example.com", "O'Brien"] {
            assert!(Username::parse(plain).is_ok(), "{plain}");
        }
        for beside_latin in ["田中taro", "ひろtaro", "ㄕㄠtaro", "김Kim"] {
            assert!(Username::parse(beside_latin).is_ok(), "{beside_latin}");
        }
    }

    #[test]
    fn names_that_are_taken_for_each_other_have_one_likeness() {
        let likeness = |name: &str| Username::parse(name).unwrap().likeness();
        for (name, alike) in [
            ("Alice", "AIice"),
            ("bob", "B0B"),
            ("modem", "modern"),
            ("user1", "userl"),
            // Cyrillic, of letters that Latin has too.
            ("ace", "\u{430}\u{441}\u{435}"),
            ("TOM", "\u{422}\u{41e}\u{41c}"),
            ("Tom", "\u{442}\u{43e}\u{43c}"),
            // Greek.
            ("KATE", "\u{39a}\u{391}\u{3a4}\u{395}"),
            // Latin letters that are not of ASCII.
            ("admin", "\u{251}dm\u{131}n"),
        ] {
            assert_eq!(likeness(name), likeness(alike), "{name} and {alike}");
        }
        for (name, other) in
            [("Anna", "Hanna"), ("Zoe", "Zo\u{eb}"), ("\u{410}\u{43d}\u{43d}\u{430}", "Anna")]
        {
            assert_ne!(likeness(name), likeness(other), "{name} and {other}");
        }
    }

    #[test]
    fn a_name_of_older_rules_is_still_known() {
        let name = Username::registered("Crab 🦀").unwrap();
        assert_eq!((name.as_str(), name.folded().as_str()), ("Crab 🦀", "crab 🦀"));
    }

    proptest! {
        #[test]
        fn a_name_has_one_folded_form(name in "\\PC{1,20}|[A-Za-z\u{c0}-\u{17f} ]{1,20}|[\u{391}-\u{3c9}]{1,9}") {
            if let Ok(name) = Username::parse(&name) {
                prop_assert_eq!(Username::parse(name.as_str()), Ok(name.clone()));
                let folded = name.folded();
                let again = Username::registered(&folded).unwrap();
                prop_assert_eq!((again.folded(), again.likeness()), (folded, name.likeness()));
            }
        }

        #[test]
        fn the_password_that_was_set_is_the_one_that_logs_in(text in "\\PC{8,40}") {
            if let Ok(password) = Password::parse(&text, None) {
                for again in [&text, password.reveal()] {
                    let offered = Password::offered(again);
                    prop_assert_eq!(offered.reveal(), password.reveal());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_or_password_is_read_or_refused(text in any::<String>(), name in any::<String>()) {
            let name = Username::parse(&name).or_else(|_| Username::parse("Ada")).unwrap();
            if let Ok(known) = Username::registered(&text) {
                prop_assert!(!known.folded().is_empty() && !known.likeness().is_empty());
            }
            let offered = Password::offered(&text);
            if let Ok(password) = Password::parse(&text, Some(&name)) {
                prop_assert_eq!(password.reveal(), offered.reveal());
            }
        }
    }
}
