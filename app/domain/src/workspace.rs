//! Workspaces: the outermost border of what a request can see.

use std::fmt;

use crate::text::{InvalidText, Lines, parse_required};

/// The name of a workspace. Every key and every event carries one; a request reaches only its token's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Workspace(String);

impl Workspace {
    /// The longest name that the history's column holds.
    pub const LONGEST: usize = 100;

    /// The shared board that everybody who registers joins.
    pub fn shared() -> Self {
        Self("default".to_owned())
    }

    /// Takes letters, digits, `-` and `_`: the name is part of storage keys.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let name = parse_required("workspace", text, Self::LONGEST, Lines::One)?;
        if name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            Ok(Self(name))
        } else {
            Err(InvalidText::ControlCharacter { name: "workspace" })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_workspace_is_named_by_what_may_stand_in_a_key() {
        for name in ["default", "Team-7", "a_b", &"w".repeat(Workspace::LONGEST)] {
            let workspace = Workspace::parse(name).unwrap();
            assert_eq!((workspace.as_str(), workspace.to_string().as_str()), (name, name));
        }
        for name in ["", "a/b", "a||b", "a b", "größe", &"w".repeat(Workspace::LONGEST + 1)] {
            assert!(Workspace::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(Workspace::shared().as_str(), "default");
    }

    proptest! {
        #[test]
        fn any_name_is_read_or_refused(text in ".{0,20}|[ a-zA-Z0-9_|/-]{0,110}") {
            if let Ok(workspace) = Workspace::parse(&text) {
                prop_assert_eq!(workspace.as_str(), text.trim());
                prop_assert!(!workspace.as_str().contains(['/', '|', ' ']));
            }
        }
    }
}
