//! Redis, the store behind Dapr's state.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::stop_order;
use crate::error::StackError;
use crate::probe::Probe;
use crate::process::Launch;
use crate::state_folder::{StateFolder, write_private};
use crate::supervision::{MemberSpecification, RestartPolicy, UnitSpecification};

pub(crate) const NAME: &str = "redis";
pub(crate) const USUAL_PORT: u16 = 16_379;

pub(crate) fn unit(
    program: &Path,
    state: &StateFolder,
    address: SocketAddr,
    password: &str,
) -> Result<UnitSpecification, StackError> {
    let data = state.data(NAME, None)?;
    let configuration = state.configuration(NAME)?.join("redis.conf");
    // The append-only file alone keeps what was acknowledged over a kill of the process; a power loss may
    // take the last second. Snapshots would only add a second copy.
    let text = format!(
        "bind 127.0.0.1\n\
         port {port}\n\
         protected-mode yes\n\
         requirepass {password}\n\
         dir \"{data}\"\n\
         daemonize no\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n\
         maxmemory-policy noeviction\n",
        port = address.port(),
        data = data.display(),
    );
    write_private(&configuration, &text)?;
    Ok(UnitSpecification {
        members: vec![MemberSpecification {
            name: NAME.to_owned(),
            launch: Launch::new(program, data).argument(configuration),
            probe: Probe::Redis { address, password: password.to_owned() },
            address: Some(address),
            stop_signal: Signal::SIGTERM,
            stop_grace: Duration::from_secs(10),
            start_deadline: Duration::from_mins(1),
            log: state.log(NAME),
        }],
        prepare: None,
        complete: None,
        dependencies: Vec::new(),
        stop_order: stop_order::INFRASTRUCTURE,
        policy: RestartPolicy::default(),
        auto_restart: true,
        run_folder: state.run(),
    })
}
