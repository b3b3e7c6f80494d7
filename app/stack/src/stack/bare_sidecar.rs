//! Sidecars that a test starts beside the stack, with its own application or none.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Stack;
use crate::error::StackError;
use crate::part::Part;
use crate::parts::sidecar::{Addresses, Readiness, Sidecar as SidecarPart};
use crate::parts::stop_order;
use crate::supervision::{RestartPolicy, UnitSpecification};

/// Keeps the usual ports apart from those of the application's sidecars.
const BARE_SIDECAR_OFFSET: u16 = 50;

/// A sidecar to start beside the stack.
#[derive(Debug, Clone)]
pub struct SidecarOptions {
    /// The name under which the application is known to Dapr. The project's components are scoped: only the
    /// app-ids of the application see them, unless they are [`ProjectResources::Unscoped`].
    pub app_id: String,
    /// The part's name; the app-id when there is none. Two sidecars need two names.
    pub name: Option<String>,
    /// Where the test's application listens for gRPC from the sidecar. The sidecar waits for it, but can be
    /// used for outgoing calls at once.
    pub app_port: Option<u16>,
    /// Whether the sidecar asks the application for its health, and keeps events from it while it is unwell.
    pub app_health_check: bool,
    /// Folders with components, subscriptions and resiliency policies, beside the project's own.
    pub resources: Vec<PathBuf>,
    /// What to load of the project's own `components/` and `dapr/`.
    pub project_resources: ProjectResources,
    /// Further resources, by file name: its text, in YAML.
    pub inline_resources: BTreeMap<String, String>,
    /// Further variables, such as those that a component's `envRef` names.
    pub environment: BTreeMap<String, String>,
    /// Further arguments of `daprd`.
    pub arguments: Vec<String>,
    /// Whether the supervisor starts it again when it ends.
    pub auto_restart: bool,
}

impl SidecarOptions {
    /// A sidecar with the project's own components and no application.
    pub fn new(app_id: &str) -> Self {
        Self {
            app_id: app_id.to_owned(),
            name: None,
            app_port: None,
            app_health_check: true,
            resources: Vec::new(),
            project_resources: ProjectResources::Scoped,
            inline_resources: BTreeMap::new(),
            environment: BTreeMap::new(),
            arguments: Vec::new(),
            auto_restart: false,
        }
    }
}

/// What a sidecar loads of the project's own resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectResources {
    /// Components and policies as they are.
    Scoped,
    /// The same, with the components offered to any app-id.
    Unscoped,
    /// The components without the policies.
    ComponentsOnly,
    /// None of it.
    Nothing,
}

/// A sidecar that a test has started.
#[derive(Debug, Clone)]
pub struct Sidecar {
    part: Part,
    addresses: Addresses,
    api_token: String,
}

impl Sidecar {
    /// For a gRPC channel, as in `http://127.0.0.1:3600`.
    pub fn grpc_endpoint(&self) -> String {
        format!("http://{}", self.addresses.grpc)
    }

    /// For HTTP, as in `http://127.0.0.1:3500`.
    pub fn http_endpoint(&self) -> String {
        format!("http://{}", self.addresses.http)
    }

    /// Prometheus metrics.
    pub fn metrics_endpoint(&self) -> String {
        format!("http://{}", self.addresses.metrics)
    }

    /// What callers must send as `dapr-api-token`.
    pub fn api_token(&self) -> &str {
        &self.api_token
    }

    /// The process: to kill, pause, restart and stop it, and to read its log.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Waits until the sidecar's components work, so that calls through it succeed.
    pub async fn wait_usable(&self, within: Duration) -> Result<(), StackError> {
        self.part.wait_healthy(within).await
    }
}

