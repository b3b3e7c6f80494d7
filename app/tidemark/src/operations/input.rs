//! Reads an input against what is declared of it, naming every fault in words of our own.
//!
//! Looked at are the members and the kinds of their values. What a value must be like beyond that the domain
//! decides, and says.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use tidemark_api::{FieldFault, Operation, Reason, Refusal, declaration::Schema};

/// The members of a JSON object, each given once.
#[derive(Default, PartialEq)]
pub struct Members(pub Map<String, Value>);

/// Their names alone: a value may be a password.
impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EachOnce;

        impl<'de> Visitor<'de> for EachOnce {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("{name} is given twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(EachOnce)
    }
}

impl Members {
    /// Reads a JSON text that is an object.
    pub fn parse(text: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(text).map_err(|fault| {
            let what = match fault.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                serde_json::error::Category::Data => "it must be one object, and no member may come twice",
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                    "it is no valid JSON"
                }
            };
            let (line, column) = (fault.line(), fault.column());
            let detail = format!("the body cannot be read at line {line}, column {column}: {what}");
            Refusal::new(Reason::MalformedBody, detail)
        })
    }

    /// Adds a member that came as text, as the kind of value that `schema` wants there.
    pub fn add_text(&mut self, schema: &Schema, name: &str, text: String) -> Result<(), Refusal> {
        let kinds = schema.property(name).map(|property| kinds(schema, property)).unwrap_or_default();
        let value = match text.parse::<u64>() {
            Ok(number) if kinds.contains(&"integer") => Value::from(number),
            _ => match text.as_str() {
                "true" | "false" if kinds.contains(&"boolean") => Value::from(text == "true"),
                _ => Value::from(text),
            },
        };
        if self.0.insert(name.to_owned(), value).is_some() {
            let message = format!("{name} is given twice");
            return Err(Refusal::invalid_field(format!("/{name}"), message));
        }
        Ok(())
    }

    /// The input, if its members are those declared and of the declared kinds.
    pub fn read<O: Operation>(self, schema: &Schema) -> Result<O, Refusal> {
        // A path or a query has no null that could be asked for.
        let faults = faults(schema, &self.0, O::DECLARATION.has_body());
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        serde_json::from_value(Value::Object(self.0)).map_err(|fault| {
            // Not the fault's words: they quote the input.
            let (operation, kind) = (O::DECLARATION.name, fault.classify());
            tracing::warn!(operation, ?kind, "an input passed its schema and not its type");
            Refusal::new(Reason::MalformedBody, "the input is not of the declared form")
        })
    }
}

fn faults(schema: &Schema, members: &Map<String, Value>, offers_null: bool) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    for (name, value) in members {
        if faults.len() == MOST_FAULTS {
            faults.push(FieldFault { pointer: String::new(), message: "and perhaps more".to_owned() });
            break;
        }
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let message = match schema.property(name) {
            None => unknown(schema, name),
            Some(property) => match wrong_kind(schema, property, value, offers_null) {
                Some(wanted) => format!("{name} must be {wanted}"),
                None => continue,
            },
        };
        faults.push(FieldFault { pointer, message });
    }
    faults
}

/// Faults that one answer names: a body of a megabyte may have a hundred thousand.
const MOST_FAULTS: usize = 20;
/// How much of a member's name an error repeats.
const SHOWN: usize = 40;

fn unknown(schema: &Schema, name: &str) -> String {
    let known: Vec<&str> = schema.properties().map(|(name, _)| name).collect();
    let shown: String = name.chars().take(SHOWN).collect();
    if known.is_empty() {
        return format!("{shown} is not known here; nothing is taken");
    }
    format!("{shown} is not known here; known are {}", known.join(", "))
}

