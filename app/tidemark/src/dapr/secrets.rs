//! Secrets through the sidecar's secret store component.

use std::time::Duration;

use dapr::dapr::proto::runtime::v1::GetSecretRequest;
use secrecy::SecretString;

use super::sidecar::{Sidecar, SidecarError, measured, outgoing};

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
        let mut client = self.sidecar.client();
        let mut answer = measured("get_secret", client.get_secret(outgoing(request, DEADLINE))).await?;
        Ok(answer.data.remove(name).map(SecretString::from))
    }
}
