//! Who must show which token, and what the sidecar is willing to do at all.

use std::sync::Arc;

use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use dapr::dapr::proto::runtime::v1::{GetSecretRequest, GetStateRequest, TryLockRequest};
use tidemark_acceptance::suite::Trial;
use tidemark_acceptance::{Outcome, trials};
use tonic::{Code, Status};

use super::contract::Contract;
use super::delivery::{SOON, publish};
use super::sidecar::{DEADLINE, call, channel};

pub fn trials() -> Vec<Trial<Contract>> {
    trials![
        a_sidecar_refuses_a_caller_without_its_token,
        a_sidecar_shows_the_application_its_token_with_events_and_not_with_its_own_questions,
        a_sidecar_refuses_what_the_configuration_does_not_allow,
        a_sidecar_gives_out_only_the_secret_that_the_application_needs,
    ]
}

fn code<T>(result: Result<T, Status>) -> Option<Code> {
    result.err().map(|status| status.code())
}

async fn a_sidecar_refuses_a_caller_without_its_token(contract: Arc<Contract>) -> Outcome {
    let mut stranger = DaprClient::new(channel(contract.tidemark().await?)?);
    let request =
        GetStateRequest { store_name: "statestore".to_owned(), key: "any".to_owned(), ..Default::default() };
    assert_eq!(code(stranger.get_state(call(request, DEADLINE)).await), Some(Code::Unauthenticated));
    Ok(())
}

/// Why the application asks for the token method by method.
async fn a_sidecar_shows_the_application_its_token_with_events_and_not_with_its_own_questions(
    contract: Arc<Contract>,
) -> Outcome {
    let application = &contract.consumer().await?.application;
    publish(&contract, "task.created", [("token", b"token".to_vec())]).await?;
    let batches = application.batches("pubsub-history-1", SOON, |batches| !batches.is_empty()).await?;
    let expected = Some(contract.stack.secrets().app_api_token.clone());
    assert!(batches.iter().all(|batch| batch.token == expected), "events carry the token");
    for question in ["ListTopicSubscriptions", "HealthCheck"] {
        let asked = application.call(question, SOON).await?;
        assert!(!asked.metadata.contains_key("dapr-api-token"), "{question} carries no token");
    }
    Ok(())
}

async fn a_sidecar_refuses_what_the_configuration_does_not_allow(contract: Arc<Contract>) -> Outcome {
    let mut client = contract.client().await?;
    let request = TryLockRequest { store_name: "statestore".to_owned(), ..TryLockRequest::default() };
    let refused = client.try_lock_alpha1(call(request, DEADLINE)).await;
    assert_eq!(code(refused), Some(Code::Unimplemented));
    Ok(())
}

async fn a_sidecar_gives_out_only_the_secret_that_the_application_needs(contract: Arc<Contract>) -> Outcome {
    let client = contract.client().await?;
    let secret = async |name: &str| {
        let request = GetSecretRequest {
            store_name: "secretstore".to_owned(),
            key: name.to_owned(),
            ..GetSecretRequest::default()
        };
        client.clone().get_secret(call(request, DEADLINE)).await
    };
    let key = secret("jwt-signing-key").await?.into_inner();
    assert_eq!(key.data.get("jwt-signing-key"), Some(&contract.stack.secrets().jwt_signing_key));
    assert_eq!(code(secret("redis-password").await), Some(Code::PermissionDenied));
    Ok(())
}
