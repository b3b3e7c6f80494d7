//! Calls between roles, through the sidecars: gRPC with one path an operation, so that the sidecar's policy can
//! name it. The messages are JSON, as everywhere; what goes beside the input travels as metadata.

use std::sync::Arc;

use axum::{Router, body::Body, routing::post};
use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidemark_api::Refusal;
use tonic::{
    Request, Response, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{Ascii, MetadataMap, MetadataValue},
    server::{Grpc, UnaryService},
};

use super::{
    answer::Answer,
    call::{Call, Conditions, Origin},
    conditional::{IF_MATCH, IF_NONE_MATCH, Seen},
    input::Members,
    offered::Offered,
    registry::Registry,
};

const AUTHORIZATION: &str = "authorization";
const KEY: &str = "idempotency-key";
const FRESH: &str = "cache-control";

/// What comes back: an answer, or the refusal that another interface would have given.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    Answered(Answer<Box<RawValue>>),
    Refused(Refusal),
}

/// Puts everything of a call but its input on a message.
pub(super) fn write_metadata(call: &Call, metadata: &mut MetadataMap) {
    let mut set = |name: &'static str, text: String| {
        // What came as a header or a checked key can be one again.
        if let Ok(value) = text.parse::<MetadataValue<Ascii>>() {
            metadata.insert(name, value);
        }
    };
    let conditions = call.conditions();
    if let Some(token) = call.token() {
        set(AUTHORIZATION, format!("Bearer {token}"));
    }
    if let Some(key) = &conditions.key {
        set(KEY, key.clone());
    }
    if let Some((header, line)) = conditions.seen.write() {
        set(header, line);
    }
    if conditions.fresh {
        set(FRESH, "no-cache".to_owned());
    }
}

fn read_conditions(metadata: &MetadataMap) -> Result<Conditions, Refusal> {
    let text = |name| metadata.get(name).and_then(|value| value.to_str().ok());
    let lines = |name| text(name).into_iter().collect::<Vec<_>>();
    Ok(Conditions {
        key: text(KEY).map(str::to_owned),
        seen: Seen::parse(&lines(IF_MATCH), &lines(IF_NONE_MATCH))?,
        fresh: text(FRESH).is_some(),
        origin: Origin::default(),
    })
}

/// The paths by which the sidecar calls the operations of this process.
pub fn router(registry: &Arc<Registry>) -> Router {
    let mut router = Router::new();
    for operation in registry.operations() {
        let service = Service { registry: Arc::clone(registry), operation: Arc::clone(operation) };
        let handler = move |request: http::Request<Body>| {
            let service = service.clone();
            async move { Grpc::new(JsonText).unary(service, request).await }
        };
        router = router.route(&operation.declaration().call_path(), post(handler));
    }
    router
}

#[derive(Clone)]
struct Service {
    registry: Arc<Registry>,
    operation: Arc<Offered>,
}

impl UnaryService<Bytes> for Service {
    type Response = Bytes;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let reply = match service.perform(request.metadata(), request.get_ref()).await {
                Ok(answer) => {
                    let text = String::from_utf8(answer.output.to_vec()).map_err(|_| internal())?;
                    let output = RawValue::from_string(text).map_err(|_| internal())?;
                    Reply::Answered(answer.map(|_| output))
                }
                Err(refusal) => Reply::Refused(refusal),
            };
            let text = serde_json::to_vec(&reply).map_err(|_| internal())?;
            Ok(Response::new(text.into()))
        })
    }
}

fn internal() -> Status {
    Status::internal("an answer is no JSON")
}

impl Service {
    async fn perform(&self, metadata: &MetadataMap, input: &[u8]) -> Result<Answer<Bytes>, Refusal> {
        let token = metadata.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|text| text.strip_prefix("Bearer "));
        let admission = self.registry.admit(&self.operation, token).await?;
        let conditions = read_conditions(metadata)?;
        self.registry.perform(&self.operation, admission, conditions, Members::parse(input)?).await
    }
}

/// Messages are JSON texts.
#[derive(Clone, Copy)]
pub(super) struct JsonText;

impl Codec for JsonText {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for JsonText {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, text: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(text);
        Ok(())
    }
}

impl Decoder for JsonText {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::strange::any_or_damaged;

    proptest! {
        #[test]
        fn any_metadata_is_read_or_refused(
            lines in prop::collection::vec((prop::sample::select(&[KEY, IF_MATCH, IF_NONE_MATCH, FRESH][..]), r#"[ -~]{0,20}|[*,W/" 0-9]{0,9}"#), 0..5),
        ) {
            let mut metadata = MetadataMap::new();
            for (name, value) in lines {
                metadata.append(name, value.parse().unwrap());
            }
            if let Err(refusal) = read_conditions(&metadata) {
                prop_assert_eq!(refusal.reason().status(), 400);
            }
        }

        #[test]
        fn any_reply_is_read_or_refused(bytes in any_or_damaged(good())) {
            if let Ok(reply) = serde_json::from_slice::<Reply>(&bytes) {
                let again = serde_json::to_vec(&reply).unwrap();
                let reply = serde_json::from_slice::<Reply>(&again).unwrap();
                prop_assert_eq!(serde_json::to_vec(&reply).unwrap(), again);
            }
        }
    }

    fn good() -> Vec<Vec<u8>> {
        let output = RawValue::from_string(r#"{"tasks": [], "next": null}"#.to_owned()).unwrap();
        let answered = Reply::Answered(Answer::from(output).at_version(3).with_id(&"t0"));
        let refused = Reply::Refused(Refusal::invalid_field("/name", "name is required"));
        [answered, refused].map(|reply| serde_json::to_vec(&reply).unwrap()).into()
    }
}
