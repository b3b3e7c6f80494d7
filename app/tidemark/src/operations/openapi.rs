//! The OpenAPI 3.1 document, made from the declarations.

mod headers;
mod links;
mod process;

use std::collections::BTreeMap;

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
    process::add(&mut paths);
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
            "headers": headers::components(),
            "responses": { "TooManyRequests": too_many_requests() },
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

const DESCRIPTION: &str = "Bodies are JSON of at most 1 MiB, of log-in and registration 32 KiB, plain or with gzip. Times are ISO 8601 in UTC with milliseconds, days \
    are `YYYY-MM-DD`, ids are opaque strings of at most 100 characters. Errors are problem documents (RFC 9457). \
    A list takes `limit` and `cursor`; `next` in its answer is the cursor of the next page. With \
    `Idempotency-Key` a repeated request gets its first answer; with `If-Match` a change made meanwhile is not \
    overwritten.";

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
    parameters.extend(headers::of_request(declaration));
    let id = operation_id(declaration, number);
    let mut operation = json!({
        "operationId": id,
        "tags": [declaration.role.as_str()],
        "summary": declaration.summary,
        "description": description(declaration, number),
        "responses": responses(described, path, &id, schemas),
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
    if described.wants_body() {
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

fn responses(described: &Described, path: &str, id: &str, schemas: &mut Map<String, Value>) -> Value {
    let declaration = &described.declaration;
    let mut responses = Map::new();
    let success = declaration.success;
    let description = match success {
        Success::Done => "Done.",
        Success::Created { .. } => "Created.",
        Success::Gone => "Gone.",
    };
    let mut done = json!({ "description": description, "headers": headers::of_success(declaration) });
    if success != Success::Gone {
        let output = named(&described.output, schemas);
        done["content"] = json!({ "application/json": { "schema": output } });
    }
    if let Some(links) = links::links(described, path, id) {
        done["links"] = links;
    }
    responses.insert(success.status().to_string(), done);
    if declaration.method == Method::Get {
        let not_modified = json!({
            "description": "Not changed since the `ETag` in `If-None-Match`.",
            "headers": headers::of_not_modified(declaration),
        });
        responses.insert("304".to_owned(), not_modified);
    }
    let mut by_status: BTreeMap<u16, Vec<Reason>> = BTreeMap::new();
    for reason in declaration.reasons() {
        let reasons = by_status.entry(reason.status()).or_default();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    for (status, reasons) in by_status {
        let codes: Vec<String> = reasons.iter().map(|reason| format!("`{}`", reason.code())).collect();
        let description = format!("Refused: {}.", codes.join(", "));
        let headers = headers::of_refusal(declaration, status);
        responses.insert(status.to_string(), refusal(&description, &headers));
    }
    let reference = json!({ "$ref": "#/components/responses/TooManyRequests" });
    responses.insert("429".to_owned(), reference);
    Value::Object(responses)
}

fn refusal(description: &str, headers: &Value) -> Value {
    let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/problem+json": problem },
    })
}

/// The one refusal of the edge that a client must know how to take, however right its request is.
fn too_many_requests() -> Value {
    let description = "Refused by the edge, where its limits are on: `too-many-requests`.";
    refusal(description, &headers::those(&[("X-Request-Id", true), ("Retry-After", true)]))
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

    /// Every operation of the document by its id.
    fn operations(document: &Value) -> BTreeMap<&str, &Value> {
        let items = document["paths"].as_object().unwrap().values();
        let operations = items.flat_map(|item| item.as_object().unwrap().values());
        operations.map(|operation| (operation["operationId"].as_str().unwrap(), operation)).collect()
    }

    #[test]
    fn every_link_leads_to_an_operation_that_takes_what_the_link_hands_over() {
        let document = document();
        let operations = operations(&document);
        let mut followed = 0;
        for (id, operation) in &operations {
            let responses = operation["responses"].as_object().unwrap().values();
            for (name, link) in responses.filter_map(|response| response["links"].as_object()).flatten() {
                let target = link["operationId"].as_str().unwrap();
                let target =
                    operations.get(target).unwrap_or_else(|| panic!("{id}: {name} leads to {target}"));
                let takes = |member: &str| {
                    target["parameters"].as_array().unwrap().iter().any(|taken| taken["name"] == member)
                };
                for member in link["parameters"].as_object().into_iter().flat_map(Map::keys) {
                    assert!(takes(member), "{id}: {name} hands over {member}");
                }
                let body = &target["requestBody"]["content"]["application/json"]["schema"]["properties"];
                for member in link["requestBody"].as_object().into_iter().flat_map(Map::keys) {
                    assert!(body[member].is_object(), "{id}: {name} hands over {member}");
                }
                followed += 1;
            }
        }
        assert!(followed > operations.len(), "links were not found");
    }

    #[test]
    fn every_answer_names_the_request_and_every_passing_fault_says_when_to_try_again() {
        let document = document();
        for (id, operation) in operations(&document) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let response = response["$ref"].as_str().map_or(response, |reference| {
                    document.pointer(reference.trim_start_matches('#')).unwrap()
                });
                let has = |name: &str| response["headers"][name].is_object();
                assert!(has("X-Request-Id"), "{id}: {status}");
                let passes =
                    matches!(status.as_str(), "429" | "503") && operation["tags"] != json!(["process"]);
                assert_eq!(has("Retry-After"), passes, "{id}: {status}");
            }
        }
    }

    #[test]
    fn no_operation_has_the_id_of_another() {
        let document = document();
        let paths = document["paths"].as_object().unwrap().values();
        let count: usize = paths.map(|item| item.as_object().unwrap().len()).sum();
        assert_eq!(operations(&document).len(), count);
    }
}
