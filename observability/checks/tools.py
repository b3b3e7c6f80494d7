"""The programs that the checks run: Prometheus, Alertmanager, their tools and the exporters; Jaeger, Filebeat, OpenSearch.

The first come out of Debian's packages, Jaeger and Filebeat are built from their Go modules, OpenSearch is a set of jars
by Maven. Each lies in a folder of the cache, named by what is in it; nothing is installed on the machine and no service starts. An
interrupted installation leaves nothing that looks finished.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("TIDEMARK_CACHE_DIR", Path.home() / ".cache" / "tidemark"))
TOOLS = CACHE / "tools"
PACKAGES = [
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
    "prometheus-nginx-exporter",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
]
# Grafana's own description of a dashboard, and a client of Kafka for the exporter's stand-in.
# Version 2 of Jaeger is published as this version of its module.
JAEGER = "1.76.0"
# A version that its Go module builds; compose runs version 8.
FILEBEAT = "7.17.29"
OPENSEARCH = "3.8.0.0"
OLDEST_JAVA = 21
PYTHON_PACKAGES = ["grafana-foundation-sdk==1769699379!11.6.0", "kafka-python==3.0.12", "PyYAML==6.0.3"]


def run(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def made(name: str, make) -> Path:
    """The folder `name` of the tools, made by `make` in a folder beside it and moved when it is whole."""
    place = TOOLS / name
    if not place.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        print(f"installing {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=TOOLS, prefix=".build-") as folder:
            whole = Path(folder) / "whole"
            whole.mkdir()
            make(whole)
            if not place.exists():
                shutil.move(whole, place)
    return place


def unpack(folder: Path) -> None:
    if not shutil.which("apt-get"):
        sys.exit("Prometheus and its companions come from Debian's packages here: this needs apt-get")
    with tempfile.TemporaryDirectory() as downloads:
        # Readable for the account that downloads, where apt has one of its own.
        os.chmod(downloads, 0o777)
        download = ["apt-get", "--quiet", "download", *PACKAGES]
        if subprocess.run(download, cwd=downloads, capture_output=True, check=False).returncode != 0:
            # A new machine does not know yet what there is.
            run("apt-get", "--quiet", "update")
            run(*download, folder=Path(downloads))
        for package in Path(downloads).glob("*.deb"):
            run("dpkg-deb", "--extract", str(package), str(folder))


@functools.cache
def programs() -> Path:
    codename = "unknown"
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            codename = line.partition("=")[2].strip('"')
    return made(f"prometheus-{codename}", unpack) / "usr" / "bin"


def program(name: str) -> str:
    return str(programs() / name)


@functools.cache
def python_packages() -> Path:
    def install(folder: Path) -> None:
        run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--root-user-action=ignore", "--target", str(folder), *PYTHON_PACKAGES)  # fmt: skip

    return made("observability-python-1", install)


def built(name: str, module: str, version: str, package: str) -> str:
    """A program built from its Go module."""

    def build(folder: Path) -> None:
        if not shutil.which("go"):
            sys.exit(f"{name} is built from its Go module: this needs Go 1.26 or newer")
        # In the module's own folder its replacements and checksums apply.
        answer = run("go", "mod", "download", "-json", f"{module}@v{version}", folder=folder)
        jobs = os.environ.get("TIDEMARK_BUILD_JOBS", "1")
        run("env", "CGO_ENABLED=0", "nice", "-n", "19", "go", "build", "-mod=readonly", "-trimpath", "-p", jobs, "-ldflags=-s -w",
            "-o", str(folder / name), package, folder=Path(json.loads(answer)["Dir"]))  # fmt: skip

    return str(made(f"{name}-{version}", build) / name)


@functools.cache
def jaeger() -> str:
    return built("jaeger", "github.com/jaegertracing/jaeger", JAEGER, "./cmd/jaeger")


@functools.cache
def filebeat() -> str:
    return built("filebeat", "github.com/elastic/beats/v7", FILEBEAT, "./filebeat")


@functools.cache
def java() -> str:
    """A JDK that OpenSearch runs on; the one that Kafka runs on may be older."""
    named = [os.environ[name] for name in ("JAVA_HOME", "JAVA_HOME_25_X64", "JAVA_HOME_21_X64") if name in os.environ]
    for home in [*named, *sorted(map(str, Path("/usr/lib/jvm").glob("*")), reverse=True)]:
        compiler = Path(home) / "bin" / "javac"
        if compiler.exists() and int(re.search(r"\d+", run(str(compiler), "-version"))[0]) >= OLDEST_JAVA:
            return str(compiler.with_name("java"))
    sys.exit(f"OpenSearch needs a JDK {OLDEST_JAVA} or newer: name its folder by JAVA_HOME")


@functools.cache
def opensearch() -> Path:
    """The folder of OpenSearch's jars."""

    def download(folder: Path) -> None:
        if not shutil.which("mvn"):
            sys.exit("OpenSearch comes by Maven: this needs mvn")
        project = (Path(__file__).parent / "opensearch" / "pom.xml").read_text()
        (folder / "pom.xml").write_text(project.replace("{version}", OPENSEARCH))
        run("mvn", "--batch-mode", "--quiet", "-Dstyle.color=never", "dependency:copy-dependencies", "-DincludeScope=runtime",
            "-DoutputDirectory=libs", folder=folder)  # fmt: skip

    return made(f"opensearch-{OPENSEARCH}", download) / "libs"


def versions() -> str:
    lines = [run(program(name), "--version").splitlines()[0] for name in ("prometheus", "prometheus-alertmanager")]
    return "\n".join(line.split(" (")[0] for line in lines)


def versions_for_traces_and_logs() -> str:
    compiler = run(str(Path(java()).with_name("javac")), "-version").strip()
    return f"jaeger 2, module v{JAEGER}\nfilebeat {FILEBEAT}\nopensearch-runner {OPENSEARCH} on {compiler}"


if __name__ == "__main__":
    programs()
    python_packages()
    print(versions())
