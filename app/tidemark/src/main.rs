//! Tidemark: a collaborative task board in which every change leaves a mark.
//!
//! One program, five roles. `ARCHITECTURE.md` has the map.

mod accounts;
mod clock;
mod configuration;
mod damage;
mod dapr;
mod demonstration;
mod foundation;
mod gateway;
mod health;
mod history;
mod http;
mod identity;
mod notifications;
mod operations;
mod repair;
mod roles;
mod seed;
mod serve;
#[cfg(test)]
#[path = "../../protocol/src/damage.rs"]
mod strange;
mod tasks;
mod telemetry;

use std::{io::IsTerminal, net::SocketAddr, process::ExitCode};

use clap::{Parser, Subcommand};
use configuration::{MigrateConfiguration, RepairConfiguration, ServeConfiguration};
use roles::RoleName;
use tidemark_api::{Role, accounts::Register, values::Secret};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A collaborative task board in which every change leaves a mark.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run roles until SIGTERM; all five unless some are named
    Serve {
        /// The roles to run
        #[arg(value_enum)]
        roles: Vec<RoleName>,
        #[command(flatten)]
        configuration: Box<ServeConfiguration>,
    },
    /// Check the configuration of this environment without starting anything
    Config {
        /// Print every variable with its default and meaning instead, as Markdown
        #[arg(long)]
        describe: bool,
        #[command(flatten)]
        configuration: Box<ServeConfiguration>,
    },
    /// Bring the history's tables up to date and end; `serve` does the same when it starts
    Migrate {
        #[command(flatten)]
        configuration: Box<MigrateConfiguration>,
    },
    /// List what is damaged in the state store, and mend it on request
    ///
    /// Looks at all pages of users, groups, tasks, comments and the trash, through the sidecar, and prints a line for
    /// each fault. It may run beside the replicas that serve, and any number of times. Without --mend nothing is
    /// changed, and the exit code is 1 if something is damaged.
    ///
    /// What mending does:
    ///
    /// An entry that breaks a rule keeps every member that does not. The others become what a new one has: a name
    /// is then "Damaged task" or "Damaged group", a text is empty, a status is New, a task stands where it was
    /// created. A comment without a text, and a user without a name, are removed.
    ///
    /// A page that cannot be decoded keeps every part that can: entries, idempotency keys, events.
    ///
    /// What an entry or a part was is printed in base64 before anything is changed, but for users.
    ///
    /// A summary that cannot be decoded is removed; counts are right again once their pages have been read.
    ///
    /// A mended entry has a new version. No event is published: the history does not tell of it.
    Repair {
        #[command(flatten)]
        configuration: Box<RepairConfiguration>,
    },
    /// Print the OpenAPI document of all operations
    Openapi,
    /// Create the demo users and the sample board through a running API; what exists is left alone
    Seed {
        /// The API's base address
        #[arg(long, default_value = "http://127.0.0.1:3001")]
        url: String,
    },
    /// Manage users through the sidecar of the accounts role, with the settings of `serve`
    Users {
        #[command(subcommand)]
        command: UsersCommand,
    },
    /// Ask a running process whether it is ready; exit 0 if so (for container health checks)
    Health {
        /// The process's HTTP address
        #[arg(long, env = "HTTP_ADDRESS", default_value = "127.0.0.1:3001")]
        address: SocketAddr,
    },
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Create a user, also where registration is closed; the password is asked for, or read from standard input
    Create {
        /// The user's name
        username: String,
        /// How others see the user
        #[arg(long)]
        display_name: Option<String>,
        #[command(flatten)]
        configuration: Box<ServeConfiguration>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve { roles, configuration } => {
            let roles = chosen(&roles);
            serve::run(*configuration, roles).await
        }
        Command::Config { describe, configuration } => check_configuration(describe, &configuration),
        Command::Migrate { configuration } => migrate(&configuration).await,
        Command::Repair { configuration } => repair::run(&configuration).await,
        Command::Openapi => {
            println!("{:#}", operations::openapi::document());
            Ok(())
        }
        Command::Seed { url } => seed::run(&url).await,
        Command::Users { command: UsersCommand::Create { username, display_name, configuration } } => {
            create_user(username, display_name, *configuration).await
        }
        Command::Health { address } => ask_health(address).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("tidemark: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// All roles, unless some are named.
fn chosen(named: &[RoleName]) -> Vec<Role> {
    if named.is_empty() { Role::ALL.to_vec() } else { named.iter().map(|name| name.0).collect() }
}

fn check_configuration(describe: bool, configuration: &ServeConfiguration) -> anyhow::Result<()> {
    if describe {
        print!("{}", configuration::describe());
        return Ok(());
    }
    configuration.check()?;
    println!("the configuration has no fault");
    Ok(())
}

async fn migrate(configuration: &MigrateConfiguration) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&configuration.telemetry, "tidemark-migrate", "tidemark-migrate")?;
    let outcome = history::migrate(configuration).await;
    telemetry.stop();
    outcome
}

async fn create_user(
    username: String,
    display_name: Option<String>,
    mut configuration: ServeConfiguration,
) -> anyhow::Result<()> {
    configuration.check()?;
    let password = Secret(ask_password()?);
    // A name of its own: this process stands beside the replica whose settings it shares.
    configuration.instance = format!("users-create-{}", Uuid::new_v4().simple());
    let telemetry = telemetry::start(&configuration.telemetry, "tidemark-users", &configuration.instance)?;
    let foundation = serve::lay_foundation(configuration, vec![Role::Accounts])?;
    let created = accounts::create_user(&foundation, Register { username, password, display_name }).await;
    telemetry.stop();
    let user = created?;
    println!("created user {} with the id {}", user.username, user.id);
    Ok(())
}

/// Not an argument, which everybody on the machine could read.
fn ask_password() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("Password: ")?);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn ask_health(address: SocketAddr) -> anyhow::Result<()> {
    let response = reqwest::get(format!("http://{address}/health/ready")).await?;
    anyhow::ensure!(response.status().is_success(), "{}", response.text().await?.trim());
    Ok(())
}
