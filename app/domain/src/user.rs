//! Users, and what their names and passwords must be like.

use std::fmt;

use jiff::Timestamp;

use crate::{UserId, text::text};

text!(
    /// A user name: 1 to 100 characters, unique whatever its case.
    Username, parse_required, "username", 100, One
);
text!(
    /// The name shown to others: at most 100 characters, may be empty.
    DisplayName, parse_optional, "displayName", 100, One
);

impl Username {
    /// The form in which two names are the same: lower case.
    pub fn folded(&self) -> String {
        self.as_str().to_lowercase()
    }
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
    #[error("password must be 7 to 72 bytes long")]
    Length,
    #[error("password must contain a letter and a digit")]
    TooSimple,
}

impl Password {
    /// The rules for a new password. The shortest demo user's has seven bytes; the ceiling is bcrypt's, so that imported hashes stay comparable.
    pub fn parse(text: &str) -> Result<Self, InvalidPassword> {
        if !(7..=72).contains(&text.len()) {
            return Err(InvalidPassword::Length);
        }
        if text.chars().any(char::is_alphabetic) && text.chars().any(char::is_numeric) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPassword::TooSimple)
        }
    }

    /// A password given at log-in: whatever it is, the hash decides.
    pub fn offered(text: String) -> Self {
        Self(text)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_needs_a_letter_a_digit_and_seven_to_seventy_two_bytes() {
        assert!(Password::parse("Avinash123").is_ok());
        assert_eq!(Password::parse("a1").unwrap_err(), InvalidPassword::Length);
        assert_eq!(Password::parse(&"a1".repeat(37)).unwrap_err(), InvalidPassword::Length);
        assert_eq!(Password::parse("abcdefgh").unwrap_err(), InvalidPassword::TooSimple);
        assert_eq!(Password::parse("12345678").unwrap_err(), InvalidPassword::TooSimple);
    }

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", Password::offered("hunter2hunter2".to_owned())).contains("hunter"));
    }

    #[test]
    fn names_that_differ_in_case_only_are_the_same_name() {
        assert_eq!(Username::parse("Ädä").unwrap().folded(), Username::parse("äDÄ").unwrap().folded());
    }
}
