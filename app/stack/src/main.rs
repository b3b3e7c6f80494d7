//! The program `stack`: `make dev-up` and its companions.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidemark_stack::command_line::run()
}
