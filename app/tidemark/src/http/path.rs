//! Ids in paths. A path with something else in the id's place leads nowhere: 404, as for an unknown id.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use super::problem::Problem;

/// The one id in a path such as `/api/tasks/{id}`.
pub struct PathId<T>(pub T);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let text = path.map(|Path(text)| text).unwrap_or_default();
        text.parse().map(Self).map_err(|_| Problem::not_found("entry", text).into_response())
    }
}
