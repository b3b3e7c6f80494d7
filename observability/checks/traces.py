#!/usr/bin/env python3
"""A real Jaeger beside a real stack: one change is followed from the edge to the row that the log shows.

Jaeger 2 is an OpenTelemetry collector with a store and a query interface of its own. Its program runs twice: as
Jaeger with our jaeger.yaml, and in the collector's place with our collector.yaml. What differs from production is said
in the end.
"""

import json
import re
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tools

sys.path.insert(0, str(tools.python_packages()))

import yaml  # noqa: E402

import check  # noqa: E402
from real import Failure, Report, Stack, fetch, free_port, say, wait_for  # noqa: E402

TOPIC = "todo-history-events"
# What the collector calls slow, and longer than that.
SLOW, PAUSE = 0.5, 0.7
QUICK, UNDECIDED = 200, 300
# Longer than programs keep spans before they send them.
SENT = 8.0


class Program:
    """Jaeger's program with one of our files, on ports of this machine."""

    def __init__(self, name: str, file: Path, folder: Path) -> None:
        self.name, self.file, self.folder = name, file, folder
        self.ports: dict[int, int] = {}
        self.differences: list[str] = []
        self.child: subprocess.Popen | None = None
        self.configuration = self.with_own_ports(yaml.safe_load(file.read_text()))

    def port(self, number: int) -> int:
        if number not in self.ports:
            self.ports[number] = free_port()
        return self.ports[number]

    def url(self, number: int, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[number]}{path}"

    def with_own_ports(self, value: Any) -> Any:
        if isinstance(value, dict):
            found = {key: self.with_own_ports(member) for key, member in value.items()}
            if found.get("host") == "0.0.0.0":
                found |= {"host": "127.0.0.1", "port": self.port(found["port"])}
            return found
        if isinstance(value, list):
            return [self.with_own_ports(member) for member in value]
        everywhere = re.fullmatch(r"0\.0\.0\.0:(\d+)", value) if isinstance(value, str) else None
        return f"127.0.0.1:{self.port(int(everywhere[1]))}" if everywhere else value

    def replace_unknown(self, stand_ins: dict[str, str]) -> list[str]:
        """Puts stand-ins where this program lacks a component. Returns what it lacks for good."""
        known = yaml.safe_load(subprocess.run([tools.jaeger(), "components"], capture_output=True, text=True, check=True).stdout)
        lacking = []
        for kind in ("receivers", "processors", "exporters", "extensions"):
            names = {component["name"] for component in known[kind]}
            for name in list(self.configuration.get(kind, {})):
                if name.split("/")[0] in names:
                    continue
                if name not in stand_ins:
                    lacking.append(f"{kind}: {name}")
                    continue
                self.configuration[kind][stand_ins[name]] = self.configuration[kind].pop(name)
                service = self.configuration["service"]
                for users in [service, *service["pipelines"].values()]:
                    if name in users.get(kind, []):
                        users[kind] = [stand_ins[name] if one == name else one for one in users[kind]]
                self.differences.append(f"{self.file.name}: {stand_ins[name]} in the place of {name}, which Jaeger's program has not; same settings")
        return lacking

    def start(self) -> None:
        path = self.folder / self.file.name
        path.write_text(yaml.safe_dump(self.configuration, sort_keys=False))
        with (self.folder / f"{self.name}.log").open("w") as log:
            self.child = subprocess.Popen([tools.jaeger(), f"--config={path}"], stdout=log, stderr=log, cwd=self.folder)
        wait_for(f"{self.name} answers", lambda: fetch(self.url(13133, "/status" if self.name == "jaeger" else "/")), 30)

    def stop(self) -> None:
        if self.child:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()

    def accepted_spans(self) -> int:
        found = re.findall(r"^otelcol_receiver_accepted_spans\w*\{[^}]*\} (\S+)$", fetch(self.url(8888, "/metrics")), re.MULTILINE)
        return sum(int(float(number)) for number in found)


