"""The charts, their environments, and how they are rendered."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

CHARTS = Path(__file__).resolve().parents[1]
ROOT = CHARTS.parent
RENDERED = CHARTS / "rendered"
NAMES = ["tidemark", "kafka", "database", "redis", "rabbitmq", "monitoring", "gateway", "platform"]
PARTS = ["kafka", "database", "redis", "rabbitmq", "monitoring", "tidemark"]
ENVIRONMENTS = ["dev", "staging", "production"]
CLOUDS = ["aws", "azure", "gcp", "gcp-pubsub"]
KUBERNETES = "1.34.4"

Object = dict


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads YAML as Kubernetes does: an equals sign is text."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


class Refused(Exception):
    """Helm did not take the values."""


@dataclass(frozen=True)
class Rendering:
    """One chart with one environment's values, and with a cloud's, or a file of examples, laid over them."""

    chart: str
    environment: str
    over: str = ""

    @property
    def name(self) -> str:
        return "-".join(part for part in [self.chart, self.environment, self.over] if part)

    @property
    def namespace(self) -> str:
        return self.chart if self.chart in {"monitoring", "gateway"} else f"tidemark-{self.environment}"

    @property
    def files(self) -> list[Path]:
        folder = CHARTS / self.chart
        files = [folder / f"values-{self.environment}.yaml"]
        if self.over:
            kind = "clouds" if self.over in CLOUDS else "examples"
            files.append(folder / kind / f"{self.over}.yaml")
        return files


def renderings() -> list[Rendering]:
    """Everything whose rendered form is committed."""
    plain = [Rendering(chart, environment) for chart in NAMES for environment in ENVIRONMENTS]
    clouds = [
        Rendering(chart, "production", cloud)
        for chart in NAMES
        for cloud in CLOUDS
        if (CHARTS / chart / "clouds" / f"{cloud}.yaml").exists()
    ]
    examples = [
        Rendering(chart, "production", file.stem)
        for chart in NAMES
        for file in sorted((CHARTS / chart / "examples").glob("*.yaml"))
    ]
    return [*plain, *clouds, *examples]


def tool(variable: str) -> str:
    """A tool's path, as the Makefile says it."""
    return os.environ.get(variable) or shutil.which(variable.lower().replace("_", "-")) or variable.lower()


def helm(*arguments: str) -> str:
    done = subprocess.run([tool("HELM"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def render(chart: str, namespace: str, files: list[Path], values: dict | None = None) -> str:
    arguments = ["template", chart, str(CHARTS / chart), "--namespace", namespace, "--kube-version", KUBERNETES]
    for file in files:
        arguments += ["--values", str(file)]
    if values is None:
        return helm(*arguments)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as own:
        yaml.safe_dump(values, own)
        own.flush()
        return helm(*arguments, "--values", own.name)


def objects(text: str) -> list[Object]:
    return [document for document in yaml.load_all(text, Loader) if document]


def masked(text: str) -> str:
    """What Helm makes by chance at each rendering is left out of what is compared."""
    lines, secret = [], False
    for line in text.splitlines():
        if line == "---":
            secret = False
        elif line == "kind: Secret":
            secret = True
        if secret and line.startswith("  ") and line.split(":")[0].strip() in {"token", "secrets.json", "redis-password"}:
            line = line.split(":")[0] + ": (made at the first installation)"
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def dependencies() -> None:
    """Packs the charts that `platform` consists of, where they have changed since."""
    target = CHARTS / "platform" / "charts"
    newest = max(file.stat().st_mtime for part in PARTS for file in (CHARTS / part).rglob("*") if file.is_file())
    packed = list(target.glob("*.tgz"))
    if len(packed) == len(PARTS) and min(file.stat().st_mtime for file in packed) > newest:
        return
    shutil.rmtree(target, ignore_errors=True)
    helm("dependency", "build" if (CHARTS / "platform" / "Chart.lock").exists() else "update", str(CHARTS / "platform"), "--skip-refresh")
