//! `/api/docs/`: the operations as a page to browse and to try, and `/api/openapi.json`, the document behind it.
//! Everything comes from this program: no other server is asked.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::{Path, rejection::PathRejection},
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
        .route("/api/docs/{*file}", get(named_file))
}

async fn document() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, DOCUMENT.clone()).into_response()
}

/// A path that is no text leads nowhere, as one with an unknown name.
async fn named_file(name: Result<Path<String>, PathRejection>) -> Response {
    match name {
        Ok(Path(name)) => file(&name),
        Err(_) => Problem(Refusal::not_found("file", "of this path")).into_response(),
    }
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_not_there_is_told_as_a_problem_even_if_its_name_is_no_text() {
        for path in ["/api/docs/nothing", "/api/docs/%ff", "/api/docs/a/%c3%28"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router().oneshot(request).await.unwrap();
            let media_type = response.headers().get(header::CONTENT_TYPE).unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(media_type, "application/problem+json", "{path}");
        }
    }
}
