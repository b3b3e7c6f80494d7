//! The OpenAPI 3.1 document, made from the declarations.

use serde_json::{Map, Value, json};
use tidemark_api::{
    Access, Declaration, Described, Method, Reason, Repeats, Success,
    declaration::{Schema, path_parameters},
};

/// The document of all operations, whichever of them this process offers.
pub fn document() -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert("Problem".to_owned(), problem());
    for described in tidemark_api::operations() {
        for (number, path) in described.declaration.paths.iter().enumerate() {
            let item = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
            let method = described.declaration.method.as_str().to_ascii_lowercase();
            item[method] = operation(&described, path, number, &mut schemas);
        }
    }
    for (path, summary) in PROCESS {
        paths.insert(path.to_owned(), json!({ "get": process_operation(path, summary) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidemark",
            "summary": "A collaborative task board in which every change leaves a mark.",
            "description": DESCRIPTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The installation that serves this document." }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The token that a log-in gives.",
                },
            },
        },
    })
}

const DESCRIPTION: &str = "Bodies are JSON of at most 1 MiB. Times are ISO 8601 in UTC with milliseconds, days \
    are `YYYY-MM-DD`, ids are opaque strings of at most 100 characters. Errors are problem documents (RFC 9457). \
    A list takes `limit` and `cursor`; `next` in its answer is the cursor of the next page. With \
    `Idempotency-Key` a repeated request gets its first answer; with `If-Match` a change made meanwhile is not \
    overwritten.";

/// What every process serves beside operations.
const PROCESS: [(&str, &str); 5] = [
    ("/api/health", "Tells the state of everything that the installation depends on."),
    ("/health", "The same as `/api/health`, for older clients."),
    ("/health/live", "Answers while the process runs."),
    ("/health/ready", "Answers 200 if everything answers that the process cannot work without."),
    ("/metrics", "Shows the metrics of the process in Prometheus' text format."),
];

fn tags() -> Value {
    json!([
        { "name": "accounts", "description": "Who exists, and who is calling." },
        { "name": "tasks", "description": "Groups, their tasks, and the comments on them." },
        { "name": "history", "description": "What happened." },
        { "name": "process", "description": "Health and metrics." },
    ])
}

fn operation(described: &Described, path: &str, number: usize, schemas: &mut Map<String, Value>) -> Value {
    let declaration = &described.declaration;
    let input = local(&described.input, schemas);
    let mut parameters: Vec<Value> = Vec::new();
    let in_path: Vec<&str> = path_parameters(path).collect();
    for name in &in_path {
        parameters.push(parameter(&input, name, "path", true));
    }
    let others: Vec<String> =
        properties(&input).keys().filter(|name| !in_path.contains(&name.as_str())).cloned().collect();
    if !declaration.has_body() {
        parameters.extend(others.iter().map(|name| parameter(&input, name, "query", false)));
    }
    parameters.extend(headers(declaration));
    let mut operation = json!({
        "operationId": operation_id(declaration, number),
        "tags": [declaration.role.as_str()],
        "summary": declaration.summary,
        "description": description(declaration, number),
        "responses": responses(described, schemas),
        "security": match declaration.access {
            Access::Anyone => json!([{}]),
            Access::SignedIn => json!([{ "token": [] }]),
        },
    });
    if !parameters.is_empty() {
        operation["parameters"] = Value::from(parameters);
    }
    if number > 0 && declaration.paths.first().is_some_and(|first| path == first.trim_start_matches("/api")) {
        operation["deprecated"] = json!(true);
    }
    if declaration.has_body() {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": body(&input, &in_path) } },
        });
    }
    operation
}

/// `CreateTask` is `createTask`; the older ways to it are numbered.
fn operation_id(declaration: &Declaration, number: usize) -> String {
    let mut name = declaration.name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    if number == 0 { name } else { format!("{name}{}", number + 1) }
}

fn description(declaration: &Declaration, number: usize) -> String {
    let mut text = match declaration.repeats {
        Repeats::Safe => "Changes nothing.".to_owned(),
        Repeats::WithKey => "A repeat with the same `Idempotency-Key` gets the first answer.".to_owned(),
        Repeats::WithKeyAndVersion => {
            "With `If-Match` it is refused if the entity has changed since.".to_owned()
        }
        Repeats::Anew => "A repeat does it again, which does no harm.".to_owned(),
    };
    if number > 0 {
        let canonical = declaration.paths.first().copied().unwrap_or_default();
        text = format!("{text} Another way to `{canonical}`.");
    }
    text
}

