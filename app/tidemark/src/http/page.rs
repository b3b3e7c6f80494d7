//! Lists by pages: `limit`, and an opaque `cursor` that goes on where the last page ended.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::problem::Problem;

/// `?limit=&cursor=`: how much of a list, and from where.
#[derive(Debug, Clone)]
pub struct ListQuery {
    pub limit: usize,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Parameters {
    limit: Option<String>,
    cursor: Option<String>,
}

impl ListQuery {
    pub const DEFAULT_LIMIT: usize = 50;
    pub const LARGEST_LIMIT: usize = 200;

    /// The position that the cursor stands for, or the start of the list.
    pub fn position<P: DeserializeOwned + Default>(&self) -> Result<P, Problem> {
        position(self.cursor.as_deref())
    }
}

/// The position that a cursor stands for; without one, the start of the list.
pub fn position<P: DeserializeOwned + Default>(cursor: Option<&str>) -> Result<P, Problem> {
    let Some(cursor) = cursor else { return Ok(P::default()) };
    let position = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    position.ok_or_else(|| Problem::invalid_field("?cursor", "cursor must be the `next` of an earlier page"))
}

/// The cursor of a position.
pub fn cursor(position: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).expect("a position always makes JSON"))
}

/// Reads `?limit=` between 1 and `largest`.
pub fn limit(text: Option<&str>, default: usize, largest: usize) -> Result<usize, Problem> {
    match text.map(str::parse) {
        None => Ok(default),
        Some(Ok(limit)) if (1..=largest).contains(&limit) => Ok(limit),
        Some(_) => {
            Err(Problem::invalid_field("?limit", format!("limit must be a whole number from 1 to {largest}")))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let parameters: Parameters = query(parts).map_err(IntoResponse::into_response)?;
        let limit = limit(parameters.limit.as_deref(), Self::DEFAULT_LIMIT, Self::LARGEST_LIMIT);
        Ok(Self { limit: limit.map_err(IntoResponse::into_response)?, cursor: parameters.cursor })
    }
}

/// The query string as `T`. Unlike axum's own, it refuses with a problem document.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        query(parts).map(Self).map_err(IntoResponse::into_response)
    }
}

fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Problem> {
    let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
    query.map(|query| query.0).map_err(|fault| Problem::invalid_field("?", fault.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_its_position() {
        let query = ListQuery { limit: 1, cursor: Some(cursor(&(3_u32, 4_u32))) };
        assert_eq!(query.position::<(u32, u32)>().unwrap(), (3, 4));
        let start = ListQuery { limit: 1, cursor: None };
        assert_eq!(start.position::<(u32, u32)>().unwrap(), (0, 0));
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        for wrong in ["x", "", "bm90IGpzb24"] {
            let query = ListQuery { limit: 1, cursor: Some(wrong.to_owned()) };
            assert!(query.position::<(u32, u32)>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_outside_its_bounds_is_refused() {
        assert_eq!(limit(None, 50, 200).unwrap(), 50);
        assert_eq!(limit(Some("200"), 50, 200).unwrap(), 200);
        for wrong in ["0", "201", "-1", "many", ""] {
            assert!(limit(Some(wrong), 50, 200).is_err(), "{wrong}");
        }
    }
}
