//! `daprd`, built from Dapr's own module.

use std::path::PathBuf;

use serde::Deserialize;

use super::cache::with_progress;
use super::{DAPR_VERSION, PartCache, toolchain};
use crate::error::StackError;
use crate::process::Launch;
use crate::progress::Progress;

/// The set of components that the official image is built with. The smaller set lacks name resolution by
/// `SQLite`, and the default of that set, mDNS, would announce this stack's sidecars to the whole network and
/// find those of other stacks.
const COMPONENTS: &str = "allcomponents";

/// What `go mod download -json` answers.
#[derive(Deserialize)]
struct Module {
    #[serde(rename = "Dir")]
    folder: PathBuf,
}

pub(super) async fn install(cache: &PartCache, progress: &Progress) -> Result<PathBuf, StackError> {
    let folder = cache
        .provide("daprd", DAPR_VERSION, progress, |folder| async move {
            let go = toolchain::go(cache, progress).await?;
            let what = format!("building daprd {DAPR_VERSION} with Go (once; about 6 minutes on two cores)");
            with_progress(&what, progress, build(&go, folder)).await
        })
        .await?;
    Ok(folder.join("daprd"))
}

async fn build(go: &Launch, folder: PathBuf) -> Result<(), StackError> {
    let module = format!("github.com/dapr/dapr@v{DAPR_VERSION}");
    let answer = go.clone().arguments(["mod", "download", "-json", &module]).run().await?;
    let module: Module = serde_json::from_str(&answer)
        .map_err(|source| StackError::Damaged { path: folder.clone(), source })?;
    // In the module's own folder its replacements and checksums apply, which `go install` would refuse.
    let mut build = go
        .clone()
        .variable("CGO_ENABLED", "0")
        .arguments(["build", "-trimpath", "-tags", COMPONENTS])
        .argument("-ldflags")
        .argument(format!(
            "-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={DAPR_VERSION} \
             -X github.com/dapr/kit/logger.DaprVersion={DAPR_VERSION}"
        ))
        .argument("-o")
        .argument(folder.join("daprd"))
        .argument("./cmd/daprd");
    build.directory = module.folder;
    build.run().await.map(drop)
}
