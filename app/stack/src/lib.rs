//! Tidemark's local stack: the real Redis, Kafka, `PostgreSQL`, Dapr sidecars and NGINX as supervised child
//! processes, without Docker.
//!
//! The program `stack` (behind `make dev-up`) keeps one such stack running for development. Tests start
//! their own, isolated on random ports:
//!
//! ```no_run
//! # async fn example() -> Result<(), tidemark_stack::StackError> {
//! use tidemark_stack::{Progress, SidecarOptions, Stack, StackOptions};
//!
//! let stack = Stack::start(StackOptions::for_test("example"), Progress::silent()).await?;
//! let sidecar = stack.start_sidecar(SidecarOptions::new("tidemark")).await?;
//! println!("the sidecar's gRPC interface is at {}", sidecar.grpc_endpoint());
//!
//! let redis = stack.part("redis")?;
//! redis.kill().await?;
//! redis.wait_healthy(std::time::Duration::from_secs(10)).await?;
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! This crate knows nothing of the application but its command line, its variables and its health paths.

pub mod command_line;
mod error;
mod folders;
mod install;
mod log;
mod part;
mod parts;
mod ports;
mod probe;
mod process;
mod progress;
mod secrets;
mod stack;
mod state_folder;
mod supervision;

pub use error::StackError;
pub use folders::{Folders, project};
pub use install::{DAPR_VERSION, Installable, KAFKA_VERSION};
pub use part::{Part, PartStatus, Phase};
pub use ports::Ports;
pub use progress::Progress;
pub use secrets::Secrets;
pub use stack::{
    Attachment, Infrastructure, ProjectResources, Sidecar, SidecarOptions, Stack, StackOptions, Topology,
};
