#!/usr/bin/env python3
"""Looks into the image, then starts it with a sidecar and Redis, without a shell, root or anything to write to, and
uses it as a client would."""

import datetime
import json
import os
import pathlib
import secrets
import signal
import tarfile
import tempfile
import time
import urllib.error
import urllib.request

from report import PROJECT, Report, docker, expect, run, stand_ins

IMAGE = os.environ.get("IMAGE", "ghcr.io/tidemark/tidemark:0.1.0")
DAPRD = "daprio/daprd:1.18.1"
REDIS = "redis:7.4.8-bookworm"
BUDGET = 50_000_000
NAME = f"tidemark-image-test-{os.getpid()}"
DOCKER = docker()

# What nobody should find who got in.
UNWANTED = {
    "sh", "bash", "dash", "ash", "busybox", "zsh", "env", "apt", "apt-get", "dpkg", "apk", "perl", "python3", "curl",
    "wget", "nc", "su", "sudo", "mount", "ls", "cat",
}
LABELS = ("title", "description", "licenses", "source", "version", "revision", "created")


def inspect(field):
    return json.loads(run(DOCKER, "image", "inspect", "--format", f"{{{{json {field}}}}}", IMAGE).stdout)


def is_small():
    size = inspect(".Size")
    expect(size < BUDGET, f"{size} bytes")
    return f"{size / 1e6:.1f} MB of {BUDGET / 1e6:.0f} MB, {len(inspect('.RootFS.Layers'))} layers"


def is_configured():
    configuration = inspect(".Config")
    expect(configuration["User"] == "65532:65532", configuration["User"])
    expect(configuration["Entrypoint"] == ["/usr/local/bin/tidemark"], configuration["Entrypoint"])
    expect(configuration["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/tidemark", "health"], "health check")
    labels = configuration["Labels"]
    for label in LABELS:
        expect(labels.get(f"org.opencontainers.image.{label}"), f"the label {label} is missing")
    names = [setting.split("=")[0] for setting in configuration["Env"]]
    expect(not [name for name in names if "TOKEN" in name or "PASSWORD" in name], names)
    return f"user 65532, health check, labels {', '.join(LABELS)}"


def files_of(folder):
    archive = pathlib.Path(folder) / "image.tar"
    container = run(DOCKER, "create", IMAGE).stdout.strip()
    try:
        run(DOCKER, "export", "--output", archive, container)
    finally:
        run(DOCKER, "rm", container)
    return tarfile.open(archive)


def has_no_shell(files):
    members = files.getmembers()
    programs = [member.name for member in members if member.isreg() and member.mode & 0o111]
    found = [name for name in programs if pathlib.PurePath(name).name in UNWANTED]
    expect(not found, f"in the image: {found}")
    owned = [member.name for member in members if member.isreg() and member.mode & 0o6000]
    expect(not owned, f"set-user-id: {owned}")
    open_to_all = [m.name for m in members if m.isreg() and m.mode & 0o002]
    expect(not open_to_all, f"writable by all: {open_to_all}")
    libraries = [name for name in programs if ".so" in name]
    return f"{len(members)} files; programs: {', '.join(sorted(set(programs) - set(libraries)))}"


def says_what_is_in_it(files):
    listed = json.load(files.extractfile("usr/local/share/tidemark/tidemark.cdx.json"))
    expect(listed["bomFormat"] == "CycloneDX", listed.get("bomFormat"))
    components = {(part["name"], part["version"]) for part in listed["components"]}
    for name in ("axum", "tokio", "tonic", "dapr"):
        expect(any(part == name for part, _ in components), f"{name} is not listed")
    locked = (PROJECT / "Cargo.lock").read_text(encoding="utf-8")
    for name, version in components:
        expect(f'name = "{name}"\nversion = "{version}"' in locked, f"{name} {version} is not what is locked")
    return f"CycloneDX {listed['specVersion']}, {len(components)} components, each as in Cargo.lock"


def bears_the_commits_time(files):
    """With the build's own time in it, the same source would give another image each time."""
    created = datetime.datetime.fromisoformat(inspect(".Config.Labels")["org.opencontainers.image.created"])
    own = [member for member in files.getmembers() if member.isreg() and "tidemark" in member.name]
    expect(len(own) == 2, [member.name for member in own])
    for member in own:
        changed = datetime.datetime.fromtimestamp(member.mtime, datetime.UTC)
        expect(changed == created, f"{member.name} is of {changed}, its commit of {created}")
    return f"{len(own)} files of {created:%Y-%m-%d %H:%M:%S} UTC"


