#!/usr/bin/env python3
"""Checks what watches Tidemark, without starting anything.

    check.py            all checks
    check.py metrics    one of them, or several
    check.py install    only install the tools

What a real Prometheus and a real Alertmanager make of it beside a real stack is shown by real.py.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tools

sys.path.insert(0, str(tools.python_packages()))

import yaml  # noqa: E402

import inventory  # noqa: E402
import logs  # noqa: E402
import promql  # noqa: E402

HERE = Path(__file__).resolve().parent
OBSERVABILITY = HERE.parent
ROOT = OBSERVABILITY.parent
PROMETHEUS = OBSERVABILITY / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
RUNBOOK_URL = "https://github.com/tidemark/tidemark/blob/main/docs/runbooks/"
SEVERITIES = {"critical", "warning", "none"}
# Grafana's description of a dashboard does not know this member of a Prometheus annotation.
UNKNOWN_TO_GRAFANAS_MODEL = {"titleFormat"}

Outcome = tuple[str, list[str]]


def command(*arguments: str | Path) -> tuple[bool, str]:
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def rule_files() -> list[Path]:
    return sorted((PROMETHEUS / "rules").glob("*.yml"))


def all_rules() -> list[dict]:
    return [rule for file in rule_files() for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict]:
    return {rule["alert"]: rule for rule in all_rules() if "alert" in rule}


def dashboards() -> dict[str, dict]:
    return {file.stem: json.loads(file.read_text()) for file in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json"))}


def dashboard_queries(dashboard: dict) -> list[tuple[str, str]]:
    queries = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [(f"annotation {note['name']}", note["expr"]) for note in dashboard["annotations"]["list"]]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), *\w+\)", variable["query"]["query"])
            queries.append((f"variable {variable['name']}", found[1] if found else "not label_values(…)"))
    return [(title, re.sub(r"\$__rate_interval", "5m", re.sub(r"\$(?!__)\w+", ".*", query))) for title, query in queries]


def configuration() -> Outcome:
    passed, output = command(tools.program("promtool"), "check", "config", PROMETHEUS / "prometheus.yml")
    jobs = [job["job_name"] for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]]
    wrong = [] if passed else [output]
    passed, output = command(tools.program("prometheus-blackbox-exporter"), f"--config.file={PROMETHEUS / 'blackbox.yml'}", "--config.check")
    return f"{len(jobs)} jobs, {len(rule_files())} rule files", wrong + ([] if passed else [output])


def targets_exist() -> Outcome:
    """Whatever Prometheus asks beside compose is a service there."""
    compose = ROOT / "docker-compose.yml"
    services = set(yaml.safe_load(compose.read_text())["services"])
    asked = set()
    for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]:
        for group in job.get("dns_sd_configs", []):
            asked.update(group["names"])
        for group in job.get("static_configs", []):
            asked.update(re.sub(r"^\w+://", "", target).split("/")[0].split(":")[0] for target in group["targets"])
    return f"{len(asked)} names", [f"prometheus.yml asks {name}, which is no service of docker-compose.yml" for name in sorted(asked - services - {"localhost"})]


def rule_tests() -> Outcome:
    files = sorted((PROMETHEUS / "tests").glob("*.yml"))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda file: command(tools.program("promtool"), "test", "rules", file), files))
    wrong = [f"{file.name}: {output}" for file, (passed, output) in zip(files, results, strict=True) if not passed]
    fired, silent, cases = set(), set(), 0
    for file in files:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                cases += 1
                (fired if case["exp_alerts"] else silent).add(case["alertname"])
    known = set(alerts())
    wrong += [f"{alert}: no test fires it" for alert in sorted(known - fired)]
    # The pulse is never silent.
    wrong += [f"{alert}: no test leaves it silent" for alert in sorted(known - silent - {"Watchdog"})]
    return f"{len(known)} alerts in {cases} cases", wrong


def annotations() -> Outcome:
    wrong = []
    linked = set()
    for name, alert in alerts().items():
        if alert["labels"].get("severity") not in SEVERITIES:
            wrong.append(f"{name}: its severity is none of {', '.join(sorted(SEVERITIES))}")
        missing = {"summary", "description", "runbook_url"} - set(alert["annotations"])
        wrong += [f"{name}: has no {annotation}" for annotation in sorted(missing)]
        page = alert["annotations"].get("runbook_url", "").removeprefix(RUNBOOK_URL)
        linked.add(page)
        if not (RUNBOOKS / page).is_file():
            wrong.append(f"{name}: there is no docs/runbooks/{page}")
        elif name not in (RUNBOOKS / page).read_text():
            wrong.append(f"docs/runbooks/{page} does not speak of {name}")
    pages = {page.name for page in RUNBOOKS.glob("*.md")}
    wrong += [f"docs/runbooks/{page}: no alert leads there" for page in sorted(pages - linked - {"README.md"})]
    index = (RUNBOOKS / "README.md").read_text()
    wrong += [f"docs/runbooks/README.md does not list {page}" for page in sorted(pages - {"README.md"}) if f"({page})" not in index]
    return f"{len(linked)} runbooks", wrong


def alerting() -> Outcome:
    folder = OBSERVABILITY / "alertmanager"
    passed, output = command(tools.program("amtool"), "check-config", folder / "alertmanager.yml")
    wrong = [] if passed else [output]
    routes = yaml.safe_load((folder / "routes.yml").read_text())
    for route in routes:
        labels = [f"{name}={value}" for name, value in route["labels"].items()]
        passed, output = command(
            tools.program("amtool"), "config", "routes", "test", f"--config.file={folder / 'alertmanager.yml'}",
            f"--verify.receivers={route['receiver']}", *labels,
        )  # fmt: skip
        if not passed:
            wrong.append(f"{' '.join(labels)}: {output}")
    configuration = yaml.safe_load((folder / "alertmanager.yml").read_text())
    known = set(alerts())
    for rule in configuration["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            pattern = matcher.split("=", 1)[1].lstrip("~ ").strip('"')
            for alternative in pattern.split("|"):
                if not any(re.fullmatch(alternative, alert) for alert in known):
                    wrong.append(f"an inhibition speaks of {alternative}, which is no alert")
    text = json.dumps(configuration)
    if re.search(r"hooks\.slack\.com|api_url\"", text):
        wrong.append("alertmanager.yml holds the address of a webhook; it belongs into a secret's file")
    return f"{len(routes)} routes, {len(configuration['inhibit_rules'])} inhibitions", wrong


def boards() -> Outcome:
    """Each dashboard is what its definition says, and survives Grafana's own description of dashboards whole."""
    sys.path.insert(0, str(OBSERVABILITY / "grafana"))
    import dashboards as definitions
    from grafana_foundation_sdk.cog import encoder, plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    wrong = []
    for path, text in definitions.texts().items():
        if not path.exists() or path.read_text() != text:
            wrong.append(f"{path.name} differs from dashboards.py: run make observability-dashboards")
    uids = set()
    for name, dashboard in dashboards().items():
        kept = json.loads(encoder.JSONEncoder().encode(Dashboard.from_json(dashboard)))
        wrong += [f"{name}: Grafana does not know {line}" for line in lost(dashboard, kept)]
        uids.add(dashboard["uid"])
        numbers = [panel["id"] for panel in dashboard["panels"]]
        if len(numbers) != len(set(numbers)):
            wrong.append(f"{name}: two panels have one id")
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            if cells & taken or place["x"] + place["w"] > 24:
                wrong.append(f"{name}: the panel {panel['title']} lies over another or outside")
            taken |= cells
    datasources = yaml.safe_load((OBSERVABILITY / "grafana/provisioning/datasources/datasources.yml").read_text())["datasources"]
    panels = sum(panel["type"] != "row" for dashboard in dashboards().values() for panel in dashboard["panels"])
    if len(uids) != len(dashboards()):
        wrong.append("two dashboards have one uid")
    return f"{len(uids)} dashboards, {panels} panels, {len(datasources)} data sources", wrong


