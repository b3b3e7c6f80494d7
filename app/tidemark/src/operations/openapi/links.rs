//! What can be done with an answer: links from one operation to the next.

use serde_json::{Map, Value, json};
use tidemark_api::{Described, Method, declaration::path_parameters};

/// A link: the operation that it leads to, and what that takes of the answer or of the request before.
struct Link {
    to: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    body: &'static [(&'static str, &'static str)],
}

const fn link(to: &'static str, parameters: &'static [(&'static str, &'static str)]) -> Link {
    Link { to, parameters, body: &[] }
}

const OF_GROUP: &[(&str, &str)] = &[("id", "$response.body#/group/_id")];
const OF_TASK: &[(&str, &str)] = &[("id", "$response.body#/task/_id")];
const OF_COMMENTED: &[(&str, &str)] = &[("id", "$response.body#/comment/taskId")];

/// The one that the request was about.
const SAME: &[(&str, &str)] = &[("id", "$request.path.id")];

const AFTER_GROUP: &[Link] = &[
    link("showGroup", OF_GROUP),
    link("updateGroup", OF_GROUP),
    link("deleteGroup", OF_GROUP),
    link("createTask3", &[("groupId", "$response.body#/group/_id")]),
    link("showGroupLog", OF_GROUP),
];
const AFTER_TASK: &[Link] = &[
    link("showTask", OF_TASK),
    link("updateTask", OF_TASK),
    link("changeStatus", OF_TASK),
    link("moveTask", OF_TASK),
    link("deleteTask", OF_TASK),
    link("addComment", OF_TASK),
    link("listComments", OF_TASK),
    link("showTaskLog", OF_TASK),
];
const AFTER_COMMENT: &[Link] = &[link("showTask", OF_COMMENTED), link("listComments", OF_COMMENTED)];
const AFTER_GROUP_DELETION: &[Link] = &[link("restoreGroup", SAME), link("showGroupLog", SAME)];
const AFTER_TASK_DELETION: &[Link] = &[link("restoreTask", SAME), link("showTaskLog", SAME)];
const AFTER_REGISTRATION: &[Link] = &[Link {
    to: "logIn",
    parameters: &[],
    body: &[("username", "$request.body#/username"), ("password", "$request.body#/password")],
}];

/// What is new can be shown, changed and deleted, and then be had back.
fn of(name: &str) -> &'static [Link] {
    match name {
        "Register" => AFTER_REGISTRATION,
        "CreateGroup" => AFTER_GROUP,
        "CreateTask" => AFTER_TASK,
        "AddComment" => AFTER_COMMENT,
        "DeleteGroup" => AFTER_GROUP_DELETION,
        "DeleteTask" => AFTER_TASK_DELETION,
        _ => &[],
    }
}

/// The links of an operation's success, where it is called `operation_id` and served at `path`.
pub fn links(described: &Described, path: &str, operation_id: &str) -> Option<Value> {
    let mut links = Map::new();
    for Link { to, parameters, body } in of(described.declaration.name) {
        let mut link = json!({ "operationId": to });
        for (member, pairs) in [("parameters", parameters), ("requestBody", body)] {
            if !pairs.is_empty() {
                link[member] = pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            }
        }
        links.insert(title(to), link);
    }
    if described.declaration.method == Method::Get && described.input.property("cursor").is_some() {
        let mut parameters = json!({ "cursor": "$response.body#/next" });
        for name in path_parameters(path) {
            parameters[name] = json!(format!("$request.path.{name}"));
        }
        links.insert("NextPage".to_owned(), json!({ "operationId": operation_id, "parameters": parameters }));
    }
    if links.is_empty() { None } else { Some(Value::Object(links)) }
}

/// `createTask3` is linked as `CreateTask`.
fn title(operation_id: &str) -> String {
    let mut title = operation_id.trim_end_matches(|digit: char| digit.is_ascii_digit()).to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}
