//! The only code that knows Dapr.
//!
//! Everything that leaves this process for a store, a broker, a database or another role passes here and
//! goes to the sidecar beside it, by gRPC. The crate's generated client is used and not its high-level one:
//! that one hides the error codes, sets no deadlines, and lacks bulk calls.

mod app_channel;
pub mod binding;
pub mod invocation;
pub mod publisher;
mod save_queue;
pub mod secrets;
pub mod sidecar;
pub mod state;

#[cfg(test)]
mod tests;

pub use app_channel::{AddService, AppChannel, ConsumeError, Delivery, EventConsumer, Subscription};
pub use binding::{DatabaseBinding, DatabaseError};
pub use invocation::Invocation;
pub use publisher::{Message, TopicPublisher};
pub use secrets::SecretStore;
pub use sidecar::{Sidecar, SidecarError};
pub use state::StateComponent;