def lost(before, after, path: str = "") -> list[str]:
    """What is in `before` and not in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name, value in before.items():
            if name not in after:
                # Nothing, given or not, is the same.
                if name not in UNKNOWN_TO_GRAFANAS_MODEL and value not in (None, "", [], {}, False):
                    found.append(f"{path}/{name}")
            else:
                found += lost(value, after[name], f"{path}/{name}")
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [line for index, pair in enumerate(zip(before, after, strict=True)) for line in lost(*pair, f"{path}/{index}")]
    return [] if before == after else [f"{path}: {before!r}, and reads {after!r}"]


def queries_parse() -> Outcome:
    """promtool reads every query of every dashboard, as if it were a rule."""
    named = {f"query:{index}": (board, title, query) for index, (board, title, query) in enumerate(
        (board, title, query) for board, dashboard in dashboards().items() for title, query in dashboard_queries(dashboard)
    )}  # fmt: skip
    rules = [{"record": name, "expr": query} for name, (_, _, query) in named.items()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "queries.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
        passed, output = command(tools.program("promtool"), "check", "rules", "--lint=none", file)
    if passed:
        return f"{len(rules)} queries", []
    faulty = {name for name in named if f'"{name}"' in output}
    return "queries", [f"{named[name][0]}, {named[name][1]}: {named[name][2]}" for name in sorted(faulty)] + [output]


def metric_names() -> Outcome:
    """Whatever a rule or a dashboard asks for is exported by somebody, under these labels."""
    known = inventory.read()
    recorded = {rule["record"] for rule in all_rules() if "record" in rule}
    wrong, asked = [], set()
    queries = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in all_rules()]
    queries += [(f"{board}, {title}", query) for board, dashboard in dashboards().items() for title, query in dashboard_queries(dashboard)]
    for place, query in queries:
        for metric, labels in promql.selections(query).items():
            asked.add(metric)
            if metric in recorded or metric in inventory.MADE_BY_PROMETHEUS:
                continue
            entry = known.get(metric)
            if entry is None:
                wrong.append(f"{place}: nobody exports {metric}")
                continue
            unknown = labels - set(entry["labels"]) - inventory.TARGET_LABELS
            wrong += [f"{place}: {metric} has no label {label}" for label in sorted(unknown)]
    unused = recorded - asked
    wrong += [f"{name} is recorded and nobody asks for it" for name in sorted(unused)]
    return f"{len(asked)} metrics asked for, {len(known)} known", wrong


def program_metrics() -> Outcome:
    """The program's own table, what it counts and the documentation tell of the same metrics."""
    described, counted = inventory.of_the_source()
    used = set(counted)
    page = (ROOT / "docs" / "observability.md").read_text()
    wrong = [f"{name} is counted in the source and missing in telemetry/metrics.rs" for name in sorted(used - described)]
    wrong += [f"{name} is in telemetry/metrics.rs and counted nowhere" for name in sorted(described - used)]
    wrong += [f"docs/observability.md does not explain {name}" for name in sorted(described) if f"`{name}`" not in page]
    wrong += [f"docs/observability.md does not list the alert {name}" for name in alerts() if name not in page]
    return f"{len(described)} metrics of the program", wrong


