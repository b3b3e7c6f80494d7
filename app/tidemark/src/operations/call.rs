//! What is known of a call beside its input.

use std::sync::Arc;

use tidemark_api::{Operation, Reason, Refusal};
use tidemark_domain::CommandId;

use super::{
    authorise::Admission,
    conditional::Seen,
    idempotency::{Fingerprints, RequestIdentity},
};
use crate::identity::Caller;

/// Where a call comes from, as far as it is told: for the security log.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub address: String,
    pub user_agent: String,
}

/// What a caller demands of a call, over whatever interface.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// The idempotency key.
    pub key: Option<String>,
    /// The versions of the entity that the caller has seen.
    pub seen: Seen,
    /// An answer that was kept will not do.
    pub fresh: bool,
    pub origin: Origin,
}

/// One call of an operation, let in.
#[derive(Clone)]
pub struct Call {
    admission: Admission,
    conditions: Conditions,
    fingerprints: Fingerprints,
}

impl Call {
    pub fn new(admission: Admission, conditions: Conditions, fingerprints: Fingerprints) -> Self {
        Self { admission, conditions, fingerprints }
    }

    /// Of this program itself, for what is open to anyone.
    pub fn nobodys() -> Self {
        Self::new(Admission::nobodys(), Conditions::default(), Fingerprints::default())
    }

    /// Who is calling: somebody, in every operation that is for those who are signed in.
    pub fn caller(&self) -> Result<&Arc<Caller>, Refusal> {
        self.admission.caller().ok_or_else(|| Refusal::new(Reason::TokenMissing, "Access token required"))
    }

    pub fn seen(&self) -> &Seen {
        &self.conditions.seen
    }

    pub fn origin(&self) -> &Origin {
        &self.conditions.origin
    }

    pub fn wants_fresh(&self) -> bool {
        self.conditions.fresh
    }

    /// The idempotency key as the caller gave it.
    pub fn key(&self) -> Option<&str> {
        self.conditions.key.as_deref()
    }

    /// The same as events carry it.
    pub fn command_id(&self) -> Option<CommandId> {
        self.key().and_then(|key| CommandId::parse(key).ok())
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.admission.token()
    }

    pub(super) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The identity of this call, if it carries a key: `subject` is what the operation is about.
    pub fn identity<O: Operation>(&self, subject: &str, input: &O) -> Option<RequestIdentity> {
        let caller = self.admission.caller().map(|caller| caller.actor.id);
        self.key().map(|key| self.fingerprints.identity(caller, subject, key, input))
    }
}
