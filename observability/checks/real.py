#!/usr/bin/env python3
"""A real Prometheus and a real Alertmanager beside a real stack.

    real.py test        targets, queries, alerts that fire, messages that arrive, and their end
    real.py inventory   write metrics/measured.json anew from what every exporter answers
    real.py watch       start the stack and what watches it, and leave both running until interrupted

The stack is one of its own in its own folder, in the split topology, on loopback. STACK_STATE names the folder of
one that already runs; it is used and left running. What differs from production is said by `differences`.
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tools

sys.path.insert(0, str(tools.python_packages()))

import yaml  # noqa: E402

import check  # noqa: E402
import inventory  # noqa: E402
import promql  # noqa: E402

ROLES = ["accounts", "tasks", "history", "notifications", "gateway"]
# What this machine has no program of.
NOT_HERE = {"rabbitmq", "grafana", "jaeger", "otel-collector"}
# Asked for by rules or dashboards, and shown only in trouble that this run does not make.
SELDOM = {
    "consumer_batch_failures_total": "a batch that has to come again",
    "consumer_dead_letters_total": "an event that nobody can read, which comes later in this run",
    "pages_etag_guess_total": "a second save of a page soon after its first",
}
PATIENCE = 120.0
LEDGER = "todo-history-events"


class Failure(Exception):
    pass


def say(text: str) -> None:
    print(text, flush=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url: str, body: object = None, token: str | None = None) -> str:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return answer.read().decode()


def wait_for(what: str, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    end, latest = time.monotonic() + patience, None
    while time.monotonic() < end:
        try:
            found = look()
            if found:
                return found
        except (OSError, urllib.error.URLError, KeyError, IndexError, json.JSONDecodeError) as fault:
            latest = fault
        time.sleep(0.25)
    raise Failure(f"not within {patience:.0f} s: {what}{f' ({latest})' if latest else ''}")


class Stack:
    """Tidemark in the split topology. What `variables` change is not true of one that already runs."""

    def __init__(self, **variables: str) -> None:
        self.variables = variables
        given = None if variables else os.environ.get("STACK_STATE")
        self.state = Path(given or os.environ.get("OBSERVABILITY_STATE") or Path(tempfile.gettempdir()) / "tidemark-observability")
        self.is_ours = given is None
        self.command = shlex.split(os.environ.get("STACK", "cargo run --quiet --package tidemark-stack --bin stack --"))

    def run(self, *arguments: str) -> None:
        environment = {**os.environ, **self.variables, "TOPOLOGY": "split", "PORT": os.environ.get("PORT", "3911")}
        done = subprocess.run(
            [*self.command, *arguments, "--state-dir", str(self.state)], cwd=check.ROOT, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Failure(f"stack {' '.join(arguments)} failed:\n{done.stdout}")

    @contextmanager
    def running(self, status_port: int) -> Iterator[None]:
        if not self.is_ours:
            yield
            return
        edge = self.state / "configuration" / "edge"
        edge.mkdir(parents=True, exist_ok=True)
        (edge / "status.conf").write_text(f"server {{\n    listen 127.0.0.1:{status_port};\n    access_log off;\n    location = /status {{ stub_status; }}\n}}\n")
        binary = os.environ.get("TIDEMARK_BINARY")
        try:
            self.run("up", *(["--binary", binary] if binary else []))
            yield
        finally:
            self.run("down")

    def status_port(self) -> int:
        """Where a stack that already runs tells its edge's numbers."""
        file = self.state / "configuration" / "edge" / "status.conf"
        return int(re.search(r"127\.0\.0\.1:(\d+)", file.read_text())[1]) if not self.is_ours else free_port()

    @property
    def ports(self) -> dict[str, int]:
        return json.loads((self.state / "ports.json").read_text())

    @property
    def secrets(self) -> dict[str, str]:
        return json.loads((self.state / "secrets.json").read_text())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{json.loads((self.state / 'request.json').read_text())['public_port']}"

    def process(self, part: str) -> int:
        return json.loads((self.state / "run" / f"{part}.json").read_text())["identity"]["pid"]

    def kill(self, part: str) -> None:
        os.kill(self.process(part), signal.SIGKILL)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile nothing brings back what dies."""
        supervisor = int(Path(f"/proc/{self.process('tasks')}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(supervisor, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)


class Receiver:
    """Takes what Alertmanager sends to Slack."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802: the library's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append(json.loads(body))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/slack"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forget(self) -> None:
        """What came before what is about to be done counts for nothing."""
        self.messages.clear()

    def find(self, title: str, about: str = "") -> dict | None:
        messages = [one["attachments"][0] for one in self.messages]
        return next((one for one in messages if one["title"].startswith(title) and about in one["text"]), None)


