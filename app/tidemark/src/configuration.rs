//! Configuration: environment variables and flags, read once at start. `tidemark serve --help` is the
//! reference. One struct a concern; secrets cannot be printed.

mod reference;

use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum};
pub use reference::describe;
use secrecy::{ExposeSecret, SecretString};
use tidemark_protocol::ledger;

/// A duration given in seconds or, with `ms`, in milliseconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis as fn(u64) -> Duration),
        None => (text.strip_suffix('s').unwrap_or(text), Duration::from_secs as fn(u64) -> Duration),
    };
    match number.parse() {
        Ok(0) | Err(_) => {
            Err("give seconds such as 15 or 15s, or milliseconds such as 200ms; not zero".to_owned())
        }
        Ok(number) => Ok(unit(number)),
    }
}

/// Where the program runs: decides what is open by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    Development,
    Staging,
    Production,
}

/// Everything that `tidemark serve` can be told.
#[derive(Debug, Args)]
pub struct ServeConfiguration {
    /// The name of this replica: stable over restarts, unique among replicas
    #[arg(long, env, default_value = "tidemark-0", value_parser = instance_name)]
    pub instance: String,
    /// Where this runs
    #[arg(long, env = "APP_ENV", value_enum, default_value = "development")]
    pub environment: Environment,
    /// The longest time to finish what is under way after SIGTERM [seconds]
    #[arg(long, env, default_value = "25", value_parser = duration)]
    pub drain_deadline: Duration,

    #[command(flatten)]
    pub listen: ListenConfiguration,
    #[command(flatten)]
    pub sidecar: SidecarConfiguration,
    #[command(flatten)]
    pub state: StateConfiguration,
    #[command(flatten)]
    pub events: EventConfiguration,
    #[command(flatten)]
    pub history: HistoryConfiguration,
    #[command(flatten)]
    pub accounts: AccountsConfiguration,
    #[command(flatten)]
    pub telemetry: TelemetryConfiguration,
}

/// Everything that `tidemark migrate` can be told.
#[derive(Debug, Args)]
pub struct MigrateConfiguration {
    /// How long to try before giving up [seconds]
    #[arg(long, default_value = "300", value_parser = duration)]
    pub within: Duration,

    #[command(flatten)]
    pub sidecar: SidecarConfiguration,
    #[command(flatten)]
    pub history: HistoryConfiguration,
    #[command(flatten)]
    pub telemetry: TelemetryConfiguration,
}

/// Everything that `tidemark repair` can be told.
#[derive(Debug, Args)]
pub struct RepairConfiguration {
    /// Mend what is damaged; without, it is only listed
    #[arg(long)]
    pub mend: bool,
    /// The workspaces to look through
    #[arg(long = "workspace", default_value = "default")]
    pub workspaces: Vec<String>,

    #[command(flatten)]
    pub sidecar: SidecarConfiguration,
    #[command(flatten)]
    pub state: StateConfiguration,
}

/// The name becomes part of storage keys.
fn instance_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=100).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 100 letters, digits, '-', '_' and '.'".to_owned())
    }
}

/// Which addresses to listen on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Listening")]
pub struct ListenConfiguration {
    /// Public HTTP
    #[arg(long, env, default_value = "127.0.0.1:3001")]
    pub http_address: SocketAddr,
    /// gRPC for the sidecar alone
    #[arg(long, env, default_value = "127.0.0.1:50001")]
    pub app_channel_address: SocketAddr,
}

/// How to reach the sidecar, and which app-id each role answers to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sidecar")]
pub struct SidecarConfiguration {
    /// The sidecar's gRPC API
    #[arg(long = "dapr-grpc-endpoint", env = "DAPR_GRPC_ENDPOINT", default_value = "http://127.0.0.1:50002")]
    pub endpoint: String,
    /// The token that the sidecar asks of this program
    #[arg(long = "dapr-api-token", env = "DAPR_API_TOKEN", hide_env_values = true)]
    pub api_token: Option<SecretString>,
    /// The token that this program asks of the sidecar; fingerprints of repeatable requests are keyed with it
    #[arg(long, env = "APP_API_TOKEN", hide_env_values = true)]
    pub app_token: Option<SecretString>,
    /// The app-id that the accounts role answers to
    #[arg(long, env, default_value = "tidemark")]
    pub accounts_app_id: String,
    /// The app-id that the tasks role answers to
    #[arg(long, env, default_value = "tidemark")]
    pub tasks_app_id: String,
    /// The app-id that the history role answers to
    #[arg(long, env, default_value = "tidemark")]
    pub history_app_id: String,
    /// The app-id that the notifications role answers to
    #[arg(long, env, default_value = "tidemark")]
    pub notifications_app_id: String,
    /// The secret store component
    #[arg(long, env = "SECRET_STORE", default_value = "secretstore")]
    pub secret_store: String,
}

