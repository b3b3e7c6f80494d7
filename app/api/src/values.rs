//! Values that several operations share.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An opaque id of at most 100 characters.
pub type Id = String;

/// A text that only its receiver may see.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Secret(pub String);

/// Whatever prints an input or an output leaves it out.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A moment: ISO 8601 in UTC with milliseconds and `Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = "date-time"))]
pub struct Moment(pub String);

/// A calendar day, such as `2026-01-31`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = "date"))]
pub struct Day(pub String);

/// Where a task stands. Any status may follow any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Status {
    New,
    Backlog,
    #[serde(rename = "In Progress")]
    InProgress,
    Completed,
    Approved,
}

/// An answer without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}
