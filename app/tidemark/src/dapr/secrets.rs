//! Secrets through the sidecar's secret store component.

use std::time::Duration;

use dapr::dapr::proto::runtime::v1::GetSecretRequest;
use secrecy::SecretString;

use super::sidecar::{Client, Sidecar, SidecarError};

const DEADLINE: Duration = Duration::from_secs(5);

/// The secret store component.
#[derive(Clone)]
pub struct SecretStore {
    sidecar: Sidecar,
    component: String,
}

impl SecretStore {
    pub fn new(sidecar: Sidecar, component: String) -> Self {
        Self { sidecar, component }
    }

    /// The secret called `name`, or `None` if the store has none of that name.
    pub async fn secret(&self, name: &str) -> Result<Option<SecretString>, SidecarError> {
        let request = GetSecretRequest {
            store_name: self.component.clone(),
            key: name.to_owned(),
            ..GetSecretRequest::default()
        };
        let send = |mut client: Client, request| async move { client.get_secret(request).await };
        let mut answer = self.sidecar.call("get_secret", request, DEADLINE, send).await?;
        Ok(answer.data.remove(name).map(SecretString::from))
    }
}
