//! All operations that this process offers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tidemark_api::{Declaration, Refusal, Role};
use tokio::time::timeout;

use super::{
    answer::Answer,
    authorise::{self, Admission},
    call::{Call, Conditions},
    idempotency::Fingerprints,
    input::Members,
    offered::Offered,
    refusals::OUTCOME_UNKNOWN,
};
use crate::identity::Verifier;

/// The longest that an operation may take: longer than the store, the broker and the database take to give up,
/// and shorter than the edge waits, which does not know whether something was done.
const DEADLINE: Duration = Duration::from_secs(25);

/// The operations by name.
pub struct Registry {
    offered: HashMap<&'static str, Arc<Offered>>,
    verifier: Arc<Verifier>,
    fingerprints: Fingerprints,
}

/// What is offered is not what is declared.
#[derive(Debug, thiserror::Error)]
pub enum RegistryFault {
    #[error("declared and not implemented: {0}")]
    Missing(String),
    #[error("implemented and not declared, or twice: {0}")]
    Unexpected(&'static str),
}

impl Registry {
    /// The registry of a process with these roles: each must offer all that is declared of it.
    pub fn new(
        roles: &[Role],
        offered: impl IntoIterator<Item = Offered>,
        verifier: Arc<Verifier>,
        fingerprints: Fingerprints,
    ) -> Result<Self, RegistryFault> {
        let declared = tidemark_api::operations().into_iter().map(|described| described.declaration);
        let mut missing: BTreeSet<&str> = declared
            .filter(|declared| roles.contains(&declared.role))
            .map(|declared| declared.name)
            .collect();
        let mut by_name = HashMap::new();
        for operation in offered {
            let name = operation.declaration().name;
            if !missing.remove(name) {
                return Err(RegistryFault::Unexpected(name));
            }
            by_name.insert(name, Arc::new(operation));
        }
        if !missing.is_empty() {
            return Err(RegistryFault::Missing(missing.into_iter().collect::<Vec<_>>().join(", ")));
        }
        Ok(Self { offered: by_name, verifier, fingerprints })
    }

    pub fn operations(&self) -> impl Iterator<Item = &Arc<Offered>> {
        self.offered.values()
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Offered>> {
        self.offered.get(name)
    }

    /// Lets a call in, before anything of it is read.
    pub async fn admit(&self, operation: &Offered, token: Option<&str>) -> Result<Admission, Refusal> {
        authorise::admit(operation.declaration(), &self.verifier, token).await
    }

    /// Does what was asked, within a bounded time.
    pub async fn perform(
        &self,
        operation: &Offered,
        admission: Admission,
        conditions: Conditions,
        members: Members,
    ) -> Result<Answer<Bytes>, Refusal> {
        let call = Call::new(admission, conditions, self.fingerprints.clone());
        if let Ok(outcome) = timeout(DEADLINE, operation.run(call, members)).await {
            return outcome;
        }
        let declaration = operation.declaration();
        tracing::warn!(operation = declaration.name, "an operation was given up at its deadline");
        Err(took_too_long(declaration))
    }
}

fn took_too_long(declaration: &Declaration) -> Refusal {
    if declaration.takes_key() {
        return Refusal::unavailable(format!("this took too long; {OUTCOME_UNKNOWN}"));
    }
    Refusal::unavailable("this took too long; it may be repeated")
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use tidemark_api::{Role, declaration::path_parameters};

    use super::took_too_long;

    #[test]
    fn only_what_takes_a_key_is_told_to_be_repeated_with_one() {
        for described in tidemark_api::operations() {
            let (declaration, told) = (described.declaration, took_too_long(&described.declaration));
            assert_eq!(
                told.detail().contains("Idempotency-Key"),
                declaration.takes_key(),
                "{}",
                declaration.name
            );
        }
    }

    /// The edge's table, each pattern with the role that answers, in the order in which NGINX looks: what is
    /// spelt out, the patterns as they stand, the default.
    fn edge() -> Vec<(Regex, String)> {
        let configuration = include_str!("../../../edge/nginx.conf");
        let table = configuration.split_once("map $uri $role {").unwrap().1.split_once('}').unwrap().0;
        let lines = table.lines().filter_map(|line| line.trim().strip_suffix(';')?.rsplit_once(' '));
        let mut table: Vec<(u8, Regex, String)> = lines
            .map(|(text, role)| {
                let (turn, pattern) = match (text.trim(), text.trim().strip_prefix('~')) {
                    ("default", _) => (2, String::new()),
                    (_, Some(pattern)) => (1, pattern.to_owned()),
                    (text, None) => (0, format!("^{}$", regex::escape(text))),
                };
                (turn, Regex::new(&pattern).unwrap(), role.to_owned())
            })
            .collect();
        table.sort_by_key(|(turn, ..)| *turn);
        table.into_iter().map(|(_, pattern, role)| (pattern, role)).collect()
    }

    #[test]
    fn the_edge_leads_every_path_of_every_operation_to_its_role() {
        let edge = edge();
        assert!(edge.len() > Role::ALL.len(), "the table was not found");
        for described in tidemark_api::operations() {
            let declaration = described.declaration;
            for path in declaration.paths {
                let real = path_parameters(path)
                    .fold((*path).to_owned(), |real, name| real.replace(&format!("{{{name}}}"), "g0"));
                let found = edge.iter().find(|(pattern, _)| pattern.is_match(&real)).unwrap();
                assert_eq!(found.1, declaration.role.as_str(), "{path}");
            }
        }
    }
}