/// The state store and its limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "State")]
pub struct StateConfiguration {
    /// The state store component
    #[arg(long, env, default_value = "statestore")]
    pub state_store: String,
    /// The longest wait for one call to the state store
    #[arg(long, env, default_value = "3", value_parser = duration)]
    pub state_deadline: Duration,
    /// The most groups in a workspace, and comments on the tasks that lie in one page
    #[arg(long, env, default_value_t = 100_000)]
    pub entries_per_collection: usize,
    /// How long what was deleted can be had back [seconds]
    #[arg(long, env, default_value = "2592000", value_parser = duration)]
    pub trash_retention: Duration,
    /// How long a replica may be silent before others publish what it left
    #[arg(long, env, default_value = "10", value_parser = duration)]
    pub instance_lease: Duration,
}

/// How events are published.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Events")]
pub struct EventConfiguration {
    /// The pub/sub component that events are published to
    #[arg(long, env = "PUBSUB", default_value = "pubsub")]
    pub pubsub: String,
    /// How events are written
    #[arg(long, env, value_enum, default_value = "avro")]
    pub event_format: EventFormat,
    /// Whether events are published; without, they are not even kept
    #[arg(long, env, default_value_t = true, action = clap::ArgAction::Set)]
    pub kafka_enabled: bool,
}

/// The two ways to write an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventFormat {
    Avro,
    Json,
}

impl From<EventFormat> for ledger::Format {
    fn from(format: EventFormat) -> Self {
        match format {
            EventFormat::Avro => Self::Avro,
            EventFormat::Json => Self::Json,
        }
    }
}

/// The history role's consumer and database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "History")]
pub struct HistoryConfiguration {
    /// The pub/sub components that the history role consumes from, copies with one consumer group
    #[arg(long, env, value_delimiter = ',', default_value = "pubsub-history-0")]
    pub history_pubsubs: Vec<String>,
    /// The database binding component
    #[arg(long, env, default_value = "historydb")]
    pub history_binding: String,
    /// The longest wait for one statement
    #[arg(long, env, default_value = "10", value_parser = duration)]
    pub history_deadline: Duration,
    /// How long the summary of all groups' logs may be served from memory
    #[arg(long, env, default_value = "300", value_parser = duration)]
    pub log_summary_cache: Duration,
}

/// Whether users may make themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Registration {
    /// Anybody who reaches the API may.
    Open,
    /// Nobody: they are made by `tidemark users create`.
    Closed,
}

/// Users, tokens and passwords.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Accounts")]
pub struct AccountsConfiguration {
    /// Whether anybody may register; without a value `open`, but `closed` in production
    #[arg(long, env, value_enum)]
    pub registration: Option<Registration>,
    /// How long a token is valid
    #[arg(long, env, default_value = "86400", value_parser = duration)]
    pub token_lifetime: Duration,
    /// Argon2id memory for one password hash [KiB]
    #[arg(long, env, default_value_t = 19_456)]
    pub argon2_memory_kibibytes: u32,
    /// Argon2id passes over that memory
    #[arg(long, env, default_value_t = 2)]
    pub argon2_passes: u32,
    /// How many passwords may be hashed at the same time
    #[arg(long, env, default_value_t = 2)]
    pub password_hashers: usize,
}

/// Logs and traces.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryConfiguration {
    /// How log lines are written
    #[arg(long, env, value_enum, default_value = "human")]
    pub log_format: LogFormat,
    /// Which log lines are written, as a `tracing` filter such as `info,tidemark_pages=debug`
    #[arg(long, env, default_value = "info")]
    pub log_level: String,
    /// Where spans are sent by OTLP over gRPC; without, none are
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// The share of requests without a sampling decision of their own that are traced [0 to 1]
    #[arg(long, env, default_value_t = 0.1)]
    pub trace_ratio: f64,
}

impl TelemetryConfiguration {
    /// The share of requests without a sampling decision of their own that are traced: none, if spans go nowhere.
    pub fn traced_share(&self) -> f64 {
        if self.otlp_endpoint.is_some() { self.trace_ratio } else { 0.0 }
    }
}

/// The two ways to write a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Human,
    Json,
}

/// Faults that single values don't show.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has faults:\n{}", .0.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigurationFaults(Vec<String>);

impl ServeConfiguration {
    /// Whether anybody may register.
    pub fn registration(&self) -> Registration {
        self.accounts.registration.unwrap_or(match self.environment {
            Environment::Production => Registration::Closed,
            Environment::Development | Environment::Staging => Registration::Open,
        })
    }

