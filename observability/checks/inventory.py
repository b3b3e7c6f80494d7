"""Which metrics there are: measured on a real stack, or read in the documentation of what cannot run here.

`metrics/measured.json` is written by `make observability-inventory` from the answers of every exporter beside a
real stack. `metrics/documented.yml` lists what a cluster's exporters say of themselves. What the program counts
only in trouble is known from its source.
"""

import json
import re
from pathlib import Path

METRICS = Path(__file__).resolve().parent.parent / "metrics"
SOURCE = METRICS.parent.parent / "app" / "tidemark" / "src"
# Where metrics are counted: the storage engine is a crate of its own.
COUNTED = [SOURCE, METRICS.parent.parent / "app" / "pages" / "src"]
MEASURED = METRICS / "measured.json"
DOCUMENTED = METRICS / "documented.yml"

# Labels that Prometheus itself gives a target.
TARGET_LABELS = {"job", "instance", "role", "namespace"}
MADE_BY_PROMETHEUS = {"up", "ALERTS", "scrape_samples_scraped"}

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"')


def of_an_answer(text: str) -> dict[str, dict]:
    """Every series' name with its type and labels, out of what an exporter answered."""
    types, found = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            types[name] = kind
        elif line and not line.startswith("#"):
            match = SAMPLE.match(line)
            if match:
                name, labels = match[1], LABEL.findall(match[2] or "")
                entry = found.setdefault(name, {"type": "untyped", "labels": set()})
                entry["labels"].update(labels)
    for name, entry in found.items():
        family = name if name in types else re.sub(r"_(bucket|sum|count|total)$", "", name)
        entry["type"] = types.get(family, "untyped")
    return {name: {"type": entry["type"], "labels": sorted(entry["labels"])} for name, entry in found.items()}


def of_the_source() -> tuple[set[str], dict[str, set[str]]]:
    """The metrics that the program describes, and those that it counts, with the labels written there."""
    table = (SOURCE / "telemetry" / "metrics.rs").read_text()
    described = set(re.findall(r'\(\s*"(\w+)",\s*(?:Counter|Gauge|Histogram),', table))
    used: dict[str, set[str]] = {}
    for file in (file for folder in COUNTED for file in folder.rglob("*.rs")):
        text = file.read_text().split("#[cfg(test)]")[0]
        for name, rest in re.findall(r'\b(?:counter|gauge|histogram)!\(\s*"(\w+)"([^;]*?)\)\s*\.', text):
            used.setdefault(name, set()).update(re.findall(r'"(\w+)" =>', rest))
    return described, used


def measured() -> dict[str, dict[str, dict]]:
    return json.loads(MEASURED.read_text())


def read() -> dict[str, dict]:
    """Every known metric with all labels that anybody gives it."""
    import yaml

    known: dict[str, dict] = {}
    sources = {**measured(), **{name: source["metrics"] for name, source in yaml.safe_load(DOCUMENTED.read_text()).items()}}
    # A histogram's name is a family's; it is measured by its parts.
    sources["source"] = {name: sorted(labels) for name, labels in of_the_source()[1].items()}
    for source, metrics in sources.items():
        for name, entry in metrics.items():
            labels = entry["labels"] if isinstance(entry, dict) else entry
            merged = known.setdefault(name, {"labels": set(), "sources": set()})
            merged["labels"].update(labels)
            merged["sources"].add(source)
    return known


def write(found: dict[str, dict[str, dict]]) -> None:
    """Adds what was found to what was: what shows itself only in trouble stays."""
    before = measured() if MEASURED.exists() else {}
    for source, metrics in found.items():
        kept = before.setdefault(source, {})
        for name, entry in metrics.items():
            labels = set(kept.get(name, {}).get("labels", [])) | set(entry["labels"])
            kept[name] = {"type": entry["type"], "labels": sorted(labels)}
    METRICS.mkdir(exist_ok=True)
    lines = []
    for source, metrics in sorted(before.items()):
        entries = [f"    {json.dumps(name)}: {json.dumps(metrics[name])}" for name in sorted(metrics)]
        lines.append(f"  {json.dumps(source)}: {{\n" + ",\n".join(entries) + "\n  }")
    MEASURED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def news(found: dict[str, dict[str, dict]]) -> list[str]:
    """What was found and is not in the inventory."""
    before = measured() if MEASURED.exists() else {}
    return [
        f"{source}: {name}"
        for source, metrics in found.items()
        for name, entry in metrics.items()
        if name not in before.get(source, {}) or set(entry["labels"]) - set(before[source][name]["labels"])
    ]
