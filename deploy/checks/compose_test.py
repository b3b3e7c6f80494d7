#!/usr/bin/env python3
"""Starts the core of the compose file on a real engine, uses it as a client would, breaks it, and takes it away.

The core: roles, sidecars, Redis, Kafka, TimescaleDB (or PostgreSQL in its place), RabbitMQ, the schema registry, the
edge, Prometheus and Alertmanager, and a second replica of tasks."""

import json
import os
import pathlib
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid

from report import CACHE, COMPOSE_VERSION, Report, docker, expect, kill, run, stand_ins

DOCKER = docker()
NAME = "tidemark-check"
ROLES = ["accounts", "tasks", "history", "notifications", "gateway", "tasks-2"]
CORE = [
    "nginx", *ROLES, *(f"{role}-sidecar" for role in ROLES), "redis", "kafka-1", "kafka-2", "kafka-3", "timescaledb",
    "rabbitmq", "schema-registry", "prometheus", "alertmanager",
]
# Settings of ports and what listens there.
PORTS = [
    "PORT", "ACCOUNTS_PORT", "TASKS_PORT", "TASKS_2_PORT", "HISTORY_PORT", "NOTIFICATIONS_PORT", "GATEWAY_PORT",
    "REDIS_PORT", "KAFKA_1_PORT", "KAFKA_2_PORT", "KAFKA_3_PORT", "TIMESCALEDB_PORT", "RABBITMQ_PORT",
    "RABBITMQ_MANAGEMENT_PORT", "SCHEMA_REGISTRY_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT",
]


def free_ports(count):
    """Ports that are free now, below those that the kernel gives to outgoing connections."""
    found, port = [], 20_000 + os.getpid() % 8_000
    while len(found) < count:
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                pass
        port += 1
    return found


