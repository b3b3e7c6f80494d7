//! The five roles: the table of what can run alone.

use clap::{ValueEnum, builder::PossibleValue};
use tidemark_api::Role;

use crate::{
    accounts,
    foundation::{Foundation, Offer},
    gateway, history, notifications, tasks,
};

/// Starts a role.
pub fn start(role: Role, foundation: &Foundation) -> anyhow::Result<Offer> {
    match role {
        Role::Accounts => accounts::start(foundation),
        Role::Tasks => Ok(tasks::start(foundation)),
        Role::History => Ok(history::start(foundation)),
        Role::Notifications => Ok(notifications::start()),
        Role::Gateway => Ok(gateway::start()),
    }
}

/// A role as the command line names it.
#[derive(Debug, Clone, Copy)]
pub struct RoleName(pub Role);

impl ValueEnum for RoleName {
    fn value_variants<'a>() -> &'a [Self] {
        const {
            &[
                Self(Role::Accounts),
                Self(Role::Tasks),
                Self(Role::History),
                Self(Role::Notifications),
                Self(Role::Gateway),
            ]
        }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_every_role() {
        let named: Vec<Role> = RoleName::value_variants().iter().map(|name| name.0).collect();
        assert_eq!(named, Role::ALL);
    }
}
