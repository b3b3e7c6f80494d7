"""The programs of the control plane, built from their Go modules and cached by version.

They stand under ~/.cache/tidemark/tools (or $TIDEMARK_CACHE_DIR/tools), each in a folder that carries its
version. A folder is made elsewhere and moved into place when it is whole, and one build runs at a time: an
interrupted or doubled installation leaves nothing that looks finished. Deleting the cache costs only the time
to fill it again, about twenty minutes of two processors.

Nothing of these projects is part of this repository. Their custom resource definitions and Dapr's chart are
read where Go unpacked the modules.
"""

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("TIDEMARK_CACHE_DIR", Path.home() / ".cache" / "tidemark")) / "tools"

KUBERNETES = "1.34.4"
ETCD = "3.6.5"
KWOK = "0.7.0"
DAPR = "1.18.1"
ARGO_CD = "3.2.11"
ARGO_ROLLOUTS = "1.8.3"
HELM = re.search(r"^HELM_PACKAGE := .*@v([\d.]+)$", (ROOT / "charts" / "charts.mk").read_text(), re.M).group(1)

# Everything that is read from a module's own folder or built in it.
MODULES = {
    "kubernetes": ("k8s.io/kubernetes", f"v{KUBERNETES}"),
    "kwok": ("sigs.k8s.io/kwok", f"v{KWOK}"),
    "dapr": ("github.com/dapr/dapr", f"v{DAPR}"),
    "argo-cd": ("github.com/argoproj/argo-cd/v3", f"v{ARGO_CD}"),
    "argo-rollouts": ("github.com/argoproj/argo-rollouts", f"v{ARGO_ROLLOUTS}"),
    # Only their custom resource definitions.
    "gateway-api": ("sigs.k8s.io/gateway-api", "v1.3.0"),
    "cloudnative-pg": ("github.com/cloudnative-pg/cloudnative-pg", "v1.27.0"),
    "prometheus-operator": ("github.com/prometheus-operator/prometheus-operator", "v0.85.0"),
    "vertical-pod-autoscaler": ("k8s.io/autoscaler/vertical-pod-autoscaler", "v1.8.1"),
    "plugin-barman-cloud": ("github.com/cloudnative-pg/plugin-barman-cloud", "v0.13.0"),
    "cert-manager": ("github.com/cert-manager/cert-manager", "v1.18.2"),
    "cloud-on-k8s": ("github.com/elastic/cloud-on-k8s/v2", "v2.16.1"),
}

# What the two runs need: the control plane alone, and with it the operators of the deep run.
CONTROL_PLANE = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"]
OPERATORS = ["dapr-sentry", "dapr-operator", "dapr-injector", "argocd", "rollouts-controller"]


class BuildFailed(Exception):
    """A program could not be built; the message holds the end of what the compiler said."""