/// The kinds that a property may have, as JSON Schema calls them.
fn kinds<'a>(schema: &'a Schema, property: &'a Value) -> Vec<&'a str> {
    let property = schema.resolve(property);
    if let Some(choices) = property.get("anyOf").or_else(|| property.get("oneOf")).and_then(Value::as_array) {
        return choices.iter().flat_map(|choice| kinds(schema, choice)).collect();
    }
    match property.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What the value should have been, if it is of another kind.
fn wrong_kind(schema: &Schema, property: &Value, value: &Value, offers_null: bool) -> Option<String> {
    let kinds = kinds(schema, property);
    let fits = kinds.is_empty()
        || kinds.iter().any(|kind| match *kind {
            "string" => value.is_string(),
            "integer" => {
                let least = schema.resolve(property).get("minimum").and_then(Value::as_i64);
                value.is_u64() || (value.is_i64() && least.is_none_or(|least| least < 0))
            }
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            _ => true,
        });
    if !fits {
        let offered: Vec<&str> = kinds.into_iter().filter(|kind| offers_null || *kind != "null").collect();
        return Some(wanted(schema, property, &offered));
    }
    let item = schema.resolve(property).get("items")?;
    let wrong = value.as_array()?.iter().find_map(|value| wrong_kind(schema, item, value, offers_null))?;
    Some(format!("a list of which each is {wrong}"))
}

fn wanted(schema: &Schema, property: &Value, kinds: &[&str]) -> String {
    let property = schema.resolve(property);
    let bound = |name: &str| property.get(name).and_then(Value::as_u64);
    let words = kinds.iter().map(|kind| match *kind {
        "string" => "text".to_owned(),
        "integer" => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            _ => "a whole number".to_owned(),
        },
        "number" => "a number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "an object".to_owned(),
        other => other.to_owned(),
    });
    words.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemark_api::{
        groups::ListGroups,
        tasks::{BulkTasks, ListTasks, UpdateTask},
    };

    use super::*;
    use crate::strange::any_or_damaged;

    fn read(text: &str) -> Result<UpdateTask, Refusal> {
        let members = Members::parse(text.as_bytes())?;
        members.read(&Schema::of::<UpdateTask>())
    }

    fn pointers(refusal: &Refusal) -> Vec<&str> {
        refusal.faults().iter().map(|fault| fault.pointer.as_str()).collect()
    }

    #[test]
    fn every_unknown_member_and_every_wrong_kind_is_named_at_once() {
        let refusal = read(r#"{"name": 7, "stauts": "New", "startDate": [], "comments": {}}"#).unwrap_err();
        assert_eq!(pointers(&refusal), ["/comments", "/name", "/startDate", "/stauts"]);
        let told: Vec<&str> = refusal.faults().iter().map(|fault| fault.message.as_str()).collect();
        assert!(told[1] == "name must be text" && told[3].contains("known are"), "{told:?}");
    }

    #[test]
    fn however_many_members_are_wrong_the_answer_stays_short() {
        let members: Vec<String> = (0..5_000).map(|number| format!("\"x{number}\": 0")).collect();
        let refusal = read(&format!("{{{}}}", members.join(", "))).unwrap_err();
        assert_eq!(refusal.faults().len(), MOST_FAULTS + 1);
    }

    #[test]
    fn a_number_below_zero_is_refused_where_none_can_be() {
        let refusal = read(r#"{"version": -1, "commentCount": -7}"#).unwrap_err();
        assert_eq!(pointers(&refusal), ["/commentCount", "/version"]);
    }

    #[test]
    fn a_member_that_comes_twice_is_refused() {
        let refusal = read(r#"{"name": "a", "name": "b"}"#).unwrap_err();
        assert_eq!(refusal.reason(), Reason::MalformedBody);
    }

    #[test]
    fn text_becomes_the_kind_of_value_that_is_wanted() {
        let schema = Schema::of::<ListGroups>();
        let mut members = Members::default();
        members.add_text(&schema, "limit", "7".to_owned()).unwrap();
        members.add_text(&schema, "cursor", "7".to_owned()).unwrap();
        assert!(members.add_text(&schema, "cursor", "8".to_owned()).is_err());
        let mut wrong = Members::default();
        wrong.add_text(&schema, "limit", "many".to_owned()).unwrap();
        let refusal = wrong.read::<ListGroups>(&schema).unwrap_err();
        assert_eq!(refusal.detail(), "limit must be a whole number from 1 to 200");
    }

    const GOOD: &str =
        r#"{"name": "Fence \u00e4", "version": 3, "description": null, "endDate": "2026-01-31"}"#;

    /// Any bytes, what looks like an object, and good bodies with something done to them.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let good = [GOOD, r#"{"ids": ["t0", "t1"], "status": "New", "after": "t2", "delete": false}"#];
        prop_oneof![
            1 => r#"[ \n]{0,2}\{["a-z:0-9{}\[\],. ]{0,80}\}?"#.prop_map(String::into_bytes),
            4 => any_or_damaged(good.map(|text| text.as_bytes().to_vec()).into()),
        ]
    }

    /// The bytes as an input, which is written so that it reads back.
    fn is_read_or_refused<O: Operation>(bytes: &[u8]) -> bool {
        let schema = Schema::of::<O>();
        let read = |bytes: &[u8]| Members::parse(bytes).and_then(|members| members.read::<O>(&schema));
        match read(bytes) {
            Ok(input) => {
                let again = read(&serde_json::to_vec(&input).unwrap()).unwrap();
                serde_json::to_value(again).unwrap() == serde_json::to_value(input).unwrap()
            }
            Err(refusal) => refusal.reason().status() == 400,
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(bytes in bytes()) {
            prop_assert!(is_read_or_refused::<UpdateTask>(&bytes));
            prop_assert!(is_read_or_refused::<BulkTasks>(&bytes));
        }

        #[test]
        fn any_text_of_a_query_is_read_or_refused(query in r"\PC{0,40}|((limit|cursor|status|x)=[%a-z0-9+-]{0,20}&?){0,4}") {
            let schema = Schema::of::<ListTasks>();
            let mut members = Members::default();
            let added = form_urlencoded::parse(query.as_bytes())
                .try_for_each(|(name, text)| members.add_text(&schema, &name, text.into_owned()));
            if let Err(refusal) = added.and_then(|()| members.read::<ListTasks>(&schema)) {
                prop_assert_eq!(refusal.reason().status(), 400);
            }
        }
    }
}
