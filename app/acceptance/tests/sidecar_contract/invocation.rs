//! Service invocation: gRPC proxied from sidecar to sidecar.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Failure, Outcome, eventually, trials};
use tidemark_protocol::accounts::accounts_client::AccountsClient;
use tidemark_protocol::accounts::{ListSigningKeysRequest, ListSigningKeysResponse};
use tidemark_stack::Sidecar;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

use super::contract::Contract;
use super::sidecar::{DEADLINE, call, trusted_channel};

pub const CALLER: &str = "contract-caller";
pub const CALLEE: &str = "contract-callee";

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        a_call_reaches_the_application_of_another_sidecar_with_its_metadata,
        a_call_to_the_own_app_id_reaches_the_own_application,
        a_call_to_an_unknown_app_id_fails_within_its_deadline,
    ]
}

async fn invoke(
    sidecar: &Sidecar,
    app_id: &str,
    deadline: Duration,
) -> Outcome<Result<ListSigningKeysResponse, Status>> {
    let mut request: Request<ListSigningKeysRequest> = call(ListSigningKeysRequest {}, deadline);
    let metadata = request.metadata_mut();
    metadata.insert("dapr-app-id", app_id.parse()?);
    metadata.insert("traceparent", format!("00-{TRACE_ID}-b7ad6b7169203331-01").parse()?);
    metadata.insert("authorization", "Bearer of a message".parse()?);
    let answer = AccountsClient::new(trusted_channel(sidecar)?).list_signing_keys(request).await;
    Ok(answer.map(tonic::Response::into_inner))
}

/// Invokes until it works: a sidecar that has just started is not known to the others at once.
async fn invoke_known(sidecar: &Sidecar, app_id: &str) -> Outcome<ListSigningKeysResponse> {
    eventually("the call is answered", DEADLINE, async || {
        Ok::<_, Failure>(invoke(sidecar, app_id, DEADLINE).await??)
    })
    .await
}

fn text<'metadata>(metadata: &'metadata MetadataMap, name: &str) -> &'metadata str {
    metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn assert_metadata_arrived(metadata: &MetadataMap, app_token: &str) {
    assert_eq!(text(metadata, "authorization"), "Bearer of a message");
    let traceparent = text(metadata, "traceparent");
    assert!(traceparent.starts_with(&format!("00-{TRACE_ID}-")), "{traceparent}");
    assert_eq!(text(metadata, "dapr-api-token"), app_token, "the application's own token, not the sidecar's");
}

async fn a_call_reaches_the_application_of_another_sidecar_with_its_metadata(
    contract: Arc<Contract>,
) -> Outcome {
    let (caller, other) = contract.caller_and_callee().await?;
    let answer = invoke_known(&caller.sidecar, CALLEE).await?;
    let [key] = &answer.keys[..] else { panic!("{answer:?}") };
    assert_eq!((key.key_id.as_str(), &key.public_key[..]), (CALLEE, &b"\xFF\x00"[..]));
    let received = other.application.call("ListSigningKeys", DEADLINE).await?;
    assert_metadata_arrived(&received.metadata, &contract.stack.secrets().app_api_token);
    Ok(())
}

async fn a_call_to_the_own_app_id_reaches_the_own_application(contract: Arc<Contract>) -> Outcome {
    let (caller, _) = contract.caller_and_callee().await?;
    let answer = invoke_known(&caller.sidecar, CALLER).await?;
    assert_eq!(answer.keys.iter().map(|key| key.key_id.as_str()).collect::<Vec<_>>(), [CALLER]);
    let received = caller.application.call("ListSigningKeys", DEADLINE).await?;
    assert_metadata_arrived(&received.metadata, &contract.stack.secrets().app_api_token);
    Ok(())
}

async fn a_call_to_an_unknown_app_id_fails_within_its_deadline(contract: Arc<Contract>) -> Outcome {
    let (caller, _) = contract.caller_and_callee().await?;
    let started = Instant::now();
    let answer = invoke(&caller.sidecar, "nobody", Duration::from_secs(3)).await?;
    assert_eq!(answer.as_ref().err().map(Status::code), Some(Code::Unknown), "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    Ok(())
}
