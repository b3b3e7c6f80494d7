//! Where things lie: data and logs of this stack, what was built or downloaded, and the project itself.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};

/// The folders, each by option, by variable, or by the desktop convention.
#[derive(Debug, Clone, Args)]
pub struct Folders {
    /// Data, logs and secrets of the stack [default: tidemark in the user's state folder]
    #[arg(long, env = "TIDEMARK_STATE_DIR", value_name = "DIRECTORY", global = true)]
    state_dir: Option<PathBuf>,

    /// Parts that were built or downloaded [default: tidemark in the user's cache folder]
    #[arg(long, env = "TIDEMARK_CACHE_DIR", value_name = "DIRECTORY", global = true)]
    cache_dir: Option<PathBuf>,

    #[arg(long, env = "XDG_STATE_HOME", hide = true, global = true)]
    xdg_state_home: Option<PathBuf>,

    #[arg(long, env = "XDG_CACHE_HOME", hide = true, global = true)]
    xdg_cache_home: Option<PathBuf>,
}

impl Folders {
    /// The folders that the environment asks for.
    pub fn from_environment() -> Self {
        #[derive(Parser)]
        struct OnlyFolders {
            #[command(flatten)]
            folders: Folders,
        }
        OnlyFolders::parse_from(["stack"]).folders
    }

    /// Data, logs and secrets of the stack that `make dev-up` runs.
    pub fn state(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| base(self.xdg_state_home.as_deref(), ".local/state"))
    }

    /// Parts that were built or downloaded, shared by all stacks of this user.
    pub fn cache(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| base(self.xdg_cache_home.as_deref(), ".cache"))
    }

    /// The state of the test stack `name`. All test stacks lie together, so that the next run with the same
    /// name finds and ends what a killed one has left.
    pub fn test_state(&self, name: &str) -> PathBuf {
        self.cache().join("tests").join(name)
    }
}

fn base(configured: Option<&Path>, conventional: &str) -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")).join(conventional);
    // The convention says that a relative path is to be ignored.
    configured.filter(|path| path.is_absolute()).map_or_else(home, Path::to_owned).join("tidemark")
}

/// The checkout that this crate was built from.
pub fn project() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}
