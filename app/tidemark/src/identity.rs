//! Who is calling: the token on a request, checked in every role without asking anybody.

pub mod keys;
pub mod token;

use tidemark_domain::{Actor, Workspace};

pub use keys::{KeySource, KeysUnavailable, PublicKeys};
pub use token::{TokenError, Verifier};

/// The person that a request comes from, and the workspace it may reach.
#[derive(Debug, Clone)]
pub struct Caller {
    pub actor: Actor,
    pub workspace: Workspace,
}
