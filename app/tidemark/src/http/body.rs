//! JSON bodies, read so that every fault is told and nothing is half done.

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::{FieldError, Problem};

/// The largest body that is read [bytes].
pub const LARGEST_BODY: usize = 1 << 20;

/// A parsed body, and the bytes that it was parsed from (they tell a retry from another request).
pub struct JsonBody<T> {
    pub value: T,
    pub bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        read(request).await.map_err(IntoResponse::into_response)
    }
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<JsonBody<T>, Problem> {
    if !is_json(request.headers().get(header::CONTENT_TYPE)) {
        let detail = "send the body as Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
    }
    let body = Limited::new(request.into_body(), LARGEST_BODY);
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(fault) if fault.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {LARGEST_BODY} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail));
        }
        Err(_) => return Err(malformed("the body ended early".to_owned())),
    };
    // A list with the members' values in their order would be read as an object, too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("the body is not a JSON object".to_owned()));
    }
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|fault| {
        let pointer = pointer(fault.path());
        let fault = fault.into_inner();
        if fault.is_data() && !pointer.is_empty() {
            Problem::invalid_field(pointer, fault)
        } else {
            malformed(format!("the body is not the JSON expected: {fault}"))
        }
    })?;
    reader.end().map_err(|fault| malformed(format!("there is more after the JSON: {fault}")))?;
    Ok(JsonBody { value, bytes })
}

fn malformed(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed-body", detail)
}

fn is_json(content_type: Option<&http::HeaderValue>) -> bool {
    let media_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Collects what is wrong with a body, so that one answer names all of it.
#[derive(Debug, Default)]
pub struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    /// Notes the fault of a field, if it has one.
    pub fn field<T, E: std::fmt::Display>(&mut self, pointer: &str, value: Result<T, E>) -> Option<T> {
        value
            .map_err(|fault| {
                self.errors.push(FieldError { pointer: pointer.to_owned(), message: fault.to_string() });
            })
            .ok()
    }

    /// The value built from checked fields, or everything that is wrong with them. `None` only ever comes
    /// from a field with a fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.errors)),
        }
    }
}

/// Reads a member for which `null` means the same as empty text: clear it. Absent stays absent.
pub fn null_clears<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = serde::Deserialize::deserialize(reader)?;
    Ok(Some(text.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use proptest::{prelude::*, sample::Index};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        name: String,
        version: Option<u64>,
        #[serde(default, deserialize_with = "null_clears")]
        note: Option<String>,
        places: Vec<i8>,
    }

    const GOOD: &str = r#"{"name": "Fence \u00e4", "version": 3, "note": null, "places": [1, -2, 127]}"#;

    fn request(body: Vec<u8>) -> Request {
        Request::builder().header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap()
    }

    /// Any bytes, what looks like an object, and a good body with some of its bytes changed or its end cut off.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let damaged = (prop::collection::vec(any::<(Index, u8)>(), 0..4), 0..=GOOD.len()).prop_map(
            |(changes, length)| {
                let mut bytes = GOOD.as_bytes().to_vec();
                for (at, byte) in changes {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                // As often as not, all of it stays.
                bytes.truncate(length * 2);
                bytes
            },
        );
        prop_oneof![
            1 => prop::collection::vec(any::<u8>(), 0..200),
            1 => r#"[ \n]{0,2}\{["a-z:0-9{}\[\],. ]{0,80}\}?"#.prop_map(String::into_bytes),
            3 => damaged,
        ]
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(bytes in bytes()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            match runtime.block_on(read::<Wish>(request(bytes.clone()))) {
                Ok(body) => {
                    prop_assert_eq!(body.value, serde_json::from_slice::<Wish>(&bytes).unwrap());
                    prop_assert_eq!(body.bytes, bytes);
                }
                Err(problem) => prop_assert!(problem.into_response().status().is_client_error()),
            }
        }
    }
}
