//! What the supervisor was asked to run, kept in the state folder so that later commands know it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::StackError;
use crate::folders::Folders;
use crate::ports::Ports;
use crate::stack::{Infrastructure, StackOptions, Topology};
use crate::state_folder::write_private;

const FILE: &str = "request.json";

/// A stack for development.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) topology: Topology,
    pub(super) public_port: u16,
    pub(super) project: PathBuf,
    /// The application's program; `None` for the infrastructure alone.
    pub(super) application: Option<PathBuf>,
    pub(super) environment: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn write(&self, state: &Path) -> Result<(), StackError> {
        let path = state.join(FILE);
        fs::create_dir_all(state).map_err(StackError::file("create", state))?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| StackError::Damaged { path: path.clone(), source })?;
        write_private(&path, &text)
    }

    /// The last request, if there was one.
    pub(super) fn read(state: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(state.join(FILE)).ok()?).ok()
    }

    pub(super) fn options(self, folders: &Folders) -> StackOptions {
        StackOptions {
            topology: self.topology,
            ports: Ports::Fixed { public: self.public_port },
            state: folders.state(),
            cache: folders.cache(),
            project: self.project,
            application: self.application,
            environment: self.environment,
            infrastructure: Infrastructure::ALL.into(),
            fresh: false,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://localhost:{}", self.public_port)
    }
}
