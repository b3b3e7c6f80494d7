//! The reference of all variables, made from the declarations themselves: docs/configuration.md.

use std::fmt::Write;

use clap::{Arg, Args, Command};

use super::ServeConfiguration;

const INTRODUCTION: &str = "\
# Configuration

Every setting of `tidemark serve`, by variable or by flag; a flag is stronger. Printed by
`tidemark config --describe`, from the declarations that the program itself reads; a test compares the two.
`tidemark config` without a flag checks the settings of its own environment, and starts nothing.

Durations are seconds, `15` or `15s`, or milliseconds, `200ms`. A *secret* is never shown, in no log and no help.
";

/// The arguments outside of all sections.
const FIRST_SECTION: &str = "Process";

/// The whole page, as Markdown.
pub fn describe() -> String {
    let command = ServeConfiguration::augment_args(Command::new("serve"));
    let mut page = INTRODUCTION.to_owned();
    let mut section = "";
    for argument in command.get_arguments() {
        let Some(variable) = argument.get_env() else { continue };
        let heading = argument.get_help_heading().unwrap_or(FIRST_SECTION);
        if heading != section {
            section = heading;
            page.push_str(&head(section));
        }
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | `--{}` | {} | {} |",
            variable.to_string_lossy(),
            argument.get_long().unwrap_or_default(),
            default(argument),
            meaning(argument)
        );
    }
    page
}

fn head(section: &str) -> String {
    format!("\n## {section}\n\n| variable | flag | default | meaning |\n|---|---|---|---|\n")
}

fn default(argument: &Arg) -> String {
    match argument.get_default_values().first() {
        Some(value) => format!("`{}`", value.to_string_lossy()),
        None => "none".to_owned(),
    }
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let choices: Vec<String> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !choices.is_empty() {
        let _ = write!(text, ": {}", choices.join(", "));
    }
    if argument.is_hide_env_values_set() {
        text.push_str(". *Secret*");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_says_what_the_program_reads() {
        let documented = include_str!("../../../../docs/configuration.md");
        assert!(
            documented == describe(),
            "run: cargo run --package tidemark -- config --describe > docs/configuration.md"
        );
    }

    #[test]
    fn every_setting_has_a_variable_and_a_meaning() {
        let command = ServeConfiguration::augment_args(Command::new("serve"));
        for argument in command.get_arguments() {
            assert!(argument.get_env().is_some(), "{} has no variable", argument.get_id());
            assert!(argument.get_help().is_some(), "{} has no meaning", argument.get_id());
        }
    }

    #[test]
    fn tokens_are_marked_as_secret() {
        let page = describe();
        for name in ["DAPR_API_TOKEN", "APP_API_TOKEN"] {
            let line = page.lines().find(|line| line.contains(name)).unwrap();
            assert!(line.contains("*Secret*"), "{line}");
        }
    }
}