class Context:
    """A trace context of a caller."""

    def __init__(self, recorded: bool = True) -> None:
        self.trace, self.span, self.flags = secrets.token_hex(16), secrets.token_hex(8), int(recorded)

    @property
    def header(self) -> str:
        return f"00-{self.trace}-{self.span}-{self.flags:02x}"


def ask(url: str, token: str, context: Context | None = None, body: object = None) -> dict:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    if context:
        headers["traceparent"] = context.header
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as refusal:
        return {"status": refusal.code, "body": refusal.read().decode()}


class Span:
    def __init__(self, span: dict, processes: dict) -> None:
        self.id, self.name, self.began = span["spanID"], span["operationName"], span["startTime"]
        self.milliseconds = span["duration"] / 1000
        self.tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        self.parent = next((one["spanID"] for one in span["references"] if one["refType"] == "CHILD_OF"), None)
        self.service = processes[span["processID"]]["serviceName"]
        # The sidecar bears the name of the role beside it.
        self.of_sidecar = self.tags.get("otel.scope.name") == "dapr-diagnostics"

    @property
    def who(self) -> str:
        return f"{self.service}{'-sidecar' if self.of_sidecar else ''}"


def trace_of(jaeger: Program, context: Context) -> list[Span]:
    try:
        found = json.loads(fetch(jaeger.url(16686, f"/api/traces/{context.trace}")))["data"]
    except urllib.error.HTTPError as refusal:
        if refusal.code == 404:
            return []
        raise
    return [Span(span, trace["processes"]) for trace in found for span in trace["spans"]]


def lasted(spans: list[Span]) -> float:
    """Seconds from the first beginning to the last end."""
    return max(span.began / 1e6 + span.milliseconds / 1e3 for span in spans) - min(span.began / 1e6 for span in spans)


def tree(spans: list[Span], under: str, depth: int = 0) -> list[str]:
    lines = []
    for span in sorted((one for one in spans if one.parent == under), key=lambda one: one.began):
        lines.append(f"{'  ' * depth}{span.who}: {span.name} ({span.milliseconds:.1f} ms)")
        lines += tree(spans, span.id, depth + 1)
    return lines


def one_change(stack: Stack, token: str, marker: str) -> tuple[Context, str]:
    """A group and a task in one trace of the caller's; slow as a whole."""
    context = Context()
    group = json.loads(ask(f"{stack.url}/api/groups", token, context, {"name": f"{marker} group"})["body"])
    group_id = re.search(r'"(?:_id|id)":\s*"([^"]+)"', json.dumps(group))[1]

    def logged(name: str) -> bool:
        return f"{marker} {name}" in fetch(f"{stack.url}/api/logs/group/{group_id}", None, token)

    # In one batch they would share the call that writes them, which belongs to the first.
    wait_for("the log shows the group", lambda: logged("group"), 60)
    time.sleep(PAUSE)
    task = ask(f"{stack.url}/api/groups/{group_id}/tasks", token, context, {"name": f"{marker} task", "description": f"{marker} description"})
    if task["status"] != 201:
        raise Failure(f"no task was made: {task}")
    wait_for("the log shows the task", lambda: logged("task"), 60)
    return context, group_id


def sampling(collector: Program, stack: Stack, token: str, group_id: str, report: Report) -> None:
    """Of what nobody has decided, a share is traced; of what no request asked for, nothing."""
    time.sleep(SENT)
    before = collector.accepted_spans()
    time.sleep(SENT)
    idle = collector.accepted_spans() - before
    report.step(f"a stack that nobody uses sends no spans: {idle} within {SENT:.0f} s", ["its own work is traced"] if idle else [])
    before = collector.accepted_spans()
    for _ in range(UNDECIDED):
        ask(f"{stack.url}/api/groups/{group_id}/tasks", token)
    time.sleep(SENT)
    spans = collector.accepted_spans() - before
    wrong = [] if 0 < spans < UNDECIDED else [f"TRACE_RATIO is 0.1: some are traced, and far from all; {spans} spans came"]
    report.step(f"of {UNDECIDED} requests without a decision some are traced: {spans} spans", wrong)


