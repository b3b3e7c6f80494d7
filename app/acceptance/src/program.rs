//! The programs under test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::Failure;

/// One line of cargo's messages; only finished programs matter.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds the application from this checkout, so that what is tested is what is written, and tells where it is.
pub fn build(profile: &str) -> Result<PathBuf, String> {
    build_target(&["--package", "tidemark", "--bin", "tidemark", "--profile", profile])
}

/// Builds an example likewise. As part of the whole workspace, whose tests have built its dependencies like that.
pub fn build_example(name: &str) -> Result<PathBuf, String> {
    build_target(&["--workspace", "--example", name])
}

fn build_target(target: &[&str]) -> Result<PathBuf, String> {
    let mut cargo = Command::new(env!("CARGO"))
        .arg("build")
        .args(target)
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(tidemark_stack::project())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo did not start: {error}"))?;
    let mut program = None;
    for line in cargo.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line.map_err(|error| format!("cargo's messages broke off: {error}"))?;
        let built = serde_json::from_str::<Message>(&line).ok().and_then(|message| message.executable);
        program = built.or(program);
    }
    let status = cargo.wait().map_err(|error| Failure::from(error).to_string())?;
    match program {
        Some(program) if status.success() => Ok(program),
        _ => Err(format!("cargo build {} failed", target.join(" "))),
    }
}