class System:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.secrets = self.folder / "secrets"
        self.settings = self.folder / "env"
        run("deploy/first-start.sh", self.settings, self.secrets)
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        lines = [f"{name}={port}" for name, port in self.ports.items()]
        # Hashing at full strength would be most of what the suite waits for.
        lines += ["ARGON2_MEMORY_KIBIBYTES=1024", "ARGON2_PASSES=1", f"SECRETS_DIR={self.secrets}"]
        with self.settings.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        self.url = f"http://localhost:{self.ports['PORT']}"

    def compose(self, *arguments, **options):
        program = CACHE / "tools" / f"docker-compose-{COMPOSE_VERSION}"
        files = ["--file", "docker-compose.yml", "--file", "deploy/checks/compose.test.yml", "--project-directory", "."]
        profile = ["--profile", "observability"]
        return run(program, "--project-name", NAME, *files, "--env-file", self.settings, *profile, *arguments, **options)

    def up(self):
        started = time.monotonic()
        self.compose("up", "--detach", "--wait", "--wait-timeout", "400", "--no-build", "--pull", "never", *CORE)
        ready = time.monotonic() - started
        for job in ("schemas", "seed"):
            self.compose("run", "--rm", "--no-deps", job)
        return f"{len(CORE)} services healthy after {ready:.0f} s; schema registered, demo data put in"

    def state(self, field, service):
        container = self.compose("ps", "--all", "--quiet", service).stdout.strip()
        return run(DOCKER, "inspect", "--format", f"{{{{{field}}}}}", container).stdout.strip()

    def get(self, url):
        with urllib.request.urlopen(url, timeout=15) as answer:
            return json.load(answer)

    def everything_says_that_it_is_healthy(self):
        health = self.get(f"{self.url}/api/health")
        expect(health["status"] == "healthy", health)
        return ", ".join(f"{name} {word}" for name, word in health["services"].items())

    def prometheus_reaches_the_core(self):
        wanted = {"todo-backend", "dapr", "rabbitmq", "prometheus", "alertmanager"}
        deadline = time.monotonic() + 90
        while True:
            found = self.get(f"http://localhost:{self.ports['PROMETHEUS_PORT']}/api/v1/targets")["data"]["activeTargets"]
            up = {}
            for target in found:
                if target["health"] == "up":
                    up[target["labels"]["job"]] = up.get(target["labels"]["job"], 0) + 1
            if wanted <= up.keys() and up["todo-backend"] == up["dapr"] == len(ROLES):
                return ", ".join(f"{job} {count}" for job, count in sorted(up.items()))
            expect(time.monotonic() < deadline, f"up: {up}")
            time.sleep(2)

    def prometheus_knows_alertmanager(self):
        found = self.get(f"http://localhost:{self.ports['PROMETHEUS_PORT']}/api/v1/alertmanagers")["data"]
        expect(len(found["activeAlertmanagers"]) == 1, found)
        rules = self.get(f"http://localhost:{self.ports['PROMETHEUS_PORT']}/api/v1/rules")["data"]["groups"]
        return f"{sum(len(group['rules']) for group in rules)} rules loaded"

    def brokers_keep_three_copies(self):
        tool = ["exec", "-T", "-e", "KAFKA_HEAP_OPTS=-Xmx128m", "kafka-1", "/opt/kafka/bin/kafka-topics.sh"]
        text = self.compose(*tool, "--bootstrap-server", "kafka-1:29092", "--describe", "--topic", "todo-history-events").stdout
        partitions = [line for line in text.splitlines() if "Leader:" in line]
        expect(len(partitions) == 6, text)
        for line in partitions:
            expect(len(line.split("Isr:")[1].split()[0].split(",")) == 3, line)
        return "6 partitions, each with 3 replicas in sync"

    def registry_has_the_schema(self):
        base = f"http://localhost:{self.ports['SCHEMA_REGISTRY_PORT']}/apis/ccompat/v7"
        found = self.get(f"{base}/subjects/todo-history-events-value/versions/latest")
        expect(found["id"] == 1, found)
        return "todo-history-events-value, id 1"

    def containers_may_nothing(self):
        for service in CORE:
            user = self.state(".Config.User", service)
            expect(user not in ("", "0", "0:0", "root") or service.startswith("kafka"), f"{service} runs as {user or 'root'}")
            expect(self.state(".HostConfig.CapDrop", service) == "[ALL]", f"{service} has capabilities")
        for role in ROLES:
            expect(self.state(".HostConfig.ReadonlyRootfs", role) == "true", f"{role} may write")

    def passes_the_acceptance_suite(self):
        at = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        description = {
            "public": at["PORT"], "redis": at["REDIS_PORT"], "kafka": at["KAFKA_1_PORT"], "postgres": at["TIMESCALEDB_PORT"],
            "roles": {
                "accounts": [at["ACCOUNTS_PORT"]], "tasks": [at["TASKS_PORT"], at["TASKS_2_PORT"]],
                "history": [at["HISTORY_PORT"]], "notifications": [at["NOTIFICATIONS_PORT"]], "gateway": [at["GATEWAY_PORT"]],
            },
            "secret-store": str(self.secrets / "secret-store.json"),
        }
        path = self.folder / "description.json"
        path.write_text(json.dumps(description), encoding="utf-8")
        environment = {**os.environ, "ATTACH": str(path)}
        # A migration's trial starts the program a second time, beside a sidecar of its own stack.
        command = ["cargo", "test", "--package", "tidemark-acceptance", "--test", "acceptance", "--", "--skip", "migration::"]
        done = run(*command, check=False, timeout=1500, env=environment)
        results = [line for line in done.stdout.splitlines() if line.startswith("test result")]
        expect(done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:])
        return "\n".join(results[:1])

    def ask(self, method, path, body=None, token=None, key=None):
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if key:
            request.add_header("Idempotency-Key", key)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as answer:
            return answer.code, json.loads(answer.read() or b"null")

    def crash(self, service):
        """Kills a container's process from outside, so that it is a crash and no stop."""
        pid = int(self.state(".State.Pid", service))
        expect(pid > 1, f"{service} does not run")
        kill(pid)

    def loses_nothing_while(self, broken):
        """Makes tasks and reads lists through the edge while `broken` breaks something. Whatever was acknowledged is
        there once; readers notice nothing."""
        _, session = self.ask("POST", "/api/auth/login", {"username": "Avinash", "password": "Avinash123"})
        token = session["token"]
        _, made = self.ask("POST", "/api/groups", {"name": f"broken-{uuid.uuid4()}"}, token, str(uuid.uuid4()))
        path = f"/api/groups/{made['group']['_id']}/tasks"
        over, acknowledged, refused, failed_reads, reads = threading.Event(), [], [], [], []

        def write():
            while not over.is_set():
                name = key = str(uuid.uuid4())
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    status, answer = self.ask("POST", path, {"name": name}, token, key)
                    if status == 201:
                        acknowledged.append(name)
                        break
                    refused.append((status, answer.get("code")))
                    time.sleep(0.2)

        def read():
            while not over.is_set():
                status, _ = self.ask("GET", "/api/groups?limit=1", None, token)
                (reads if status == 200 else failed_reads).append(status)
                time.sleep(0.02)

        workers = [threading.Thread(target=work) for work in (write, write, write, read, read)]
        for worker in workers:
            worker.start()
        try:
            time.sleep(3)
            broken()
            time.sleep(12)
        finally:
            over.set()
            for worker in workers:
                worker.join()
        names, cursor = [], ""
        while cursor is not None:
            _, page = self.ask("GET", f"{path}?limit=200{cursor}", None, token)
            names += [task["name"] for task in page["tasks"]]
            cursor = f"&cursor={page['next']}" if page["next"] else None
        expect(len(names) == len(set(names)), "a task was made twice")
        expect(set(acknowledged) <= set(names), "an acknowledged task is gone")
        expect({status for status, _ in refused} <= {503, 409}, f"refused with {set(refused)}")
        return (
            f"{len(acknowledged)} tasks acknowledged, each there once; {len(refused)} attempts told to come again; "
            f"{len(reads)} lists read, {len(failed_reads)} not"
        ), failed_reads

    def one_replica_crashes(self):
        before = self.state(".RestartCount", "tasks")
        told, failed_reads = self.loses_nothing_while(lambda: self.crash("tasks"))
        expect(not failed_reads, f"{told}: {set(failed_reads)}")
        self.wait_healthy("tasks")
        expect(int(self.state(".RestartCount", "tasks")) > int(before), "the engine did not start it again")
        return told

    def a_sidecar_crashes(self):
        told, _ = self.loses_nothing_while(lambda: self.crash("tasks-sidecar"))
        self.wait_healthy("tasks")
        return told

    def a_broker_crashes(self):
        told, failed_reads = self.loses_nothing_while(lambda: self.crash("kafka-2"))
        expect(not failed_reads, f"{told}: {set(failed_reads)}")
        self.wait_healthy("kafka-2")
        return told

    def wait_healthy(self, service):
        deadline = time.monotonic() + 120
        while self.state(".State.Health.Status", service) != "healthy":
            expect(time.monotonic() < deadline, f"{service} does not recover")
            time.sleep(1)

    def memory(self):
        ids = self.compose("ps", "--quiet").stdout.split()
        text = run(DOCKER, "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *ids).stdout
        return "\n".join(sorted(line.replace(f"{NAME}-", "", 1) for line in text.splitlines()))

    def ends_in_order(self):
        self.compose("stop", timeout=300)
        codes = {service: self.state(".State.ExitCode", service) for service in CORE}
        for service in [*ROLES, "nginx", "redis"]:
            expect(codes[service] == "0", f"{service} ended with {codes[service]}")
        return ", ".join(f"{service} {code}" for service, code in codes.items())

    def remove(self):
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", timeout=300, check=False)

    def logs(self):
        return self.compose("logs", "--no-color", "--tail", "30", check=False).stdout[-20000:]


def main():
    report = Report("The core of the compose file on a real engine (make compose-test)", "compose.txt")
    version = run(DOCKER, "version", "--format", "{{.Server.Version}}").stdout.strip()
    report.say(f"Docker Engine {version}, docker compose {COMPOSE_VERSION}")
    report.say(stand_ins(DOCKER, "apache/", "apicurio/", "daprio/", "distroless", "nginxinc/", "prom/", "rabbitmq:", "redis:", "timescale/"))
    with tempfile.TemporaryDirectory() as folder:
        system = System(folder)
        system.remove()
        try:
            steps = [
                ("everything comes up", system.up),
                ("everything says that it is healthy", system.everything_says_that_it_is_healthy),
                ("containers are not root and may nothing", system.containers_may_nothing),
                ("Kafka keeps three copies", system.brokers_keep_three_copies),
                ("the registry has the ledger's schema", system.registry_has_the_schema),
                ("Prometheus reaches every role, sidecar and RabbitMQ", system.prometheus_reaches_the_core),
                ("Prometheus knows Alertmanager and its rules", system.prometheus_knows_alertmanager),
                ("the acceptance suite, but for what starts, stops or breaks parts", system.passes_the_acceptance_suite),
                ("a replica of tasks crashes", system.one_replica_crashes),
                ("a sidecar crashes", system.a_sidecar_crashes),
                ("a broker crashes", system.a_broker_crashes),
                ("everything says that it is healthy again", system.everything_says_that_it_is_healthy),
                ("memory", system.memory),
                ("everything ends in order", system.ends_in_order),
            ]
            for number, (name, action) in enumerate(steps):
                report.step(name, action)
                if number == 0 and report.failed:
                    break
            if report.failed:
                (CACHE / "compose-test.log").write_text(system.logs(), encoding="utf-8")
                print(f"the containers' last lines are in {CACHE / 'compose-test.log'}")
        finally:
            system.remove()
    report.finish()


if __name__ == "__main__":
    main()
