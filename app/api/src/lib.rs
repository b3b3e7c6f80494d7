//! Tidemark's operations, each declared once: what it is called, who may call it, what it takes and gives, how
//! it repeats, what it may be refused for. Every interface is made from these declarations: HTTP and its
//! OpenAPI document, calls between roles, and whatever comes after them. Nothing here sends or receives.
//!
//! To add an operation: declare its input in the module of its subject with [`operation!`], add it to
//! [`operations`], and implement it in its role. A process does not start with an operation that is declared
//! and not implemented, or the other way round.

pub mod accounts;
pub mod comments;
pub mod declaration;
pub mod groups;
pub mod history;
pub mod patch;
pub mod refusal;
pub mod request;
pub mod tasks;
pub mod values;

pub use declaration::{Access, Declaration, Described, Method, Operation, Repeats, Role, Shape, Success};
pub use patch::Patch;
pub use refusal::{FieldFault, Reason, Refusal};
pub use request::Request;

/// Every operation, in the order of the documentation.
pub fn operations() -> Vec<Described> {
    vec![
        Described::of::<accounts::Register>(),
        Described::of::<accounts::LogIn>(),
        Described::of::<accounts::ListUsers>(),
        Described::of::<accounts::ShowProfile>(),
        Described::of::<accounts::ListSigningKeys>(),
        Described::of::<groups::ListGroups>(),
        Described::of::<groups::CreateGroup>(),
        Described::of::<groups::ShowGroup>(),
        Described::of::<groups::UpdateGroup>(),
        Described::of::<groups::DeleteGroup>(),
        Described::of::<groups::RestoreGroup>(),
        Described::of::<tasks::ListTasks>(),
        Described::of::<tasks::CreateTask>(),
        Described::of::<tasks::ShowTask>(),
        Described::of::<tasks::UpdateTask>(),
        Described::of::<tasks::ChangeStatus>(),
        Described::of::<tasks::MoveTask>(),
        Described::of::<tasks::DeleteTask>(),
        Described::of::<tasks::RestoreTask>(),
        Described::of::<tasks::BulkTasks>(),
        Described::of::<comments::ListComments>(),
        Described::of::<comments::AddComment>(),
        Described::of::<history::SummariseLogs>(),
        Described::of::<history::ShowGroupLog>(),
        Described::of::<history::SummariseTaskLogs>(),
        Described::of::<history::ShowTaskLog>(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_and_every_way_in_belongs_to_one_operation() {
        let (mut names, mut ways) = (BTreeSet::new(), BTreeSet::new());
        for Described { declaration, .. } in operations() {
            assert!(names.insert(declaration.name), "{} is declared twice", declaration.name);
            for path in declaration.paths {
                assert!(ways.insert((declaration.method.as_str(), *path)), "{path} is served twice");
            }
        }
    }

    #[test]
    fn what_is_called_a_password_is_declared_as_a_secret_and_nothing_else_is() {
        for Described { declaration, input, .. } in operations() {
            let passwords = input.properties().filter(|(_, property)| property["format"] == "password");
            let passwords: BTreeSet<&str> = passwords.map(|(name, _)| name).collect();
            let secrets: BTreeSet<&str> = declaration.secrets.iter().copied().collect();
            assert_eq!(passwords, secrets, "{}", declaration.name);
        }
    }

    #[test]
    fn no_password_and_no_token_shows_in_debug_output() {
        let password = || values::Secret::from("open sesame");
        let session = accounts::Session {
            id: String::new(),
            username: String::new(),
            token: password(),
            expires_at: values::Moment(String::new()),
        };
        let shown = format!(
            "{:?} {:?} {:?}",
            accounts::Register { password: password(), ..accounts::Register::default() },
            accounts::LogIn { username: String::new(), password: password() },
            accounts::LoggedIn { success: true, data: session, token: password() },
        );
        assert!(!shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn every_name_in_a_path_is_a_member_of_the_input() {
        for Described { declaration, input, .. } in operations() {
            for path in declaration.paths {
                for name in declaration::path_parameters(path) {
                    assert!(input.property(name).is_some(), "{}: {path} names {name}", declaration.name);
                }
            }
        }
    }

    #[test]
    fn what_an_input_requires_is_a_member_of_it() {
        for Described { declaration, input, .. } in operations() {
            let required = input.as_value()["required"].as_array().into_iter().flatten();
            for name in required.filter_map(serde_json::Value::as_str) {
                assert!(input.property(name).is_some(), "{} requires {name}", declaration.name);
            }
        }
    }

    #[test]
    fn every_operation_and_every_member_of_an_input_is_explained() {
        for Described { declaration, input, .. } in operations() {
            assert!(declaration.summary.ends_with('.'), "{} has no sentence", declaration.name);
            for (name, property) in input.properties() {
                assert!(property["description"].is_string(), "{}: {name} is not explained", declaration.name);
            }
        }
    }

    #[test]
    fn what_is_safe_is_read_and_what_is_read_is_safe() {
        for Described { declaration, .. } in operations() {
            let is_read = declaration.method == Method::Get;
            assert_eq!(is_read, declaration.repeats == Repeats::Safe, "{}", declaration.name);
        }
    }
}
