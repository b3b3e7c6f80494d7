//! Whether the program keeps what its `OpenAPI` document promises: schemathesis sends what the document allows and what
//! it forbids, follows its links from answer to request, and judges every answer.
//!
//! `make contract` brings schemathesis and calls this; it starts a stack of its own, registers somebody and leaves
//! the rest to `app/contract/contract.py`. No test: it takes minutes and more than Rust.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tidemark_acceptance::{Failure, Outcome, http, program};
use tidemark_api::accounts::{LogIn, Register};
use tidemark_api::values::Secret;
use tidemark_api::{Operation, Request};
use tidemark_stack::{Progress, Stack, StackOptions};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// What a run takes from its environment.
#[derive(Debug, Parser)]
struct Settings {
    /// The Python that has schemathesis.
    #[arg(long, env = "CONTRACT_PYTHON")]
    python: PathBuf,
    /// The cargo profile of the application.
    #[arg(long, env = "APPLICATION_PROFILE", default_value = "dev")]
    profile: String,
    /// A document to hold the program to instead of its own, to try one out.
    #[arg(long, env = "CONTRACT_DOCUMENT")]
    document: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Settings::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(101),
        Err(failure) => {
            eprintln!("contract: {failure}");
            ExitCode::from(101)
        }
    }
}

async fn run(settings: &Settings) -> Outcome<bool> {
    let program = program::build(&settings.profile).map_err(Failure::new)?;
    let mut options = StackOptions::for_test("contract");
    // Hashing at full strength would be most of what the run waits for.
    options.environment = [("ARGON2_MEMORY_KIBIBYTES", "1024"), ("ARGON2_PASSES", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    options.application = Some(program.clone());
    let logs = options.state.join("logs");
    let document = match &settings.document {
        Some(document) => document.clone(),
        None => printed_by(&program, options.state.with_extension("json")).await?,
    };

    let stack = Stack::start(options, Progress::to_standard_error()).await?;
    let base = stack.base_url();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let outcome = tokio::select! {
        outcome = examine(settings, &base, &document) => outcome,
        // The parts are in process groups of their own: Ctrl-C reaches only this process.
        _ = interrupt.recv() => Ok(false),
        _ = terminate.recv() => Ok(false),
    };
    stack.stop().await;
    if !matches!(outcome, Ok(true)) {
        eprintln!("the parts' logs are in {}", logs.display());
    }
    outcome
}

/// The program's own document, in a file.
async fn printed_by(program: &PathBuf, file: PathBuf) -> Outcome<PathBuf> {
    let printed = Command::new(program).arg("openapi").output().await?;
    if !printed.status.success() {
        let told = String::from_utf8_lossy(&printed.stderr);
        return Err(Failure::new(format!("the program prints no OpenAPI document: {told}")));
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&file, printed.stdout)?;
    Ok(file)
}

async fn examine(settings: &Settings, base: &str, document: &PathBuf) -> Outcome<bool> {
    let status = Command::new(&settings.python)
        .arg(tidemark_stack::project().join("app/contract/contract.py"))
        .arg(document)
        .arg(base)
        .env("CONTRACT_TOKEN", token(base).await?)
        .kill_on_drop(true)
        .status()
        .await?;
    Ok(status.success())
}

/// The token of somebody who registered for this.
async fn token(base: &str) -> Outcome<String> {
    let (username, password) = ("Contract".to_owned(), Secret::from("correct horse 1"));
    let register = Register { username: username.clone(), password: password.clone(), ..Register::default() };
    post(base, &register).await?;
    Ok(post(base, &LogIn { username, password }).await?.token.0)
}

async fn post<O: Operation>(base: &str, input: &O) -> Outcome<O::Output> {
    let Request { target, body, .. } = Request::of(input);
    let answer = http::client().post(format!("{base}{target}")).json(&body).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}