def run(*command: str, directory: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        ["nice", "-n", "19", *command], cwd=directory, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def folder_of(name: str, make: Callable[[Path], None]) -> Path:
    """Returns the folder of this name in the cache, made by `make` if it is not there yet."""
    folder = CACHE / name
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".building").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        print(f"building {name}", flush=True)
        began = time.monotonic()
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE))
        try:
            make(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        print(f"built {name} in {time.monotonic() - began:.0f} s", flush=True)
    return folder


@functools.cache
def module(name: str) -> Path:
    """The source of a Go module, as Go's module cache holds it."""
    path, version = MODULES[name]
    with tempfile.TemporaryDirectory() as empty:
        answer = run("go", "mod", "download", "-json", f"{path}@{version}", directory=Path(empty))
    return Path(json.loads(answer)["Dir"])


def go_build(directory: Path, package: str, target: Path, *flags: str, mod: str = "readonly") -> None:
    run(
        "go", "build", f"-mod={mod}", "-trimpath", *(["-p", jobs] if (jobs := os.environ.get("TIDEMARK_BUILD_JOBS")) else []), *flags,
        "-o", str(target), package, directory=directory, CGO_ENABLED="0",
    )  # fmt: skip


def kubernetes_module(folder: Path) -> None:
    """Writes a module from which Kubernetes builds.

    Its own go.mod replaces the libraries by folders of its repository that a published module does not hold;
    here they are replaced by the same libraries as they were published for this version.
    """
    go_mod = (module("kubernetes") / "go.mod").read_text()
    libraries = re.findall(r"^\s+(k8s\.io/\S+) => \./staging", go_mod, re.MULTILINE)
    library_version = "v0." + KUBERNETES.split(".", 1)[1]
    replacements = "".join(f"\t{library} => {library} {library_version}\n" for library in libraries)
    requirement = f"require k8s.io/kubernetes v{KUBERNETES}\n\nreplace (\n{replacements})\n"
    (folder / "go.mod").write_text(f"module tidemark/kubernetes\n\ngo 1.24.0\n\ngodebug default=go1.24\n\n{requirement}")


def make_kubernetes(name: str) -> Callable[[Path], None]:
    # Without these the server says v0.0.0, and a chart that asks for a Kubernetes version is refused.
    major, minor, _ = KUBERNETES.split(".")
    facts = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    variables = [
        f"-X {package}.{key}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for key, value in facts.items()
    ]

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as work:
            kubernetes_module(Path(work))
            linker = "-ldflags=" + " ".join(["-s", "-w", *variables])
            go_build(Path(work), f"k8s.io/kubernetes/cmd/{name}", folder / name, linker, mod="mod")

    return make


def make_etcd(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        required = f"require go.etcd.io/etcd/server/v3 v{ETCD}"
        Path(work, "go.mod").write_text(f"module tidemark/etcd\n\ngo 1.24.0\n\n{required}\n")
        go_build(Path(work), "go.etcd.io/etcd/server/v3", folder / "etcd", "-ldflags=-s -w", mod="mod")


def make_in_module(of: str, package: str, name: str, *flags: str) -> Callable[[Path], None]:
    # In the module's own folder its replacements and checksums apply.
    def make(folder: Path) -> None:
        go_build(module(of), package, folder / name, *(flags or ("-ldflags=-s -w",)))

    return make


def recipe(name: str) -> tuple[str, Callable[[Path], None]]:
    """The version of a program, and how it is made."""
    dapr_version = (
        f"-ldflags=-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={DAPR}"
        f" -X github.com/dapr/kit/logger.DaprVersion={DAPR}"
    )
    recipes: dict[str, tuple[str, Callable[[Path], None]]] = {
        "etcd": (ETCD, make_etcd),
        "kwok": (KWOK, make_in_module("kwok", "./cmd/kwok", "kwok")),
        "dapr-sentry": (DAPR, make_in_module("dapr", "./cmd/sentry", "dapr-sentry", dapr_version)),
        "dapr-operator": (DAPR, make_in_module("dapr", "./cmd/operator", "dapr-operator", dapr_version)),
        "dapr-injector": (DAPR, make_in_module("dapr", "./cmd/injector", "dapr-injector", dapr_version)),
        "argocd": (ARGO_CD, make_in_module("argo-cd", "./cmd", "argocd")),
        "rollouts-controller": (ARGO_ROLLOUTS, make_in_module("argo-rollouts", "./cmd/rollouts-controller", "rollouts-controller")),
        **{
            name: (KUBERNETES, make_kubernetes(name))
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        },
    }  # fmt: skip
    return recipes[name]


@functools.cache
def program(name: str) -> Path:
    version, make = recipe(name)
    return folder_of(f"{name}-{version}", make) / name


@functools.cache
def helm() -> Path:
    """Helm is installed by the charts' own make fragment, which checks them with the same version."""
    path = CACHE / f"helm-{HELM}"
    if not path.exists():
        subprocess.run(["make", "--no-print-directory", str(path)], cwd=ROOT, check=False)
        if not path.exists():
            raise BuildFailed(f"Helm {HELM} could not be built; see charts/charts.mk")
    return path


def main(arguments: list[str]) -> None:
    """tools.py [control-plane | operators | NAME…]: builds what is named, otherwise everything."""
    groups = {"control-plane": CONTROL_PLANE, "operators": OPERATORS}
    names = [name for argument in arguments for name in groups.get(argument, [argument])]
    try:
        for name in names or [*CONTROL_PLANE, *OPERATORS]:
            print(program(name), flush=True)
    except BuildFailed as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(sys.argv[1:])