    /// Names every fault at once, so that one start shows all there is to mend.
    pub fn check(&self) -> Result<(), ConfigurationFaults> {
        let mut faults = Vec::new();
        if self.environment == Environment::Production {
            let is_missing = |token: &Option<SecretString>| {
                token.as_ref().is_none_or(|token| token.expose_secret().is_empty())
            };
            if is_missing(&self.sidecar.api_token) {
                faults.push("DAPR_API_TOKEN is required in production".to_owned());
            }
            if is_missing(&self.sidecar.app_token) {
                faults.push("APP_API_TOKEN is required in production".to_owned());
            }
        }
        if !self.sidecar.endpoint.starts_with("http://") && !self.sidecar.endpoint.starts_with("unix:") {
            faults.push("DAPR_GRPC_ENDPOINT must start with http:// or unix:".to_owned());
        }
        if self.history.history_pubsubs.iter().any(String::is_empty) {
            faults.push("HISTORY_PUBSUBS must not contain an empty name".to_owned());
        }
        if !(0.0..=1.0).contains(&self.telemetry.trace_ratio) {
            faults.push("TRACE_RATIO must be between 0 and 1".to_owned());
        }
        if argon2::Params::new(self.accounts.argon2_memory_kibibytes, self.accounts.argon2_passes, 1, None)
            .is_err()
        {
            faults.push("ARGON2_MEMORY_KIBIBYTES and ARGON2_PASSES are not valid together".to_owned());
        }
        if self.accounts.password_hashers == 0 {
            faults.push("PASSWORD_HASHERS must be at least 1".to_owned());
        }
        if self.state.entries_per_collection == 0 {
            faults.push("ENTRIES_PER_COLLECTION must be at least 1".to_owned());
        }
        if faults.is_empty() { Ok(()) } else { Err(ConfigurationFaults(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeConfiguration,
    }

    fn parse(arguments: &[&str]) -> ServeConfiguration {
        Program::try_parse_from(["tidemark"].iter().chain(arguments)).unwrap().serve
    }

    #[test]
    fn the_defaults_have_no_fault() {
        assert!(parse(&[]).check().is_ok());
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let wrong =
            ["--environment=production", "--trace-ratio=7", "--password-hashers=0", "--dapr-grpc-endpoint=x"];
        let faults = parse(&wrong).check().unwrap_err().to_string();
        for name in
            ["DAPR_API_TOKEN", "APP_API_TOKEN", "TRACE_RATIO", "PASSWORD_HASHERS", "DAPR_GRPC_ENDPOINT"]
        {
            assert!(faults.contains(name), "{name} is missing in: {faults}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let configuration = parse(&["--dapr-api-token=open-sesame"]);
        assert!(!format!("{configuration:?}").contains("open-sesame"));
    }

    #[test]
    fn an_empty_token_is_none() {
        let tokens = ["--environment=production", "--dapr-api-token=", "--app-token="];
        let faults = parse(&tokens).check().unwrap_err().to_string();
        assert!(faults.contains("DAPR_API_TOKEN") && faults.contains("APP_API_TOKEN"), "{faults}");
    }

    #[test]
    fn registration_is_closed_in_production_unless_it_is_opened() {
        let registration = |arguments: &[&str]| parse(arguments).registration();
        assert_eq!(registration(&[]), Registration::Open);
        assert_eq!(registration(&["--registration=closed"]), Registration::Closed);
        assert_eq!(registration(&["--environment=production"]), Registration::Closed);
        assert_eq!(registration(&["--environment=production", "--registration=open"]), Registration::Open);
    }

    #[test]
    fn without_an_endpoint_no_request_is_traced() {
        let endpoint = "--otlp-endpoint=http://127.0.0.1:4317";
        let share = |arguments: &[&str]| parse(arguments).telemetry.traced_share().to_string();
        assert_eq!(share(&["--trace-ratio=0.5", endpoint]), "0.5");
        assert_eq!(share(&["--trace-ratio=0.5"]), "0");
    }

    #[test]
    fn durations_are_seconds_or_milliseconds() {
        assert_eq!(duration("15"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert!(duration("0").is_err() && duration("soon").is_err());
    }

    proptest! {
        #[test]
        fn any_setting_is_read_or_refused(text in r"\PC{0,20}|[+-]?[0-9]{0,21}(ms|s)?") {
            if let Ok(duration) = duration(&text) {
                prop_assert!(!duration.is_zero());
            }
            if let Ok(name) = instance_name(&text) {
                prop_assert!(name == text && !name.contains(['/', '|']));
            }
        }
    }
}
