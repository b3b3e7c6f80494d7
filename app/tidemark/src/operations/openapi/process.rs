//! What every process serves beside operations.

use serde_json::{Map, Value, json};

use super::headers;

/// A path of the process itself.
struct ProcessPath {
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    media_type: &'static str,
}

const PROCESS: [ProcessPath; 5] = [
    ProcessPath {
        path: "/api/health",
        id: "showHealth",
        summary: "Tells the state of everything that the installation depends on.",
        media_type: "application/json",
    },
    ProcessPath {
        path: "/health",
        id: "showOlderHealth",
        summary: "The same as `/api/health`, for older clients.",
        media_type: "application/json",
    },
    ProcessPath {
        path: "/health/live",
        id: "showHealthLive",
        summary: "Answers while the process runs.",
        media_type: "text/plain",
    },
    ProcessPath {
        path: "/health/ready",
        id: "showHealthReady",
        summary: "Answers 200 if everything answers that the process cannot work without.",
        media_type: "text/plain",
    },
    ProcessPath {
        path: "/metrics",
        id: "showMetrics",
        summary: "Shows the metrics of the process in Prometheus' text format.",
        media_type: "text/plain",
    },
];

/// Adds the paths of the process to those of the operations.
pub fn add(paths: &mut Map<String, Value>) {
    for ProcessPath { path, id, summary, media_type } in PROCESS {
        let schema = json!({ "type": if media_type == "text/plain" { "string" } else { "object" } });
        let content = json!({ media_type: { "schema": schema } });
        let headers = headers::those(&[("X-Request-Id", true)]);
        let operation = json!({
            "operationId": id,
            "tags": ["process"],
            "summary": summary,
            "security": [{}],
            "responses": {
                "200": { "description": "Well.", "headers": headers, "content": content },
                "4XX": {
                    "description": "Refused.",
                    "headers": headers,
                    "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
                },
                "503": {
                    "description": "Something that is needed does not answer.",
                    "headers": headers,
                    "content": content,
                },
            },
        });
        paths.insert(path.to_owned(), json!({ "get": operation }));
    }
}
