//! Running a new build of the application.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::build::build;
use super::control;
use super::request::Request;
use super::up::restart;
use crate::folders::Folders;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub(super) struct Restart {
    /// One part instead of the application, such as redis
    #[arg(long, env = "PART")]
    part: Option<String>,

    /// Do not build first
    #[arg(long)]
    no_build: bool,
}

impl Restart {
    /// The container that is asked for; none means those of the application.
    pub(super) fn services(&self) -> Vec<String> {
        self.part.iter().filter(|part| !part.is_empty()).cloned().collect()
    }

    pub(super) async fn run(self, folders: &Folders, progress: &Progress) -> anyhow::Result<ExitCode> {
        let state = folders.state();
        let part = self.part.filter(|part| !part.is_empty());
        let running = control::ask_status(&state).await?.and_then(|_| Request::read(&state));
        let Some(request) = running else { bail!("nothing is running; start it with `make dev-up`") };
        if let Some(application) = &request.application
            && part.is_none()
            && !self.no_build
        {
            let built = build(&request.project, progress).await?;
            if built != *application {
                bail!(
                    "the stack runs {}, not the program just built; run it again with `make dev-down dev-up`",
                    application.display()
                );
            }
        }
        restart(&state, part, progress).await?;
        println!("Restarted; {} answers again.", request.url());
        Ok(ExitCode::SUCCESS)
    }
}