def needs_nothing():
    bare = ["--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    version = run(DOCKER, "run", *bare, IMAGE, "--version").stdout.strip()
    expect("no fault" in run(DOCKER, "run", *bare, IMAGE, "config").stdout, "config")
    refused = run(DOCKER, "run", *bare, "--env", "APP_ENV=production", IMAGE, "serve", check=False)
    expect(refused.returncode != 0 and "DAPR_API_TOKEN" in refused.stderr, "production starts without tokens")
    return f"{version}: read-only, no network, no capability; production without tokens refuses to start"


COMPONENTS = {
    # Events are not this check's matter: a store and the key of tokens are all that these two roles need.
    "statestore.yaml": (PROJECT / "components/statestore.yaml").read_text(encoding="utf-8"),
    "secretstore.yaml": (PROJECT / "components/secretstore.yaml").read_text(encoding="utf-8"),
}


class System:
    """Redis, a sidecar and the image, on a network of their own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.tokens = {"DAPR_API_TOKEN": secrets.token_hex(24), "APP_API_TOKEN": secrets.token_hex(24)}
        self.url = None

    def start(self):
        run("deploy/first-start.sh", self.folder / "env", self.folder / "secrets")
        components = self.folder / "components"
        components.mkdir()
        for name, text in COMPONENTS.items():
            (components / name).write_text(text, encoding="utf-8")
        for path in (self.folder, components):
            path.chmod(0o755)
        run(DOCKER, "network", "create", NAME)
        hard = ["--detach", "--network", NAME, "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        hard += ["--read-only"]
        tokens = [word for name, value in self.tokens.items() for word in ("--env", f"{name}={value}")]
        password = (self.folder / "secrets/redis-password").read_text(encoding="utf-8")
        run(DOCKER, "run", *hard, "--name", f"{NAME}-redis", "--network-alias", "redis", "--user", "999:999",
            "--tmpfs", "/data:uid=999,gid=999", REDIS, "redis-server", "--requirepass", password)
        run(DOCKER, "run", *hard, "--name", f"{NAME}-app", "--network-alias", "app", *tokens, "--publish", "127.0.0.1::3001",
            "--memory", "256m", "--health-interval", "1s", "--env", "APP_CHANNEL_ADDRESS=0.0.0.0:50001",
            "--env", "DAPR_GRPC_ENDPOINT=http://sidecar:50002", "--env", "KAFKA_ENABLED=false", IMAGE, "serve", "accounts", "tasks")
        run(DOCKER, "run", *hard, "--name", f"{NAME}-sidecar", "--network-alias", "sidecar", *tokens, "--user", "65532:65532",
            "--volume", f"{components}:/components:ro", "--volume", f"{PROJECT / 'dapr'}:/dapr:ro",
            "--volume", f"{self.folder / 'secrets/secret-store.json'}:/secret-store.json:ro", "--tmpfs", "/names:uid=65532",
            "--env", "SECRETS_FILE=/secret-store.json", "--env", "REDIS_ADDRESS=redis:6379", "--env", "NAME_RESOLUTION_FILE=/names/names.db",
            "--entrypoint", "/daprd", DAPRD, "--app-id", "tidemark", "--app-protocol", "grpc", "--app-port", "50001",
            "--app-channel-address", "app", "--dapr-listen-addresses", "0.0.0.0", "--dapr-grpc-port", "50002",
            "--resources-path", "/components", "--config", "/dapr/configuration.yaml", "--config", "/dapr/configuration-local.yaml")
        self.url = "http://" + run(DOCKER, "port", f"{NAME}-app", "3001").stdout.split()[0]
        deadline = time.monotonic() + 120
        while self.health() != "healthy":
            expect(time.monotonic() < deadline, f"{self.health()}\n{self.logs()}")
            time.sleep(0.5)
        return "Redis, sidecar and the roles accounts and tasks; healthy by its own health check"

    def health(self):
        return run(DOCKER, "inspect", "--format", "{{.State.Health.Status}}", f"{NAME}-app").stdout.strip()

    def logs(self):
        return "".join(
            run(DOCKER, "logs", "--tail", "15", f"{NAME}-{part}", check=False).stderr[-3000:]
            + run(DOCKER, "logs", "--tail", "15", f"{NAME}-{part}", check=False).stdout[-3000:]
            for part in ("app", "sidecar")
        )

    def ask(self, method, path, body=None, token=None, **headers):
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as answer:
            return answer.code, json.loads(answer.read() or b"null"), answer.headers

    def use(self):
        person = {"username": "Ada", "password": "correct horse 1"}
        expect(self.ask("POST", "/api/auth/register", person)[0] == 201, "register")
        _, session, _ = self.ask("POST", "/api/auth/login", person)
        token = session["token"]
        expect(self.ask("GET", "/api/groups")[0] == 401, "without a token")
        status, made, _ = self.ask("POST", "/api/groups", {"name": "Launch"}, token, Idempotency_Key="g")
        expect(status == 201, made)
        again = self.ask("POST", "/api/groups", {"name": "Launch"}, token, Idempotency_Key="g")
        expect(again[1] == made and again[2]["Idempotency-Replayed"] == "true", "a repeat makes a second group")
        group = made["group"]["_id"]
        status, task, headers = self.ask("POST", f"/api/groups/{group}/tasks", {"name": "Announce"}, token)
        expect(status == 201, task)
        path = f"/api/tasks/{task['task']['_id']}"
        version = headers["ETag"]
        expect(self.ask("PUT", path, {"status": "In Progress"}, token, If_Match=version)[0] == 200, "change")
        expect(self.ask("PUT", path, {"status": "New"}, token, If_Match=version)[0] == 412, "a stale change")
        expect(self.ask("GET", path, None, token)[1]["task"]["status"] == "In Progress", "read")
        expect(self.ask("DELETE", path, None, token)[0] in (200, 204), "delete")
        expect(self.ask("GET", path, None, token)[0] == 404, "read what was deleted")
        return "register, log in, make safely, change under a condition, read, delete"

    def measured(self):
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            expect(b"http_requests_total" in answer.read(), "no metrics")
        usage = run(DOCKER, "stats", "--no-stream", "--format", "{{.MemUsage}}", f"{NAME}-app").stdout.strip()
        return f"/metrics; memory {usage}"

    def ends_in_order(self):
        started = time.monotonic()
        run(DOCKER, "stop", "--time", "40", f"{NAME}-app")
        code = run(DOCKER, "inspect", "--format", "{{.State.ExitCode}}", f"{NAME}-app").stdout.strip()
        expect(code == "0", f"exit code {code}\n{self.logs()}")
        return f"exit code 0, {time.monotonic() - started:.1f} s after SIGTERM"

    def remove(self):
        for part in ("app", "sidecar", "redis"):
            run(DOCKER, "rm", "--force", "--volumes", f"{NAME}-{part}", check=False)
        run(DOCKER, "network", "rm", NAME, check=False)


def main():
    signal.signal(signal.SIGTERM, lambda *_: exit(1))
    report = Report("The image, looked into and used (make image-test)", "image.txt")
    revision = inspect(".Config.Labels")["org.opencontainers.image.revision"]
    report.say(f"{IMAGE}, built from {revision[:7]}\nDocker Engine {run(DOCKER, 'version', '--format', '{{.Server.Version}}').stdout.strip()}")
    report.say(stand_ins(DOCKER, "rust:", "distroless", DAPRD, REDIS))
    with tempfile.TemporaryDirectory() as folder:
        report.step("within the budget of size", is_small)
        report.step("configured as it should be", is_configured)
        with files_of(folder) as files:
            report.step("no shell, no tools, nothing that changes who one is", has_no_shell, files)
            report.step("a list of its components", says_what_is_in_it, files)
            report.step("files of the commit's time, not the build's", bears_the_commits_time, files)
        report.step("nothing needed but its program", needs_nothing)
        system = System(folder)
        try:
            for name, action in (
                ("started with a sidecar, read-only, not root", system.start),
                ("the smoke suite", system.use),
                ("measured", system.measured),
                ("ends in order", system.ends_in_order),
            ):
                if report.failed == 0:
                    report.step(name, action)
        finally:
            system.remove()
    report.finish()


if __name__ == "__main__":
    main()
