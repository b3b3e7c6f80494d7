//! Values that several operations share.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

/// An opaque id of at most 100 characters.
pub type Id = String;

/// Takes whatever is there and keeps nothing of it, for members that are accepted and not read: some are as large as
/// a body may be, and as values many times that.
pub(crate) fn not_kept<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<Option<T>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| None)
}

/// Longer than whatever is shown, of an id, a moment or a rank [bytes].
const LONGER_THAN_SHOWN: usize = 1024;

/// Takes a text that is only compared with what is shown: of a longer one it keeps no more than tells them apart, since
/// it may wait with the change.
pub(crate) fn to_compare<'de, D: Deserializer<'de>, T: From<String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|mut text| {
        text.truncate(text.floor_char_boundary(LONGER_THAN_SHOWN));
        text.shrink_to_fit();
        text.into()
    }))
}

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

impl From<String> for Moment {
    fn from(text: String) -> Self {
        Self(text)
    }
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::LONGER_THAN_SHOWN;
    use crate::{
        groups::{UnchangedGroup, UpdateGroup},
        tasks::{UnchangedTask, UpdateTask},
    };

    #[test]
    fn nothing_is_kept_of_what_is_accepted_and_not_read() {
        let group = json!({ "id": "g", "name": "x", "tasks": [0, { "title": "x" }], "taskCount": 2 });
        let group: UpdateGroup = serde_json::from_value(group).unwrap();
        assert!(group.unchanged.tasks.is_none());
        assert_eq!(group.unchanged.task_count, Some(2));
        let task = json!({ "id": "t", "comments": [0, {}], "commentsNext": "x", "version": 3 });
        let task: UpdateTask = serde_json::from_value(task).unwrap();
        assert!(task.unchanged.comments.is_none() && task.unchanged.comments_next.is_none());
        assert_eq!(task.unchanged.version, Some(3));
    }

    #[test]
    fn of_what_is_only_compared_no_more_is_kept_than_tells_it_from_what_is_shown() {
        let long = "ä".repeat(1 << 19);
        for name in ["_id", "groupId", "rank", "createdBy", "createdAt", "updatedAt"] {
            let read = |text: &str| serde_json::from_value::<UnchangedTask>(json!({ name: text })).unwrap();
            let kept = serde_json::to_value(read(&long)).unwrap();
            let kept = kept[name].as_str().unwrap();
            assert_eq!(kept, "ä".repeat(LONGER_THAN_SHOWN / 2), "{name}");
            assert_eq!(serde_json::to_value(read("as it is")).unwrap()[name], "as it is");
        }
        for name in ["_id", "createdBy", "createdAt", "updatedAt"] {
            let group: UnchangedGroup = serde_json::from_value(json!({ name: long })).unwrap();
            assert!(serde_json::to_string(&group).unwrap().len() < 2 * LONGER_THAN_SHOWN, "{name}");
        }
    }
}