class Watch:
    """Prometheus, Alertmanager and the exporters."""

    def __init__(self, stack: Stack, status_port: int, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.receiver = Receiver()
        self.children: list[subprocess.Popen] = []
        self.differences: list[str] = []
        self.ports = {name: free_port() for name in ("prometheus", "alertmanager", "redis", "timescaledb", "kafka", "nginx", "node-exporter", "edge")}
        self.status_port = status_port

    def start(self, name: str, *command: str, **environment: str) -> None:
        log = (self.folder / f"{name}.log").open("w")
        self.children.append(subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log, cwd=self.folder))

    def at(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def start_all(self) -> None:
        ports, secrets = self.stack.ports, self.stack.secrets
        self.start("redis-exporter", tools.program("prometheus-redis-exporter"), "--web.listen-address", self.at("redis"),
                   REDIS_ADDR=f"redis://127.0.0.1:{ports['redis']}", REDIS_PASSWORD=secrets["redis_password"])  # fmt: skip
        self.start("postgres-exporter", tools.program("prometheus-postgres-exporter"), "--web.listen-address", self.at("timescaledb"),
                   DATA_SOURCE_URI=f"127.0.0.1:{ports['postgres']}/todo_history?sslmode=disable", DATA_SOURCE_USER="tidemark",
                   DATA_SOURCE_PASS=secrets["postgres_password"])  # fmt: skip
        self.start("kafka-exporter", sys.executable, str(check.HERE / "kafka_exporter.py"), f"127.0.0.1:{ports['kafka']}", self.at("kafka"))
        self.start("nginx-exporter", tools.program("prometheus-nginx-exporter"), "-web.listen-address", self.at("nginx"),
                   "-nginx.scrape-uri", f"http://127.0.0.1:{self.status_port}/status")  # fmt: skip
        self.start("node-exporter", tools.program("prometheus-node-exporter"), "--web.listen-address", self.at("node-exporter"))
        self.start("blackbox-exporter", tools.program("prometheus-blackbox-exporter"), f"--config.file={check.PROMETHEUS / 'blackbox.yml'}",
                   f"--web.listen-address={self.at('edge')}")  # fmt: skip
        # Debian's Alertmanager reads its default templates from /usr/share, which for it alone is the package's.
        apart = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
        self.start("alertmanager", *apart, "sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"', str(tools.programs().parent / "share"),
                   tools.program("prometheus-alertmanager"), f"--config.file={self.alertmanager_configuration()}",
                   f"--storage.path={self.folder / 'alertmanager-data'}", f"--web.listen-address={self.at('alertmanager')}", "--cluster.listen-address=")  # fmt: skip
        self.start("prometheus", tools.program("prometheus"), f"--config.file={self.prometheus_configuration()}",
                   f"--storage.tsdb.path={self.folder / 'prometheus-data'}", f"--web.listen-address={self.at('prometheus')}")  # fmt: skip
        wait_for("Prometheus answers", lambda: fetch(f"http://{self.at('prometheus')}/-/ready"))
        wait_for("Alertmanager answers", lambda: fetch(f"http://{self.at('alertmanager')}/-/ready"))

    def targets(self) -> dict[str, list[dict]]:
        ports = self.stack.ports
        found = {
            "todo-backend": [{"targets": [f"127.0.0.1:{ports[f'{role}-http-address']}"], "labels": {"role": role}} for role in ROLES],
            "dapr": [{"targets": [f"127.0.0.1:{ports[f'{role}-sidecar-metrics']}"], "labels": {"role": role}} for role in ROLES],
            "edge": [{"targets": [f"{self.stack.url}/api/health"]}],
        }
        for job in ("timescaledb", "kafka", "redis", "nginx", "node-exporter", "prometheus", "alertmanager"):
            found[job] = [{"targets": [self.at(job)]}]
        return found

    def prometheus_configuration(self) -> Path:
        configuration = yaml.safe_load((check.PROMETHEUS / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "2s"}
        configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [self.at("alertmanager")]}]}]
        configuration["rule_files"] = ["rules/*.yml"]
        targets, jobs = self.targets(), []
        for job in configuration["scrape_configs"]:
            if job["job_name"] in NOT_HERE:
                continue
            job.pop("scrape_timeout", None)
            if "dns_sd_configs" in job:
                # The names are those of compose; here the role is given.
                del job["dns_sd_configs"], job["relabel_configs"]
            for relabel in job.get("relabel_configs", []):
                if relabel.get("replacement", "").startswith("blackbox-exporter:"):
                    relabel["replacement"] = self.at("edge")
            job["static_configs"] = targets[job["job_name"]]
            jobs.append(job)
        configuration["scrape_configs"] = jobs
        rules = self.folder / "rules"
        rules.mkdir(exist_ok=True)
        for file in check.rule_files():
            content = yaml.safe_load(file.read_text())
            for group in content["groups"]:
                group.pop("interval", None)
                for rule in group["rules"]:
                    if "for" in rule:
                        rule["for"] = "6s"
            (rules / file.name).write_text(yaml.safe_dump(content, sort_keys=False))
        self.differences.append("scraped every 5 s and evaluated every 2 s instead of 15 s; what has to last for an alert, lasts 6 s")
        self.differences.append(f"targets are given instead of found by name; not here: {', '.join(sorted(NOT_HERE))}")
        self.differences.append("kafka_exporter has a stand-in with the same metrics (checks/kafka_exporter.py)")
        path = self.folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(configuration, sort_keys=False))
        return path

    def alertmanager_configuration(self) -> Path:
        configuration = yaml.safe_load((check.OBSERVABILITY / "alertmanager" / "alertmanager.yml").read_text())
        secret = self.folder / "slack-webhook"
        secret.write_text(self.receiver.url)
        configuration["global"]["slack_api_url_file"] = str(secret)
        configuration["templates"] = [str(check.OBSERVABILITY / "alertmanager" / "templates" / "*.tmpl")]
        for route in (configuration["route"], *configuration["route"]["routes"]):
            route.update(group_wait="1s", group_interval="2s")
        self.differences.append("groups wait 1 s instead of 10 to 30 s; Slack is a receiver on loopback, named by the secret's file")
        path = self.folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(configuration, sort_keys=False))
        return path

    def stop(self) -> None:
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
        self.receiver.server.shutdown()

    def ask(self, path: str, **parameters: str) -> dict:
        return json.loads(fetch(f"http://{self.at('prometheus')}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def query(self, expression: str) -> list[dict]:
        return self.ask("query", query=expression)["result"]

    def alerts(self, inhibited: bool) -> set[str]:
        """What Alertmanager tells at the moment, or holds back."""
        wanted = f"active={not inhibited}&inhibited={inhibited}&silenced=false".lower()
        return {one["labels"]["alertname"] for one in json.loads(fetch(f"http://{self.at('alertmanager')}/api/v2/alerts?{wanted}"))}

    def firing(self, alert: str) -> list[dict]:
        return self.query(f'ALERTS{{alertstate="firing", alertname="{alert}"}}')


def traffic(stack: Stack) -> None:
    """A little of everything, so that every metric has something to tell."""
    login = json.loads(fetch(f"{stack.url}/api/auth/login", {"username": "Avinash", "password": "Avinash123"}))
    token = login["data"]["token"]
    name = f"Watched {time.time_ns()}"
    group = json.loads(fetch(f"{stack.url}/api/groups", {"name": name}, token))
    group_id = re.search(r'"(?:_id|id)":\s*"([^"]+)"', json.dumps(group))[1]
    for number in range(20):
        fetch(f"{stack.url}/api/groups/{group_id}/tasks", {"name": f"Task {number}"}, token)
    fetch(f"{stack.url}/api/groups", None, token)

    def logged() -> bool:
        # The way of an event through Kafka into the log takes a moment.
        return "Task 19" in fetch(f"{stack.url}/api/logs/group/{group_id}", None, token)

    wait_for("the log shows the last task", logged, 60)


def answers(watch: Watch) -> dict[str, dict[str, dict]]:
    """What every exporter answers now, by the program that answers."""
    sources = {"todo-backend": "tidemark", "timescaledb": "postgres-exporter", "redis": "redis-exporter", "kafka": "kafka-exporter-stand-in",
               "nginx": "nginx-exporter", "edge": "blackbox-exporter"}  # fmt: skip
    found: dict[str, dict[str, dict]] = {}
    for target in watch.ask("targets", state="active")["activeTargets"]:
        source = found.setdefault(sources.get(target["labels"]["job"], target["labels"]["job"]), {})
        for name, entry in inventory.of_an_answer(fetch(target["scrapeUrl"])).items():
            known = source.setdefault(name, {"type": entry["type"], "labels": []})
            known["labels"] = sorted(set(known["labels"]) | set(entry["labels"]))
    return found


class Report:
    def __init__(self) -> None:
        self.passed = self.failed = 0

    def step(self, what: str, wrong: list[str]) -> None:
        say(f"{'FAILED' if wrong else 'ok':<7}{what}")
        for line in wrong:
            say(f"         {line}")
        self.passed, self.failed = self.passed + (not wrong), self.failed + bool(wrong)


def targets_answer(watch: Watch, report: Report) -> None:
    def all_up() -> list[dict] | None:
        targets = watch.ask("targets", state="active")["activeTargets"]
        return targets if targets and all(target["health"] == "up" for target in targets) else None

    targets = wait_for("all targets are up", all_up)
    jobs: dict[str, int] = {}
    for target in targets:
        jobs[target["labels"]["job"]] = jobs.get(target["labels"]["job"], 0) + 1
    report.step(f"{len(targets)} targets are up: {', '.join(f'{job} {count}' for job, count in sorted(jobs.items()))}", [])


def queries_find(watch: Watch, report: Report) -> None:
    """Every metric of a program that runs here, which a rule or dashboard asks for, is there."""
    recorded = {rule["record"] for rule in check.all_rules() if "record" in rule}
    queries = [rule["expr"] for rule in check.all_rules()]
    queries += [query for dashboard in check.dashboards().values() for _, query in check.dashboard_queries(dashboard)]
    asked = {name for query in queries for name in promql.selections(query)} - recorded - inventory.MADE_BY_PROMETHEUS
    here = {name for source, metrics in inventory.measured().items() for name in metrics}

    def missing() -> list[str]:
        present = set(watch.ask("label/__name__/values"))
        return sorted(asked & here - present - set(SELDOM))

    end = time.monotonic() + 30
    while missing() and time.monotonic() < end:
        time.sleep(1)
    report.step(f"{len(asked & here)} metrics that rules and dashboards ask for, of programs that run here, are there", [f"nobody exports {name}" for name in missing()])


def rules_work(watch: Watch, report: Report) -> None:
    def evaluated() -> list[dict] | None:
        groups = watch.ask("rules")["groups"]
        return groups if all(rule["lastEvaluation"] > "0002" for group in groups for rule in group["rules"]) else None

    groups = wait_for("all rules are evaluated", evaluated)
    rules = [rule for group in groups for rule in group["rules"]]
    report.step(f"{len(rules)} rules are evaluated", [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"])


def calm(watch: Watch, report: Report) -> None:
    """A healthy stack raises no critical alert; the pulse beats."""
    wait_for("the pulse beats", lambda: watch.firing("Watchdog"))
    critical = 'ALERTS{alertstate="firing", severity="critical"}'
    # Before the first scrape of everything, something seems to be missing.
    wait_for("what seemed missing at the start is found", lambda: not watch.query(critical))
    quiet_until, raised = time.monotonic() + 12, set()
    while time.monotonic() < quiet_until:
        raised |= {one["metric"]["alertname"] for one in watch.query(critical)}
        time.sleep(1)
    others = sorted({one["metric"]["alertname"] for one in watch.query('ALERTS{alertstate="firing", severity="warning"}')})
    report.step(f"a healthy stack raises no critical alert (warnings of this machine: {', '.join(others) or 'none'})", sorted(raised))


def dead_letter(stack: Stack, watch: Watch, report: Report) -> None:
    from kafka import KafkaProducer

    watch.receiver.forget()
    producer = KafkaProducer(bootstrap_servers=f"127.0.0.1:{stack.ports['kafka']}")
    producer.send(LEDGER, b"no event at all").get(timeout=20)
    producer.close()
    began = time.monotonic()
    message = wait_for("Slack hears of the dead letter", lambda: watch.receiver.find("WARNING DeadLetters"))
    report.step(f"an event that nobody can read: DeadLetters in Slack after {time.monotonic() - began:.1f} s", [])
    show(message)


def kill_and_heal(stack: Stack, watch: Watch, report: Report) -> None:
    """Kills a sidecar, a process and the database while their supervisor is held, and lets it bring them back."""
    parts = [
        ("history-sidecar", "SidecarDown", "a sidecar of history"),
        ("notifications", "RoleDown", "the role notifications"),
        ("postgres", "DatabaseDown", "the history's database"),
    ]
    watch.receiver.forget()
    with stack.held():
        began = time.monotonic()
        for part, _, _ in parts:
            stack.kill(part)
        for part, alert, about in parts:
            message = wait_for(f"Slack hears of {alert}", lambda alert=alert, about=about: watch.receiver.find(f"CRITICAL {alert}", about))
            report.step(f"killed {part}: {alert} in Slack after {time.monotonic() - began:.1f} s", [] if watch.firing(alert) else ["and it does not fire"])
            show(message)
        # The replica that is down is the whole role: that is told, and this is not.
        wait_for("ReplicaDown fires", lambda: watch.firing("ReplicaDown"))
        wait_for("Alertmanager holds ReplicaDown back", lambda: "ReplicaDown" in watch.alerts(inhibited=True))
        report.step("ReplicaDown follows from RoleDown and is held back", ["Slack heard of it"] if watch.receiver.find("WARNING ReplicaDown") else [])
        watch.receiver.forget()
    began = time.monotonic()
    for part, alert, about in parts:
        message = wait_for(f"Slack hears of the end of {alert}", lambda alert=alert, about=about: watch.receiver.find(f"RESOLVED {alert}", about), 240)
        report.step(f"{part} is back: {alert} resolved in Slack after {time.monotonic() - began:.1f} s", [])
        show(message)


def show(message: dict) -> None:
    for line in (message["title"], *message["text"].splitlines(), message["title_link"]):
        say(f"         | {line}")


def main(mode: str) -> int:
    stack = Stack()
    status_port = stack.status_port()
    report = Report()
    with stack.running(status_port), tempfile.TemporaryDirectory(prefix="tidemark-watch-") as folder:
        watch = Watch(stack, status_port, Path(folder))
        try:
            watch.start_all()
            if mode == "watch":
                say(f"Prometheus http://{watch.at('prometheus')}  Alertmanager http://{watch.at('alertmanager')}  Tidemark {stack.url}")
                signal.pause()
            traffic(stack)
            targets_answer(watch, report)
            if mode == "inventory":
                inventory.write(answers(watch))
                say(f"{sum(len(metrics) for metrics in inventory.measured().values())} metrics written to {inventory.MEASURED.name}")
                return 0
            rules_work(watch, report)
            queries_find(watch, report)
            report.step("the inventory knows every metric of the program and its sidecars", [
                line for line in inventory.news(answers(watch)) if line.startswith(("tidemark:", "dapr:"))
            ])
            calm(watch, report)
            dead_letter(stack, watch, report)
            kill_and_heal(stack, watch, report)
            for line in watch.differences:
                say(f"not as in production: {line}")
        except (Failure, KeyboardInterrupt) as fault:
            report.step(str(fault) or "interrupted", ["stopped here"])
            for log in sorted(Path(folder).glob("*.log")):
                tail = log.read_text().splitlines()[-3:]
                if tail:
                    say(f"  {log.name}: {' / '.join(tail)[:600]}")
        finally:
            watch.stop()
    say(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if sys.argv[1:] else "test"))
