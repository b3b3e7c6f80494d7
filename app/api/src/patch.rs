//! A member of a change: left alone, cleared, or set.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Absent stays as it is, `null` clears, a value replaces. To be used with
/// `#[serde(default, skip_serializing_if = "Patch::is_absent")]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    #[default]
    Absent,
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value to be written: `cleared` for `null`, nothing if the member stays.
    pub fn or_cleared(self, cleared: T) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Clear => Some(cleared),
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Patch_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({});
        let inner = T::json_schema(generator);
        if let Some(members) = inner.as_object() {
            for (name, value) in members {
                schema.insert(name.clone(), value.clone());
            }
        }
        schema.insert("type".to_owned(), serde_json::json!([inner.get("type"), "null"]));
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Changes {
        #[serde(skip_serializing_if = "Patch::is_absent")]
        name: Patch<String>,
    }

    #[test]
    fn absent_null_and_a_value_are_three_things_and_read_back_as_they_were_written() {
        for (text, name) in [
            ("{}", Patch::Absent),
            (r#"{"name":null}"#, Patch::Clear),
            (r#"{"name":"x"}"#, Patch::Set("x".to_owned())),
        ] {
            let changes: Changes = serde_json::from_str(text).unwrap();
            assert_eq!(changes, Changes { name });
            assert_eq!(serde_json::to_string(&changes).unwrap(), text);
        }
    }
}
