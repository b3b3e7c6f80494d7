//! `/api/docs/`: the operations as a page to browse and to try, and `/api/openapi.json`, the document behind it.
//! Everything comes from this program: no other server is asked.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderValue, header};
use tidemark_api::Refusal;
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::{http::Problem, operations::openapi};

/// The page runs its own scripts and sets styles from them.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
);

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&openapi::document()).expect("a document is JSON").into());

static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::new(["/api/openapi.json"]).display_request_duration(true)));

pub fn router() -> Router {
    Router::new()
        .route("/api/openapi.json", get(document))
        .route("/api/docs", get(async || Redirect::permanent("/api/docs/")))
        .route("/api/docs/", get(async || file("index.html")))
        .route("/api/docs/{*file}", get(async |Path(name): Path<String>| file(&name)))
}

async fn document() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, DOCUMENT.clone()).into_response()
}

fn file(name: &str) -> Response {
    match utoipa_swagger_ui::serve(name, Arc::clone(&PAGE)) {
        Ok(Some(SwaggerFile { bytes, content_type, .. })) => {
            let content_type = HeaderValue::try_from(content_type);
            let headers = [
                (header::CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("text/plain"))),
                (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
            ];
            (headers, bytes.into_owned()).into_response()
        }
        Ok(None) => Problem(Refusal::not_found("file", name)).into_response(),
        Err(fault) => {
            tracing::error!(%fault, file = name, "a file of the documentation cannot be made");
            Problem(Refusal::internal()).into_response()
        }
    }
}
