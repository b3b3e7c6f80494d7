//! A stack that somebody else runs, such as the containers of the compose file.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Deserialize;

use super::{Addresses, Stack, StackOptions};
use crate::error::StackError;
use crate::install::{PartCache, install};
use crate::ports::PortBook;
use crate::progress::Progress;
use crate::secrets::Secrets;
use crate::state_folder::StateFolder;

/// Where a running system is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attachment {
    /// The public interface.
    pub public: SocketAddr,
    /// The state store.
    pub redis: SocketAddr,
    /// One of the brokers.
    pub kafka: SocketAddr,
    /// The history database.
    pub postgres: SocketAddr,
    /// Where the processes of each role listen, past the edge.
    pub roles: BTreeMap<String, Vec<SocketAddr>>,
    /// The file behind the component `secretstore`.
    pub secret_store: PathBuf,
}

impl Attachment {
    /// Reads a description, in JSON.
    pub fn read(path: &Path) -> Result<Self, StackError> {
        let text = fs::read(path).map_err(StackError::file("read", path))?;
        serde_json::from_slice(&text).map_err(|source| StackError::Damaged { path: path.to_owned(), source })
    }
}

impl Stack {
    /// A stack of no parts of its own, which knows where those of a running system are. Sidecars can be started
    /// beside it; stopping it stops only them.
    pub async fn attach(
        options: StackOptions,
        attachment: &Attachment,
        progress: &Progress,
    ) -> Result<Self, StackError> {
        let options = StackOptions { application: None, infrastructure: [].into(), ..options };
        let cache = PartCache::new(&options.cache);
        let programs = install(&options.installables(), &cache, progress).await?;
        let state = StateFolder::open(&options.state, progress).await?;
        if options.fresh {
            state.clear()?;
        }
        let secrets = Secrets::of_store(&attachment.secret_store)?;
        secrets.write_secret_store(state.file("secret-store.json"))?;
        let ports = PortBook::open(options.ports, state.file("ports.json"));
        let addresses = Addresses {
            public: Some(attachment.public),
            redis: Some(attachment.redis),
            kafka: Some(attachment.kafka),
            kafka_controller: None,
            postgres: Some(attachment.postgres),
        };
        Ok(Self {
            options,
            programs,
            secrets,
            ports: Mutex::new(ports),
            parts: Mutex::default(),
            addresses,
            state,
        })
    }
}