/// The schema with its definitions moved among those of the document.
fn local(schema: &Schema, schemas: &mut Map<String, Value>) -> Value {
    let mut value = schema.as_value().clone();
    rewrite(&mut value);
    if let Some(members) = value.as_object_mut() {
        members.remove("$schema");
        members.remove("title");
        if let Some(Value::Object(definitions)) = members.remove("$defs") {
            schemas.extend(definitions);
        }
    }
    value
}

fn rewrite(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                *reference = reference.replace("#/$defs/", "#/components/schemas/");
            }
            members.values_mut().for_each(rewrite);
        }
        Value::Array(items) => items.iter_mut().for_each(rewrite),
        _ => {}
    }
}

fn properties(schema: &Value) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn parameter(input: &Value, name: &str, place: &str, required: bool) -> Value {
    let mut schema = properties(input).remove(name).unwrap_or_default();
    let mut parameter = json!({ "name": name, "in": place, "required": required });
    if let Some(members) = schema.as_object_mut() {
        if let Some(description) = members.remove("description") {
            parameter["description"] = description;
        }
        members.remove("default");
        if let Some(Value::Array(kinds)) = members.get_mut("type") {
            // There is no null in a path or a query.
            kinds.retain(|kind| kind != "null");
            if let [kind] = &kinds[..] {
                let kind = kind.clone();
                members.insert("type".to_owned(), kind);
            }
        }
        if let Some(Value::Array(choices)) = members.get_mut("enum") {
            choices.retain(|choice| !choice.is_null());
        }
    }
    parameter["schema"] = schema;
    parameter
}

fn headers(declaration: &Declaration) -> Vec<Value> {
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": description, "schema": schema });
    let mut headers = Vec::new();
    if declaration.takes_key() {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$" });
        headers.push(header("Idempotency-Key", "Recognises a repeat of this request.", schema));
    }
    if declaration.takes_version() {
        let schema = json!({ "type": "string", "minLength": 1, "pattern": "^(\\*|(W/)?\"[0-9]{1,19}(\\.[0-9a-f]{1,16})?\")$" });
        headers.push(header("If-Match", "The `ETag` of the version that may be changed.", schema));
    }
    headers
}

