//! Collects what is wrong with an input, so that one answer names all of it.

use std::{fmt, str::FromStr};

use tidemark_api::{FieldFault, Refusal};

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Check {
    faults: Vec<FieldFault>,
}

impl Check {
    /// Notes the fault of a member, if it has one.
    pub fn field<T, E: fmt::Display>(&mut self, pointer: &str, value: Result<T, E>) -> Option<T> {
        value
            .map_err(|fault| {
                self.faults.push(FieldFault { pointer: pointer.to_owned(), message: fault.to_string() });
            })
            .ok()
    }

    /// Notes a fault if `holds` is false.
    pub fn that(&mut self, holds: bool, pointer: &str, message: &str) {
        if !holds {
            self.faults.push(FieldFault { pointer: pointer.to_owned(), message: message.to_owned() });
        }
    }

    /// Fails if anything is wrong.
    pub fn passed(self) -> Result<(), Refusal> {
        if self.faults.is_empty() { Ok(()) } else { Err(Refusal::invalid(self.faults)) }
    }

    /// The refusal that names all faults. There must be one.
    pub fn refusal(self) -> Refusal {
        Refusal::invalid(self.faults)
    }
}

/// An id, or that there is nothing of that id.
pub fn id<T: FromStr>(kind: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::not_found(kind, text))
}
