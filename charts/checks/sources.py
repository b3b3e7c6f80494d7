"""What charts hold in copy, because Helm reads nothing outside a chart: made from its source, and compared with it."""

import re
import shutil
from pathlib import Path

import yaml

from charts import CHARTS, CLOUDS, ENVIRONMENTS, PARTS, ROOT

# Folder or file in the repository, and where its copy stands.
OBSERVABILITY = [
    ("prometheus/rules", "rules", "*.yml"),
    ("prometheus/blackbox.yml", "blackbox.yml", ""),
    ("alertmanager/alertmanager.yml", "alertmanager/alertmanager.yml", ""),
    ("alertmanager/templates", "alertmanager/templates", "*.tmpl"),
    ("grafana/dashboards", "grafana/dashboards", "*.json"),
    ("grafana/provisioning/datasources", "grafana/provisioning/datasources", "*.y*ml"),
    ("grafana/provisioning/dashboards", "grafana/provisioning/dashboards", "*.y*ml"),
    ("jaeger", "jaeger", "*.y*ml"),
    ("collector", "collector", "*.y*ml"),
]


def copies() -> dict[Path, str]:
    """Each copy's path and what it must hold."""
    wanted: dict[Path, str] = {}
    tidemark = CHARTS / "tidemark" / "files"
    for file in (ROOT / "components").glob("*.yaml"):
        wanted[tidemark / "components" / "cluster" / file.name] = file.read_text()
    for cloud in CLOUDS:
        base = ROOT / "components" / "overlays" / cloud / "base"
        for entry in yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]:
            file = (base / entry).resolve()
            wanted[tidemark / "components" / cloud / file.name] = file.read_text()
    for file in (ROOT / "dapr").glob("*.yaml"):
        # How sidecars find each other on one machine.
        if file.name != "configuration-local.yaml":
            wanted[tidemark / "dapr" / file.name] = file.read_text()
    wanted[tidemark / "edge" / "nginx.conf"] = (ROOT / "app" / "edge" / "nginx.conf").read_text()

    monitoring = CHARTS / "monitoring" / "files"
    for source, target, pattern in OBSERVABILITY:
        source = ROOT / "observability" / source
        if pattern:
            for file in source.glob(pattern):
                wanted[monitoring / target / file.name] = file.read_text()
        elif source.exists():
            wanted[monitoring / target] = source.read_text()
    for environment in ENVIRONMENTS:
        wanted[CHARTS / "platform" / f"values-{environment}.yaml"] = platform_values(environment)
    return wanted


def platform_values(environment: str) -> str:
    """The values of the parts, below their names."""
    text = [f"# Made of the parts' own values-{environment}.yaml by `make charts-update`."]
    for part in PARTS:
        text.append(f"{part}:")
        own = (CHARTS / part / f"values-{environment}.yaml").read_text()
        # The pipelines write the program's digest for each promotion; the umbrella takes its own.
        own = re.sub(r'^( +digest: ).*$', r'\1""', own, flags=re.M).splitlines()
        text += [f"  {line}" if line else "" for line in own]
    return "\n".join(text) + "\n"


def existing() -> set[Path]:
    found = {CHARTS / "platform" / f"values-{environment}.yaml" for environment in ENVIRONMENTS}
    for chart in ["tidemark", "monitoring"]:
        found |= {file for file in (CHARTS / chart / "files").rglob("*") if file.is_file()}
    return {file for file in found if file.exists()}


def update() -> None:
    wanted = copies()
    for file in existing() - set(wanted):
        file.unlink()
    for file, text in wanted.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
    for folder in [CHARTS / "tidemark" / "files", CHARTS / "monitoring" / "files"]:
        for empty in [path for path in folder.rglob("*") if path.is_dir() and not any(path.rglob("*.*"))]:
            shutil.rmtree(empty, ignore_errors=True)


def differences() -> tuple[str, list[str]]:
    wanted = copies()
    wrong = [f"{file.relative_to(ROOT)}: has no source any more" for file in existing() - set(wanted)]
    for file, text in wanted.items():
        if not file.exists():
            wrong.append(f"{file.relative_to(ROOT)}: is missing")
        elif file.read_text() != text:
            wrong.append(f"{file.relative_to(ROOT)}: differs from its source")
    return f"{len(wanted)} copies", [f"{line}; run make charts-update" for line in sorted(wrong)]
