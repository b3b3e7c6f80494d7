//! `PostgreSQL`, the home of the history.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use super::stop_order;
use crate::error::StackError;
use crate::probe::Probe;
use crate::process::{Account, Launch};
use crate::state_folder::StateFolder;
use crate::supervision::{Hook, MemberSpecification, RestartPolicy, UnitSpecification};

pub(crate) const NAME: &str = "postgres";
pub(crate) const USUAL_PORT: u16 = 15_432;

/// The database of the history and the role that owns it.
pub(crate) const DATABASE: &str = "todo_history";
pub(crate) const ROLE: &str = "tidemark";

/// Put into a finished data folder last, so that an interrupted preparation is done anew.
const FINISHED: &str = "tidemark-prepared";

pub(crate) fn unit(
    binaries: &Path,
    state: &StateFolder,
    address: SocketAddr,
    password: &str,
) -> Result<UnitSpecification, StackError> {
    let account = unprivileged_account()?;
    let data = state.data(NAME, account)?;
    let mut launch = Launch::new(binaries.join("postgres"), &data)
        .argument("-D")
        .argument(&data)
        .account(account)
        .variable("LC_ALL", "C.UTF-8");
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={}", address.port()),
        "unix_socket_directories=".to_owned(),
        "password_encryption=scram-sha-256".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "log_min_duration_statement=1000".to_owned(),
        // Parameters are what users wrote: it has no place in a log.
        "log_parameter_max_length=0".to_owned(),
    ];
    if has_timescale(binaries) {
        settings.push("shared_preload_libraries=timescaledb".to_owned());
    }
    for setting in settings {
        launch = launch.argument("-c").argument(setting);
    }
    let prepare = Preparation {
        binaries: binaries.to_owned(),
        data: data.clone(),
        account,
        password: password.to_owned(),
    };
    Ok(UnitSpecification {
        members: vec![MemberSpecification {
            name: NAME.to_owned(),
            launch,
            probe: Probe::Postgres { address, database: DATABASE.to_owned(), user: ROLE.to_owned() },
            address: Some(address),
            // "Fast": ends sessions, writes a checkpoint, needs no recovery at the next start.
            stop_signal: Signal::SIGINT,
            stop_grace: Duration::from_secs(20),
            start_deadline: Duration::from_mins(1),
            log: state.log(NAME),
        }],
        prepare: Some(Hook::new(move || prepare.clone().run())),
        complete: None,
        dependencies: Vec::new(),
        stop_order: stop_order::INFRASTRUCTURE,
        policy: RestartPolicy::default(),
        auto_restart: true,
        run_folder: state.run(),
    })
}

/// The server refuses to run as root. `None` when we are not root.
fn unprivileged_account() -> Result<Option<Account>, StackError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    match User::from_name("postgres") {
        Ok(Some(user)) => Ok(Some(Account { user: user.uid.as_raw(), group: user.gid.as_raw() })),
        _ => Err(StackError::Missing {
            what: "the account postgres".to_owned(),
            remedy:
                "PostgreSQL refuses to run as root. Create the account (useradd --system postgres) or run \
                     as another user"
                    .to_owned(),
        }),
    }
}

/// Whether this server's installation has `TimescaleDB`. Its library must be loaded at the server's start.
fn has_timescale(binaries: &Path) -> bool {
    let libraries =
        binaries.parent().map(|folder| folder.join("lib")).and_then(|folder| fs::read_dir(folder).ok());
    libraries.into_iter().flatten().any(|item| item.is_ok_and(|item| item.file_name() == "timescaledb.so"))
}

/// Making the data folder, the role and the database.
#[derive(Debug, Clone)]
struct Preparation {
    binaries: PathBuf,
    data: PathBuf,
    account: Option<Account>,
    password: String,
}

impl Preparation {
    async fn run(self) -> Result<(), StackError> {
        let finished = self.data.join(FINISHED);
        if finished.exists() {
            return Ok(());
        }
        for item in fs::read_dir(&self.data).map_err(StackError::file("list", &self.data))? {
            let path = item.map_err(StackError::file("list", &self.data))?.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(StackError::file("remove", &path))?;
        }
        // Nobody logs in but the one role made below, so the administrator needs no password.
        self.tool("initdb")
            .arguments(["--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres", "-D"])
            .argument(&self.data)
            .run()
            .await?;
        let access = self.data.join("pg_hba.conf");
        fs::write(&access, format!("host {DATABASE} {ROLE} 127.0.0.1/32 scram-sha-256\n"))
            .map_err(StackError::file("write", &access))?;
        // In single-user mode there is no server to wait for and no password to pass around.
        let statements = format!(
            "CREATE ROLE {ROLE} LOGIN PASSWORD '{}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n",
            self.password
        );
        self.tool("postgres")
            .arguments([
                "--single",
                "-c",
                "exit_on_error=on",
                "-c",
                "password_encryption=scram-sha-256",
                "-D",
            ])
            .argument(&self.data)
            .argument("postgres")
            .run_with_input(&statements)
            .await?;
        fs::write(&finished, "").map_err(StackError::file("write", &finished))
    }

    fn tool(&self, name: &str) -> Launch {
        Launch::new(self.binaries.join(name), &self.data).account(self.account).variable("LC_ALL", "C.UTF-8")
    }
}