def pages_of_yaml() -> Outcome:
    files = [file for pattern in ("*.yml", "*.yaml") for file in OBSERVABILITY.rglob(pattern)]
    wrong = []
    for file in files:
        try:
            list(yaml.safe_load_all(file.read_text()))
        except yaml.YAMLError as fault:
            wrong.append(f"{file.relative_to(ROOT)}: {fault}")
    return f"{len(files)} files", wrong


CHECKS = {
    "files": pages_of_yaml,
    "configuration": configuration,
    "targets": targets_exist,
    "rules": rule_tests,
    "runbooks": annotations,
    "alertmanager": alerting,
    "dashboards": boards,
    "queries": queries_parse,
    "metrics": metric_names,
    "program": program_metrics,
    "logs": logs.check,
}


def main(chosen: list[str]) -> int:
    failed, checks = 0, {name: check for name, check in CHECKS.items() if not chosen or name in chosen}
    for name, check in checks.items():
        started = time.monotonic()
        summary, wrong = check()
        took = time.monotonic() - started
        print(f"{'FAILED' if wrong else 'ok':<7}{name:<14} {summary} ({took:.1f} s)", flush=True)
        for line in wrong:
            print(f"         {line}")
        failed += bool(wrong)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        tools.programs()
        print(tools.versions())
    else:
        sys.exit(main(sys.argv[1:]))
