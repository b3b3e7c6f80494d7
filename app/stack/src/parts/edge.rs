//! NGINX in front of separate roles, with the same `app/edge/nginx.conf` as everywhere else; only the small
//! files that it includes are made here.

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use super::stop_order;
use crate::error::StackError;
use crate::probe::Probe;
use crate::process::Launch;
use crate::state_folder::StateFolder;
use crate::supervision::{MemberSpecification, RestartPolicy, UnitSpecification};

pub(crate) const NAME: &str = "edge";

/// Where distributions put NGINX's modules.
const BROTLI_MODULE: &str = "/usr/lib/nginx/modules/ngx_http_brotli_filter_module.so";

/// On one's own machine every caller has the same address.
const NO_LIMITS: &str = "geo $is_limited { default 0; }\n";

/// Where the processes of one role listen.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) role: &'static str,
    pub(crate) servers: Vec<SocketAddr>,
}

pub(crate) fn unit(
    program: &Path,
    project: &Path,
    state: &StateFolder,
    address: SocketAddr,
    upstreams: &[Upstream],
) -> Result<UnitSpecification, StackError> {
    let folder = state.configuration(NAME)?;
    let configuration = folder.join("nginx.conf");
    let mut shared = vec!["nginx.conf", "tls.conf"];
    // As root the workers would otherwise become another user, who cannot enter the state folder.
    let mut process = if Uid::effective().is_root() { "user root;\n".to_owned() } else { String::new() };
    if Path::new(BROTLI_MODULE).exists() {
        shared.push("brotli.conf");
        process.extend(["load_module ", BROTLI_MODULE, ";\n"]);
    }
    for name in shared {
        let original = project.join("app").join("edge").join(name);
        fs::copy(&original, folder.join(name)).map_err(StackError::file("copy", &original))?;
    }
    for (name, text) in [
        ("process.conf", process),
        ("listen.conf", format!("listen {address};\n")),
        ("upstreams.conf", upstream_blocks(upstreams)),
        ("limits.conf", NO_LIMITS.to_owned()),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(StackError::file("write", &path))?;
    }
    Ok(UnitSpecification {
        members: vec![MemberSpecification {
            name: NAME.to_owned(),
            launch: Launch::new(program, &folder)
                .argument("-p")
                .argument(&folder)
                .argument("-c")
                .argument(&configuration)
                .arguments(["-e", "stderr", "-g", "daemon off;"]),
            probe: Probe::Http { url: format!("http://{address}/edge/health") },
            address: Some(address),
            // Ends after the requests under way.
            stop_signal: Signal::SIGQUIT,
            stop_grace: Duration::from_secs(10),
            start_deadline: Duration::from_secs(20),
            log: state.log(NAME),
        }],
        prepare: None,
        complete: None,
        dependencies: Vec::new(),
        stop_order: stop_order::EDGE,
        policy: RestartPolicy::default(),
        auto_restart: true,
        run_folder: state.run(),
    })
}

fn upstream_blocks(upstreams: &[Upstream]) -> String {
    let mut text = String::new();
    for Upstream { role, servers } in upstreams {
        let balance = if servers.len() > 1 { "    least_conn;\n" } else { "" };
        let servers: String = servers.iter().fold(String::new(), |mut lines, server| {
            // One failure is enough: a replica that refuses a connection is not there, and is tried again soon.
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "    server {server} max_fails=1 fail_timeout=2s;");
            lines
        });
        // The zone lets the workers share what they know of the servers.
        let _ = write!(
            text,
            "upstream {role} {{\n    zone {role} 64k;\n{balance}{servers}    keepalive 32;\n}}\n"
        );
    }
    text
}