def errors(stack: Stack, token: str, group_id: str) -> list[Context]:
    """Reads the log while its database is dead."""
    contexts = [Context() for _ in range(5)]
    with stack.held():
        stack.kill("postgres")
        # Its processes outlive the first of them for a moment.
        wait_for("the log is without its database", lambda: ask(f"{stack.url}/api/logs/group/{group_id}", token)["status"] == 503)
        for context in contexts:
            answer = ask(f"{stack.url}/api/logs/group/{group_id}", token, context)
            if answer["status"] != 503:
                raise Failure(f"without a database the log answers {answer}")
    wait_for("the log answers again", lambda: ask(f"{stack.url}/api/logs/group/{group_id}", token)["status"] == 200)
    return contexts


def followed(spans: list[Span], context: Context, report: Report) -> None:
    wrong = []

    def follows(who: str, name: str, parent: str | None) -> str | None:
        """The span of this name that follows from `parent`."""
        found = next((span.id for span in spans if span.who == who and span.name.endswith(name) and span.parent == parent), None)
        if parent and not found:
            wrong.append(f"no {name} of {who} follows from what caused it")
        return found

    for what in ("POST /api/groups", "POST /api/groups/{id}/tasks"):
        request = follows("tidemark-tasks", what, context.span)
        follows("tidemark-tasks-sidecar", "/SaveState", request)
        published = follows("tidemark-tasks", f"publish {TOPIC}", request)
        follows("tidemark-tasks-sidecar", "/BulkPublishEvent", published)
        processed = follows("tidemark-history", f"process {TOPIC}", published)
        follows("tidemark-history-sidecar", "/InvokeBinding", processed)
    # The first request to a process with a token asks the accounts role for its keys, through both sidecars.
    first = next((span.id for span in spans if span.who == "tidemark-tasks" and span.name.endswith("POST /api/groups")), None)
    called = follows("tidemark-tasks-sidecar", "/tidemark.accounts/ListSigningKeys", first)
    follows("tidemark-accounts-sidecar", "/tidemark.accounts/ListSigningKeys", called)
    known = {span.id for span in spans} | {context.span}
    wrong += [f"{span.name} of {span.who} follows from a span that is not there" for span in spans if span.parent not in known]
    report.step(f"two changes in one trace of {len(spans)} spans, each followed from request over save, publish and Kafka to its row", wrong)
    for line in tree(spans, context.span):
        say(f"         | {line}")


def quiet(jaeger: Program, forbidden: dict[str, str], report: Report) -> None:
    """Nothing that Jaeger keeps holds a secret or what a user wrote."""
    kept, seen = {}, 0
    for service in json.loads(fetch(jaeger.url(16686, "/api/services")))["data"]:
        for trace in json.loads(fetch(jaeger.url(16686, f"/api/traces?service={service}&limit=1500&lookback=1h")))["data"]:
            kept[trace["traceID"]] = json.dumps(trace, ensure_ascii=False)
            seen += len(trace["spans"])
    wrong = [f"{what} is in a span" for what, text in forbidden.items() if any(text in trace for trace in kept.values())]
    report.step(f"{len(kept)} kept traces hold neither secrets nor what users wrote ({len(forbidden)} texts looked for)", wrong or ([] if seen else ["there is none"]))


def tail_sampling(jaeger: Program, broken: list[Context], quick: list[Context], refused: list[Context], report: Report) -> None:
    def kept(contexts: list[Context], quick_only: bool = False) -> int:
        traces = filter(None, (trace_of(jaeger, context) for context in contexts))
        return sum(not quick_only or lasted(trace) < SLOW for trace in traces)

    wait_for("Jaeger has the traces with errors", lambda: kept(broken) == len(broken), 60)
    marked = [span for context in broken for span in trace_of(jaeger, context) if span.service == "tidemark-history" and not span.of_sidecar]
    wrong = [f"{span.name} answered {span.tags.get('http.response.status_code')} and is not marked" for span in marked if not span.tags.get("error")]
    report.step(f"{len(broken)} of {len(broken)} traces with an error are kept", wrong or ([] if marked else ["no span of the role is in them"]))
    # On a busy machine some were slow, and are kept for that.
    share = kept(quick, quick_only=True)
    # Within four standard deviations of a tenth.
    report.step(f"{share} of {len(quick)} quick traces without one are kept", [] if 3 <= share <= 37 else ["that is not about a tenth"])
    report.step(f"none of {len(refused)} traces is kept whose caller refused them", ["some are"] if kept(refused) else [])