fn body(input: &Value, in_path: &[&str]) -> Value {
    let mut schema = input.clone();
    if let Some(members) = schema.as_object_mut() {
        if let Some(Value::Object(properties)) = members.get_mut("properties") {
            properties.retain(|name, _| !in_path.contains(&name.as_str()));
            for property in properties.values_mut().filter_map(Value::as_object_mut) {
                property.remove("default");
            }
        }
        if let Some(Value::Array(required)) = members.get_mut("required") {
            required.retain(|name| !name.as_str().is_some_and(|name| in_path.contains(&name)));
            if required.is_empty() {
                members.remove("required");
            }
        }
        members.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}

fn responses(described: &Described, schemas: &mut Map<String, Value>) -> Value {
    let declaration = &described.declaration;
    let mut responses = Map::new();
    let success = declaration.success;
    let mut done = json!({ "description": match success {
        Success::Done => "Done.",
        Success::Created { .. } => "Created.",
        Success::Gone => "Gone.",
    } });
    if success != Success::Gone {
        let output = named(&described.output, schemas);
        done["content"] = json!({ "application/json": { "schema": output } });
    }
    if let Success::Created { at: Some(at) } = success {
        done["headers"] = json!({
            "Location": {
                "description": format!("Where it is: `{at}`."),
                "schema": { "type": "string", "format": "uri-reference" },
            },
        });
        if let Some(links) = links(at) {
            done["links"] = links;
        }
    }
    responses.insert(success.status().to_string(), done);
    if declaration.method == Method::Get {
        responses.insert(
            "304".to_owned(),
            json!({ "description": "Not changed since the `ETag` in `If-None-Match`." }),
        );
    }
    let mut by_status: std::collections::BTreeMap<u16, Vec<Reason>> = std::collections::BTreeMap::new();
    for reason in declaration.reasons() {
        let reasons = by_status.entry(reason.status()).or_default();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    for (status, reasons) in by_status {
        let codes: Vec<String> = reasons.iter().map(|reason| format!("`{}`", reason.code())).collect();
        responses.insert(status.to_string(), json!({
            "description": format!("Refused: {}.", codes.join(", ")),
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        }));
    }
    Value::Object(responses)
}

/// What can be done with something new.
fn links(at: &str) -> Option<Value> {
    let id = |pointer: &str| json!({ "id": format!("$response.body#{pointer}") });
    match at {
        "/api/groups/{id}" => Some(json!({
            "ShowGroup": { "operationId": "showGroup", "parameters": id("/group/_id") },
            "UpdateGroup": { "operationId": "updateGroup", "parameters": id("/group/_id") },
            "DeleteGroup": { "operationId": "deleteGroup", "parameters": id("/group/_id") },
            "CreateTask": {
                "operationId": "createTask3", "parameters": { "groupId": "$response.body#/group/_id" },
            },
            "ShowGroupLog": { "operationId": "showGroupLog", "parameters": id("/group/_id") },
        })),
        "/api/tasks/{id}" => Some(json!({
            "ShowTask": { "operationId": "showTask", "parameters": id("/task/_id") },
            "UpdateTask": { "operationId": "updateTask", "parameters": id("/task/_id") },
            "ChangeStatus": { "operationId": "changeStatus", "parameters": id("/task/_id") },
            "MoveTask": { "operationId": "moveTask", "parameters": id("/task/_id") },
            "DeleteTask": { "operationId": "deleteTask", "parameters": id("/task/_id") },
            "AddComment": { "operationId": "addComment", "parameters": id("/task/_id") },
            "ListComments": { "operationId": "listComments", "parameters": id("/task/_id") },
            "ShowTaskLog": { "operationId": "showTaskLog", "parameters": id("/task/_id") },
        })),
        _ => None,
    }
}

/// The schema among those of the document, under its own name.
fn named(schema: &Schema, schemas: &mut Map<String, Value>) -> Value {
    let name = schema.as_value().get("title").and_then(Value::as_str).unwrap_or("Output").to_owned();
    let local = local(schema, schemas);
    let reference = format!("#/components/schemas/{name}");
    schemas.insert(name, local);
    json!({ "$ref": reference })
}

fn problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "RFC 9457: why a request was refused.",
        "required": ["type", "title", "status", "detail", "code", "error", "errors"],
        "properties": {
            "type": text("`urn:tidemark:problem:` and the code."),
            "title": text("The name of the status."),
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": text("What was wrong with this request."),
            "code": text("The reason, for programs."),
            "error": text("The first message as text, for simple clients."),
            "errors": {
                "type": "array",
                "description": "One entry for each member that broke a rule.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "message"],
                    "properties": {
                        "pointer": text("A JSON pointer into the body, such as `/name`, or `?limit` for a parameter."),
                        "message": text("The rule that it broke."),
                    },
                },
            },
            "currentVersion": { "type": "integer", "description": "Of a stale version: the one of now." },
            "requestId": text("Finds the request in the logs."),
        },
    })
}

fn process_operation(path: &str, summary: &str) -> Value {
    let kind =
        if path == "/metrics" || path.starts_with("/health/") { "text/plain" } else { "application/json" };
    let schema = if kind == "text/plain" { json!({ "type": "string" }) } else { json!({ "type": "object" }) };
    let content = json!({ kind: { "schema": schema } });
    let name: String = path
        .split('/')
        .filter(|part| *part != "api")
        .map(|part| {
            let mut word = part.to_owned();
            if let Some(first) = word.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            word
        })
        .collect();
    let name = if path == "/health" { "OlderHealth".to_owned() } else { name };
    json!({
        "operationId": format!("show{name}"),
        "tags": ["process"],
        "summary": summary,
        "security": [{}],
        "responses": {
            "200": { "description": "Well.", "content": content },
            "4XX": {
                "description": "Refused.",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
            "503": { "description": "Something that is needed does not answer.", "content": content },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let committed = include_str!("../../../../docs/openapi.json");
        let made = serde_json::to_string_pretty(&document()).unwrap();
        assert!(committed.trim_end() == made, "run `tidemark openapi > docs/openapi.json`");
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn every_link_names_an_operation() {
        let document = document();
        let text = document.to_string();
        let ids: Vec<String> = tidemark_api::operations()
            .iter()
            .flat_map(|described| {
                let paths = described.declaration.paths.len();
                (0..paths).map(|number| operation_id(&described.declaration, number)).collect::<Vec<_>>()
            })
            .collect();
        for link in ["createTask3", "showGroup", "showTask", "addComment", "showTaskLog", "moveTask"] {
            assert!(ids.iter().any(|id| id == link) && text.contains(link), "{link}");
        }
    }
}
