//! What travels beside the bodies: headers of requests that an operation honours, and of its answers.

use serde_json::{Map, Value, json};
use tidemark_api::{Access, Declaration, Method, Success};

/// A list of tags, as RFC 9110 writes it, or a star. Of foreign tags none is that of a version.
const TAGS: &str = r#"^(\*|[\t ,]*(W/)?"[!#-~]*"([\t ]*,[\t ,]*(W/)?"[!#-~]*")*[\t ,]*)$"#;

/// The parameters of an operation that are headers.
pub fn of_request(declaration: &Declaration) -> Vec<Value> {
    let mut headers = Vec::new();
    let mut add = |name: &str, description: &str, schema: Value| {
        headers.push(json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": schema,
        }));
    };
    if declaration.takes_key() {
        // Spaces at its ends would not arrive.
        let schema = json!({
            "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$",
        });
        add("Idempotency-Key", "Recognises a repeat of this request.", schema);
    }
    if declaration.takes_version() {
        let description = "The `ETag` of the version that may be changed, or several. One that names no version \
                           matches none; `*` matches each.";
        let schema = json!({ "type": "string", "minLength": 1, "pattern": TAGS });
        add("If-Match", description, schema.clone());
        let description = "The `ETag` of the version that must not be changed, or several; with `*` nothing that is \
                           there is changed.";
        add("If-None-Match", description, schema);
    }
    if declaration.method == Method::Get {
        let description = "The `ETag` of an answer that is still there, or several: if nothing has changed, it \
                           need not come again.";
        add("If-None-Match", description, json!({ "type": "string" }));
    }
    if declaration.kept {
        add("Cache-Control", "`no-cache` demands an answer that was not kept.", json!({ "type": "string" }));
    }
    headers
}

/// The headers of a success.
pub fn of_success(declaration: &Declaration) -> Value {
    let tells_version = match declaration.success {
        Success::Done => declaration.method == Method::Get || declaration.takes_version(),
        Success::Created { at } => at.is_some(),
        Success::Gone => false,
    };
    let mut headers = those(&[
        ("X-Request-Id", true),
        ("Cache-Control", true),
        ("ETag", tells_version),
        ("Age", declaration.kept),
        ("Idempotency-Replayed", declaration.takes_key()),
    ]);
    if let Success::Created { at: Some(at) } = declaration.success {
        headers["Location"] = json!({
            "description": format!("Where it is: `{at}`."),
            "required": true,
            "schema": { "type": "string", "format": "uri-reference" },
        });
    }
    headers
}

/// The headers of an answer without its body, which whoever asks has.
pub fn of_not_modified(declaration: &Declaration) -> Value {
    those(&[("X-Request-Id", true), ("Cache-Control", true), ("ETag", true), ("Age", declaration.kept)])
}

/// The headers of a refusal.
pub fn of_refusal(declaration: &Declaration, status: u16) -> Value {
    let asks_for_token = declaration.access == Access::SignedIn && matches!(status, 401 | 403);
    those(&[
        ("X-Request-Id", true),
        ("WWW-Authenticate", asks_for_token),
        ("ETag", status == 412),
        ("Retry-After", matches!(status, 429 | 503)),
    ])
}

/// References to those of the headers that are there.
pub fn those(headers: &[(&str, bool)]) -> Value {
    let there = headers.iter().filter(|(_, there)| *there);
    let references = there.map(|(name, _)| {
        let reference = format!("#/components/headers/{name}");
        ((*name).to_owned(), json!({ "$ref": reference }))
    });
    Value::Object(references.collect())
}

/// The headers that several answers have.
pub fn components() -> Value {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let headers = [
        (
            "X-Request-Id",
            "Finds the request in the logs: the id that it brought, if that is 1 to 128 letters, digits, `.`, `_` or \
             `-`, or one of its own.",
            true,
            text("^[A-Za-z0-9._-]{1,128}$"),
        ),
        ("Cache-Control", "Whether and how long the answer may be kept.", true, json!({ "type": "string" })),
        (
            "ETag",
            "After a change the version in quotes; of what was read, weak, the version, if it has one, and what \
             tells bodies of one version apart.",
            true,
            text("^(W/)?\"[!#-~]*\"$"),
        ),
        (
            "Age",
            "How many seconds ago the answer was made, if it was kept.",
            false,
            json!({ "type": "integer", "minimum": 0 }),
        ),
        (
            "Idempotency-Replayed",
            "There if the key came before: this is the first answer again.",
            false,
            json!({ "type": "string", "enum": ["true"] }),
        ),
        ("WWW-Authenticate", "How to show a token, RFC 6750.", true, json!({ "type": "string" })),
        (
            "Retry-After",
            "After how many seconds to try again.",
            true,
            json!({ "type": "integer", "minimum": 0 }),
        ),
    ];
    let headers = headers.map(|(name, description, required, schema)| {
        (name.to_owned(), json!({ "description": description, "required": required, "schema": schema }))
    });
    Value::Object(Map::from_iter(headers))
}