def depends(jaeger: Program, report: Report) -> None:
    end = int(time.time() * 1000)
    edges = json.loads(fetch(jaeger.url(16686, f"/api/dependencies?endTs={end}&lookback=3600000")))["data"]
    found = {(edge["parent"], edge["child"]) for edge in edges}
    text = ", ".join(f"{parent} → {child}" for parent, child in sorted(found))
    report.step(f"who depends on whom: {text}", [] if ("tidemark-tasks", "tidemark-history") in found else ["tasks → history is missing"])


@contextmanager
def running(program: Program):
    try:
        program.start()
        yield
    finally:
        program.stop()


def examine(stack: Stack, jaeger: Program, collector: Program, report: Report) -> None:
    marker = f"quokka-{time.time_ns()}"
    login = json.loads(fetch(f"{stack.url}/api/auth/login", {"username": "Avinash", "password": "Avinash123"}))
    token = login["data"]["token"]
    context, group_id = one_change(stack, token, marker)
    quick = [Context() for _ in range(QUICK)]
    refused = [Context(recorded=False) for _ in range(QUICK)]
    for one in quick + refused:
        ask(f"{stack.url}/api/groups/{group_id}/tasks", token, one)
    sampling(collector, stack, token, group_id, report)
    broken = errors(stack, token, group_id)
    spans = wait_for("Jaeger has the trace of the change", lambda: trace_of(jaeger, context), 60)
    followed(spans, context, report)
    tail_sampling(jaeger, broken, quick, refused, report)
    depends(jaeger, report)
    forbidden = {f"the secret {name}": value for name, value in stack.secrets.items() if isinstance(value, str)}
    quiet(jaeger, forbidden | {"a user's text": marker, "the password": "Avinash123", "the token": token}, report)


def main() -> int:
    report = Report()
    with tempfile.TemporaryDirectory(prefix="tidemark-watch-") as name:
        folder = Path(name)
        jaeger = Program("jaeger", check.OBSERVABILITY / "jaeger" / "jaeger.yaml", folder)
        collector = Program("collector", check.OBSERVABILITY / "collector" / "collector.yaml", folder)
        collector.configuration["exporters"]["otlp/jaeger"]["endpoint"] = f"127.0.0.1:{jaeger.ports[4317]}"
        lacking = [f"{one.file.name}: {line}" for one in (jaeger, collector) for line in one.replace_unknown({"health_check": "healthcheckv2"})]
        report.step("Jaeger's program has every component of both files, or one that stands in", lacking)
        stack = Stack(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.ports[4317]}", OTEL_EXPORTER_OTLP_INSECURE="true")
        try:
            with running(jaeger), running(collector), stack.running(free_port()):
                report.step("Jaeger and the collector are up with our files, and say so where they are asked", [])
                examine(stack, jaeger, collector, report)
        except (Failure, KeyboardInterrupt) as fault:
            report.step(str(fault) or "interrupted", ["stopped here"])
            for log in sorted(folder.glob("*.log")):
                say(f"  {log.name}: {' / '.join(log.read_text().splitlines()[-3:])[:900]}")
        for line in jaeger.differences + collector.differences:
            say(f"not as in production: {line}")
        say(f"not as in production: the program of Jaeger {tools.JAEGER} runs both files; they listen on loopback, on free ports")
        say("not as in production: the store is memory, as in jaeger.yaml; nothing of it outlives the run")
    say(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