impl Stack {
    /// Starts a sidecar beside the stack and waits until its components work; its application may come later.
    pub async fn start_sidecar(&self, options: SidecarOptions) -> Result<Sidecar, StackError> {
        let name = options.name.unwrap_or_else(|| format!("{}-bare-sidecar", options.app_id));
        let addresses = self.take_sidecar_addresses(&name, BARE_SIDECAR_OFFSET)?;
        let folder = self.state.configuration(&name)?;
        let mut resources = options.resources;
        let components = self.options.project.join("components");
        let policies = self.options.project.join("dapr");
        match options.project_resources {
            ProjectResources::Scoped => resources.extend([components, policies]),
            ProjectResources::Unscoped => resources.extend([unscoped(&components, &folder)?, policies]),
            ProjectResources::ComponentsOnly => resources.push(components),
            ProjectResources::Nothing => {}
        }
        if !options.inline_resources.is_empty() {
            let inline = fresh_folder(&folder.join("inline"))?;
            for (file, text) in &options.inline_resources {
                let path = inline.join(file);
                fs::write(&path, text).map_err(StackError::file("write", &path))?;
            }
            resources.push(inline);
        }
        let mut environment = self.component_environment();
        environment.insert("POD_NAME".to_owned(), name.clone());
        environment.extend(options.environment);
        let sidecar = SidecarPart {
            program: &self.programs.daprd,
            name,
            app_id: options.app_id,
            addresses,
            app_channel: options.app_port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            app_health_check: options.app_health_check,
            readiness: Readiness::Outbound,
            resources,
            configurations: self.configurations(),
            environment,
            extra_arguments: options.arguments,
        };
        let parts = self.supervise(UnitSpecification {
            members: vec![sidecar.member(&self.state)?],
            prepare: None,
            complete: None,
            dependencies: self.infrastructure(),
            stop_order: stop_order::BARE_SIDECAR,
            policy: RestartPolicy::default(),
            auto_restart: options.auto_restart,
            run_folder: self.state.run(),
        });
        let part = parts.into_iter().next().expect("a unit has a handle for each of its members");
        let started = part
            .wait_for(Duration::from_mins(1), |status| {
                // Without auto-restart a sidecar that cannot start is stopped, not failed.
                !matches!(status.phase, crate::Phase::Waiting | crate::Phase::Starting)
            })
            .await?;
        if started.phase != crate::Phase::Healthy {
            return Err(StackError::NotHealthy {
                part: started.name,
                reason: started.trouble.unwrap_or_default(),
                log: part.log_tail(20),
            });
        }
        Ok(Sidecar { part, addresses, api_token: self.secrets.dapr_api_token.clone() })
    }
}

/// Copies components without their scopes.
fn unscoped(components: &Path, folder: &Path) -> Result<PathBuf, StackError> {
    let copy = fresh_folder(&folder.join("components"))?;
    for item in fs::read_dir(components).map_err(StackError::file("list", components))? {
        let path = item.map_err(StackError::file("list", components))?.path();
        let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|end| end == "yaml")) else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(StackError::file("read", &path))?;
        let target = copy.join(name);
        fs::write(&target, without_scopes(&text)).map_err(StackError::file("write", &target))?;
    }
    Ok(copy)
}

/// Leaves out the list under the document's own key `scopes`.
fn without_scopes(text: &str) -> String {
    let mut in_scopes = false;
    let mut kept = String::new();
    for line in text.lines() {
        let is_top_level = !line.starts_with([' ', '-', '#']) && !line.is_empty();
        if is_top_level {
            in_scopes = line.starts_with("scopes:");
        }
        if !in_scopes {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn fresh_folder(path: &Path) -> Result<PathBuf, StackError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(StackError::file("remove", path))?;
    }
    fs::create_dir_all(path).map_err(StackError::file("create", path))?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_left_out_and_nothing_else() {
        let text = "kind: Component\nscopes:\n  - tidemark\n- other\nspec:\n  scopes: kept\n";
        assert_eq!(without_scopes(text), "kind: Component\nspec:\n  scopes: kept\n");
    }
}
