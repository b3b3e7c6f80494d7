//! An operation as a request: for whoever calls it from outside with the declared types.

use serde_json::{Map, Value};

use crate::{Method, Operation, declaration::path_parameters};

/// What is asked of a server for an input, by the operation's canonical path. Not `Debug`: it may hold a password.
#[derive(Clone, PartialEq)]
pub struct Request {
    pub method: Method,
    /// The path and the query.
    pub target: String,
    pub body: Option<Value>,
}

impl Request {
    pub fn of<O: Operation>(input: &O) -> Self {
        let declaration = O::DECLARATION;
        let mut members = match serde_json::to_value(input) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let pattern = declaration.paths.first().copied().unwrap_or_default();
        let mut target = pattern.to_owned();
        for name in path_parameters(pattern) {
            let value = text(&members.remove(name).unwrap_or_default());
            target = target.replace(&format!("{{{name}}}"), &value);
        }
        let body = declaration.has_body().then(|| Value::Object(std::mem::take(&mut members)));
        // There is no null in a query.
        members.retain(|_, value| !value.is_null());
        if !members.is_empty() {
            target.push('?');
            let start = target.len();
            let mut query = form_urlencoded::Serializer::for_suffix(target, start);
            query.extend_pairs(members.iter().map(|(name, value)| (name, text(value))));
            target = query.finish();
        }
        Self { method: declaration.method, target, body }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        groups::{ListGroups, UpdateGroup},
        patch::Patch,
        tasks::ListTasks,
    };

    #[test]
    fn what_the_path_names_is_no_part_of_the_body() {
        let discussion = Patch::Clear;
        let change = UpdateGroup { id: "g1".to_owned(), discussion, ..UpdateGroup::default() };
        let request = Request::of(&change);
        assert_eq!((request.method, request.target.as_str()), (Method::Put, "/api/groups/g1"));
        assert_eq!(request.body, Some(json!({ "discussion": null })));
    }

    #[test]
    fn without_a_body_members_travel_in_the_query_as_far_as_they_are_there() {
        let status = Some("In Progress".to_owned());
        let list = ListTasks { status, limit: Some(1), ..ListTasks::default() };
        assert_eq!(Request::of(&list).target, "/api/tasks?limit=1&status=In+Progress");
        assert_eq!(Request::of(&ListGroups::default()).target, "/api/groups");
    }
}
