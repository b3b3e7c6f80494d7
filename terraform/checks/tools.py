"""The tools of the checks, installed under ~/.cache/tidemark/terraform and named by their versions.

Each is made in a folder of its own and moved into place when it is whole: an interrupted installation
leaves nothing that looks finished. Deleting the cache costs only the time to fill it again.
"""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable

import schemas as schema_reader

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("TIDEMARK_CACHE_DIR", Path.home() / ".cache" / "tidemark")) / "terraform"

# Terraform itself is used where it is installed; otherwise OpenTofu is built, which runs the same files.
TERRAFORM_MINIMUM = (1, 11)
OPENTOFU = ("github.com/opentofu/opentofu", "v1.12.6", "./cmd/tofu")
GO_TOOLS = {
    "terraform-docs": ("github.com/terraform-docs/terraform-docs", "v0.20.0", "."),
    "tflint": ("github.com/terraform-linters/tflint", "v0.64.0", "."),
}
CHECKOV = "3.3.30"
DAPR = ("github.com/dapr/dapr", "v1.18.1")

# Version of the bindings; each carries the schema of the provider version behind it.
BINDINGS = {
    "aws": "21.22.1",  # hashicorp/aws 6.25.0
    "azurerm": "14.23.1",  # hashicorp/azurerm 4.55.0
    "google": "16.12.1",  # hashicorp/google 6.50.0
    "helm": "12.1.2",  # hashicorp/helm 3.1.1
    "random": "12.0.1",  # hashicorp/random 3.7.2
}
# Written with the plugin framework throughout, where an argument is either a block or none.
FRAMEWORK_PROVIDERS = {"helm", "random"}


def run(*command: str, directory: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        ["nice", "-n", "10", *command],
        cwd=directory,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def installed(name: str, make: Callable[[Path], None]) -> Path:
    """Returns the folder of this name in the cache, made by `make` if it is not there yet."""
    folder = CACHE / name
    if folder.exists():
        return folder
    print(f"  installing {name}", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError:
        # Another run finished the same folder first; any other failure is a real one.
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def module_folder(module: str, version: str) -> Path:
    """The source of a Go module, as the module cache holds it."""
    with tempfile.TemporaryDirectory() as empty:
        answer = run("go", "mod", "download", "-json", f"{module}@{version}", directory=Path(empty))
    return Path(json.loads(answer[answer.index("{") :])["Dir"])


def go_tool(name: str, module: str, version: str, package: str) -> Path:
    # Built in the module's own folder, so that its own go.mod, with its replacements, is what counts.
    def make(folder: Path) -> None:
        run(
            "go", "build", "-trimpath", "-p", "2", "-o", str(folder / name), package,
            directory=module_folder(module, version), CGO_ENABLED="0", GOFLAGS="-mod=readonly",
        )  # fmt: skip

    return installed(f"{name}-{version}", make) / name


@functools.cache
def terraform() -> str:
    found = shutil.which("terraform")
    if found:
        said = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"v(\d+)\.(\d+)", said)
        if version and tuple(map(int, version.groups())) >= TERRAFORM_MINIMUM:
            return found
    return str(go_tool("tofu", *OPENTOFU))


@functools.cache
def tflint() -> str:
    return str(go_tool("tflint", *GO_TOOLS["tflint"]))


@functools.cache
def terraform_docs() -> str:
    return str(go_tool("terraform-docs", *GO_TOOLS["terraform-docs"]))


@functools.cache
def checkov() -> str:
    """The folder of packages with checkov, which brings PyYAML too."""

    # A virtual environment holds its own path, so packages go into a plain folder that can be moved.
    def make(folder: Path) -> None:
        run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--root-user-action=ignore", "--target", str(folder), f"checkov=={CHECKOV}")  # fmt: skip

    return str(installed(f"checkov-{CHECKOV}", make))


@functools.cache
def provider() -> Path:
    source = HERE / "provider"
    digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in ["go.mod", "go.sum", "main.go"]))

    def make(folder: Path) -> None:
        run("go", "build", "-trimpath", "-p", "2", "-o", str(folder / "provider"), ".",
            directory=source, CGO_ENABLED="0", GOFLAGS="-mod=readonly")  # fmt: skip

    return installed(f"provider-{digest.hexdigest()[:12]}", make) / "provider"


@functools.cache
def schemas() -> dict[str, dict]:
    reader = hashlib.sha256(Path(schema_reader.__file__).read_bytes()).hexdigest()[:12]

    def make_one(provider_name: str, version: str) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                run("npm", "install", "--prefix", work, "--ignore-scripts", "--legacy-peer-deps", "--no-audit",
                    "--no-fund", "--no-save", f"@cdktf/provider-{provider_name}@{version}")  # fmt: skip
                package = Path(work) / "node_modules" / "@cdktf" / f"provider-{provider_name}"
                target = folder / f"{provider_name}.json"
                schema_reader.write(package, target, provider_name not in FRAMEWORK_PROVIDERS)

        return make

    found = {}
    for name, version in BINDINGS.items():
        folder = installed(f"schema-{name}-{version}-{reader}", make_one(name, version))
        found[name] = json.loads((folder / f"{name}.json").read_text())
    return found


@functools.cache
def dapr_components() -> Path:
    """The source of the components that this Dapr contains; its go.sum vouches for them."""
    answer = run("go", "mod", "download", "-json", "github.com/dapr/components-contrib", directory=module_folder(*DAPR))
    return Path(json.loads(answer[answer.index("{") :])["Dir"])


def install() -> None:
    terraform()
    provider()
    schemas()
    tflint()
    terraform_docs()
    checkov()
    dapr_components()


def environment() -> dict[str, str]:
    return dict(os.environ)
