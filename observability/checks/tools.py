"""The programs that the checks run: Prometheus, Alertmanager, their tools and the exporters.

They come out of Debian's packages into a folder of the cache, named by what is in it; nothing is installed on the
machine and no service starts. An interrupted installation leaves nothing that looks finished.
"""

import functools
import os
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


def versions() -> str:
    lines = [run(program(name), "--version").splitlines()[0] for name in ("prometheus", "prometheus-alertmanager")]
    return "\n".join(line.split(" (")[0] for line in lines)


if __name__ == "__main__":
    programs()
    python_packages()
    print(versions())
