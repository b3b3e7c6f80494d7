"""Argo CD's real controllers on argocd/ of this repository, read from a Git repository on this machine.

One control plane plays both clusters: staging under the name that a cluster has for itself, production under its
address. The repository is a copy of the work tree in which four things are changed, all of them here: its own
address, no operators from the internet (their definitions are there, and `play_operators` reports what they would),
no monitoring and no Gateway, of which one cluster has one, and Slack's address.
"""

import base64
import contextlib
import http.server
import json
import os
import secrets
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qs

import definitions
import tools
from plane import CommandFailed, Plane, command, free_ports
from processes import wait_for
from suite import Run, expect, step
from volumes import offer_volumes

ORIGIN = "https://github.com/tidemark/tidemark.git"
STAGING_SERVER = "https://kubernetes.default.svc"
STAGING, PRODUCTION = "tidemark-staging", "tidemark-production"
RESYNC_SECONDS = 10
AUTHOR = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]


class Repository:
    """A work tree, and a server of its bare copy for Argo CD."""

    def __init__(self, folder: Path):
        self.tree, self.bare = folder / "tree", folder / "served" / "tidemark.git"
        self.bare.parent.mkdir(parents=True)
        self.tree.mkdir()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), git_handler(self.bare.parent))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/tidemark.git"

    def fill(self, slack: str) -> None:
        for part in ("argocd", "charts"):
            shutil.copytree(tools.ROOT / part, self.tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (self.tree / "argocd").rglob("*.yaml"):
            file.write_text(file.read_text().replace(ORIGIN, self.url))
        for environment in ("staging", "production"):
            self.append(f"argocd/environment/values-{environment}.yaml", "operators: null\nparts: {monitoring: {clouds: []}, gateway: {clouds: []}}\n")
        notifications = self.tree / "argocd/installation/notifications.yaml"
        notifications.write_text(notifications.read_text().replace("    token: $slack-token\n", f"    token: $slack-token\n    apiURL: {slack}\n"))
        command("git", "init", "--quiet", "--initial-branch=main", self.tree)
        command("git", "clone", "--quiet", "--bare", self.tree, self.bare)
        self.commit("As it is")

    def append(self, path: str, text: str) -> None:
        file = self.tree / path
        file.write_text(file.read_text() + "\n" + text)

    def commit(self, subject: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.push()

    def revert(self) -> str:
        self.git("revert", "--no-edit", "HEAD")
        return self.push()

    def push(self) -> str:
        self.git("push", "--quiet", str(self.bare), "main")
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        return command("git", "-C", self.tree, *AUTHOR, *words)


def git_handler(folder: Path) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            environment = {
                **os.environ, "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }  # fmt: skip
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for key, value in fields.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Slack:
    """The two calls of Slack's interface that a notification makes, and what was said."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        slack = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                slack.messages.append({key: values[0] for key, values in parse_qs(raw).items()})
                body = json.dumps({"ok": True, "channel": "C1", "ts": str(time.time())}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/api/"


@dataclass
class Stage:
    """What these steps share."""

    plane: Plane
    repository: Repository
    slack: Slack
    began: float


STAGE: list[Stage] = []


def stage() -> Stage:
    return STAGE[0]


def conditions(kind: str, generation: int) -> dict:
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": now()}
    if kind == "rabbitmqclusters.rabbitmq.com":
        names = ("AllReplicasReady", "ClusterAvailable", "NoWarnings", "ReconcileSuccess")
        return {"observedGeneration": generation, "conditions": [{**ready, "type": name} for name in names]}
    if kind == "clusters.postgresql.cnpg.io":
        return {"phase": "Cluster in healthy state", "phaseReason": "", "conditions": [ready]}
    if kind == "httproutes.gateway.networking.k8s.io":
        parent = {"parentRef": {"name": "public"}, "controllerName": "test/gateway", "conditions": [
            {**ready, "type": name, "observedGeneration": generation} for name in ("Accepted", "ResolvedRefs")]}  # fmt: skip
        return {"parents": [parent]}
    return {"observedGeneration": generation, "conditions": [ready]}


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


PLAYED_KINDS = (
    "kafkas.kafka.strimzi.io", "kafkanodepools.kafka.strimzi.io", "kafkatopics.kafka.strimzi.io",
    "kafkausers.kafka.strimzi.io", "rabbitmqclusters.rabbitmq.com", "clusters.postgresql.cnpg.io",
    "httproutes.gateway.networking.k8s.io",
)  # fmt: skip


def play_operators(plane: Plane) -> None:
    """Reports as ready what an operator would make ready."""
    for kind in PLAYED_KINDS:
        for each in plane.every(kind):
            if each.get("status", {}).get("conditions") or each.get("status", {}).get("parents"):
                continue
            meta = each["metadata"]
            status = {"status": conditions(kind, meta["generation"])}
            plane.kubectl("patch", kind, meta["name"], "-n", meta["namespace"], "--subresource=status", "--type=merge",
                          "--patch", json.dumps(status))  # fmt: skip


def keep_playing(here: Stage) -> None:
    # As long as the control plane: what is not there yet, or no more, is nothing to report on.
    while here.plane.processes.runs("kube-apiserver"):
        with contextlib.suppress(CommandFailed):
            play_operators(here.plane)
        time.sleep(1)


def state(name: str) -> str:
    status = stage().plane.get("application", name, "argocd").get("status", {})
    return f"{status.get('sync', {}).get('status')}/{status.get('health', {}).get('status')}"


def applications() -> dict[str, str]:
    return {
        each["metadata"]["name"]: f"{each.get('status', {}).get('sync', {}).get('status')}/{each.get('status', {}).get('health', {}).get('status')}"
        for each in stage().plane.every("applications", "argocd")
    }


def wait_for_state(name: str, wanted: str, seconds: float, revision: str = "") -> float:
    began = time.monotonic()

    def reached() -> bool:
        found = stage().plane.get("application", name, "argocd").get("status", {})
        said = f"{found.get('sync', {}).get('status')}/{found.get('health', {}).get('status')}"
        if said != wanted or (revision and found["sync"].get("revision") != revision):
            operation = found.get("operationState", {})
            raise CommandFailed(f"{said} at {found.get('sync', {}).get('revision', '')[:8]}; {operation.get('phase')}: "
                                f"{operation.get('message', '')[:300]}; {json.dumps(found.get('conditions', []))[:600]}")  # fmt: skip
        return True

    wait_for(f"{name} is {wanted}", seconds, reached, 0.3)
    return time.monotonic() - began


def refresh(name: str) -> None:
    """What a webhook of the Git server does: look now, not at the next resync."""
    stage().plane.kubectl("annotate", "application", name, "-n", "argocd", "argocd.argoproj.io/refresh=normal", "--overwrite")


def sync(name: str) -> None:
    """What `argocd app sync` asks for."""
    operation = {"operation": {"initiatedBy": {"username": "operator"}, "sync": {"syncOptions": [
        "CreateNamespace=true", "ServerSideApply=true", "RespectIgnoreDifferences=true", "PruneLast=true"]}}}  # fmt: skip
    stage().plane.kubectl("patch", "application", name, "-n", "argocd", "--type=merge", "--patch", json.dumps(operation))


def image_of(deployment: str, namespace: str) -> str:
    spec = stage().plane.get("deployment", deployment, namespace)["spec"]["template"]["spec"]
    return next(each["image"] for each in spec["containers"] if each["name"] == "tidemark")


def set_image(environment: str, tag: str) -> str:
    """A promotion: one line of the environment's values."""
    path = f"charts/tidemark/values-{environment}.yaml"
    file = stage().repository.tree / path
    # Later keys of the same name would be an error, so a section that is there is replaced.
    lines, skipping = [], False
    for line in file.read_text().splitlines():
        skipping = line.startswith("image:") or (skipping and line.startswith((" ", "\t")))
        if not skipping:
            lines.append(line)
    file.write_text("\n".join([*lines, "image:", f"  tag: {tag}", ""]))
    return stage().repository.commit(f"{environment}: {tag}")


def start_argo(run: Run, plane: Plane) -> None:
    names = ["redis", "repository", "repository-metrics", "controller-metrics", "sets-metrics", "sets-probe", "sets-webhook", "notifications"]
    port = dict(zip(names, free_ports(len(names)), strict=True))
    home = run.folder / "argo"
    programs = home / "bin"
    for each in (programs, home / "tls", home / "ssh", home / "gpg" / "source", home / "gpg" / "keys", home / "plugins", home / "tmp"):
        each.mkdir(parents=True, exist_ok=True)
    (programs / "helm").symlink_to(tools.helm())
    environment = {
        **plane.environment, "KUBECONFIG": str(home / "kubeconfig"), "HOME": str(home), "TMPDIR": str(home / "tmp"), "PATH": f"{programs}:{os.environ['PATH']}",
        "ARGOCD_TLS_DATA_PATH": str(home / "tls"), "ARGOCD_SSH_DATA_PATH": str(home / "ssh"),
        "ARGOCD_GPG_DATA_PATH": str(home / "gpg" / "source"), "ARGOCD_GNUPGHOME": str(home / "gpg" / "keys"),
        "ARGOCD_GPG_ENABLED": "false", "ARGOCD_PLUGINSOCKFILEPATH": str(home / "plugins"),
        # The name that a cluster has for itself leads to the kubeconfig's server.
        "ARGOCD_FAKE_IN_CLUSTER": "true", "ARGOCD_RECONCILIATION_JITTER": "0",
    }  # fmt: skip
    # Its own objects are looked for in the context's namespace.
    access = home / "kubeconfig"
    plane.write_kubeconfig(access, plane.user("admin"), "argocd")
    argocd, kubeconfig = tools.program("argocd"), f"--kubeconfig={access}"
    redis, repository = f"127.0.0.1:{port['redis']}", f"127.0.0.1:{port['repository']}"

    def start(name: str, *flags: str) -> None:
        plane.processes.start(name, argocd, *flags, environment={**environment, "ARGOCD_BINARY_NAME": name})

    plane.processes.start("redis", "redis-server", "--port", str(port["redis"]), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    start("argocd-repo-server", f"--port={port['repository']}", "--address=127.0.0.1", "--disable-tls", f"--redis={redis}",
          f"--metrics-port={port['repository-metrics']}", "--metrics-address=127.0.0.1")  # fmt: skip
    start("argocd-application-controller", kubeconfig, f"--repo-server={repository}", "--repo-server-plaintext",
          f"--redis={redis}", f"--metrics-port={port['controller-metrics']}", f"--app-resync={RESYNC_SECONDS}",
          "--self-heal-timeout-seconds=2")  # fmt: skip
    start("argocd-applicationset-controller", kubeconfig, "--namespace=argocd", f"--argocd-repo-server={repository}",
          "--repo-server-plaintext", f"--metrics-addr=127.0.0.1:{port['sets-metrics']}",
          f"--probe-addr=127.0.0.1:{port['sets-probe']}", f"--webhook-addr=127.0.0.1:{port['sets-webhook']}")  # fmt: skip
    start("argocd-notifications", kubeconfig, "--namespace=argocd", f"--argocd-repo-server={repository}",
          "--argocd-repo-server-plaintext", f"--metrics-port={port['notifications']}")  # fmt: skip


def config_map(name: str, data: dict[str, str]) -> dict:
    labels = {"app.kubernetes.io/part-of": "argocd"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "argocd", "labels": labels}, "data": data}


def secret(name: str, data: dict[str, str], **labels: str) -> dict:
    labels = {"app.kubernetes.io/part-of": "argocd", **labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "argocd", "labels": labels}, "stringData": data}


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def what_terraform_brings(plane: Plane) -> list[dict]:
    """Argo CD's own objects and the clusters' entries, as the chart makes them that Terraform installs."""
    access = {"caData": encoded(plane.pki / "ca.crt"), "certData": encoded(plane.pki / "admin.crt"), "keyData": encoded(plane.pki / "admin.key")}
    cluster = {"argocd.argoproj.io/secret-type": "cluster"}
    return [
        config_map("argocd-cm", {"timeout.reconciliation": f"{RESYNC_SECONDS}s", "timeout.reconciliation.jitter": "0s"}),
        config_map("argocd-rbac-cm", {"policy.default": "", "policy.csv": ""}),
        config_map("argocd-cmd-params-cm", {}),
        config_map("argocd-notifications-cm", {"context": "argocdUrl: http://localhost\n"}),
        secret("argocd-secret", {"server.secretkey": secrets.token_hex(16)}),
        secret("argocd-notifications-secret", {"slack-token": secrets.token_hex(16)}),
        secret("in-cluster", {"name": "in-cluster", "server": STAGING_SERVER, "config": json.dumps({"tlsClientConfig": {"insecure": False}})},
               **cluster, environment="staging"),
        secret("production", {"name": "production", "server": plane.server, "config": json.dumps({"tlsClientConfig": access})},
               **cluster, environment="production"),
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default", "namespace": "argocd"},
         "spec": {"sourceRepos": ["*"], "destinations": [{"namespace": "*", "server": "*"}],
                  "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}},
    ]  # fmt: skip


@step(
    "argo-access",
    "Viewers see, developers sync staging and not production, administrators sync production",
    deep=True,
    programs=("argocd",),
)
def access(run: Run) -> str:
    lines = (tools.ROOT / "argocd/installation/access.yaml").read_text().split("policy.tidemark.csv: |\n")[1].splitlines()
    policy = run.folder / "policy.csv"
    policy.write_text("\n".join(line.strip() for line in lines))
    table = [
        ("viewer", "get", "applications", "production/production-tidemark", True),
        ("viewer", "get", "logs", "production/production-tidemark", True),
        ("viewer", "sync", "applications", "staging/staging-tidemark", False),
        ("viewer", "delete", "applications", "staging/staging-tidemark", False),
        ("developer", "get", "applications", "production/production-tidemark", True),
        ("developer", "sync", "applications", "staging/staging-tidemark", True),
        ("developer", "action/apps/Deployment/restart", "applications", "staging/staging-tidemark", True),
        ("developer", "sync", "applications", "production/production-tidemark", False),
        ("developer", "override", "applications", "staging/staging-tidemark", False),
        ("developer", "delete", "applications", "staging/staging-tidemark", False),
        ("developer", "update", "projects", "staging", False),
        ("developer", "create", "exec", "staging/staging-tidemark", False),
        ("administrator", "sync", "applications", "production/production-tidemark", True),
        ("administrator", "update", "projects", "production", True),
        ("administrator", "create", "exec", "production/production-tidemark", False),
    ]
    wrong = []
    for role, action, resource, subject, allowed in table:
        done = subprocess.run(
            [tools.program("argocd"), "admin", "settings", "rbac", "can", f"role:{role}", action, resource, subject,
             "--policy-file", policy, "--default-role", ""],
            env={**os.environ, **run.plane.environment, "ARGOCD_BINARY_NAME": "argocd"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not done.stdout.startswith("Yes" if allowed else "No"):
            wrong.append(f"{role} {action} {resource} {subject}: {(done.stdout + done.stderr).strip()}")
    expect(not wrong, "\n".join(wrong))
    return f"{len(table)} permissions and refusals, asked of `argocd admin settings rbac can`"


@step(
    "argo-start",
    "From Terraform's bootstrap alone, data comes first and the program only when the data is healthy",
    deep=True,
    programs=("argocd",),
)
def start(run: Run) -> str:
    # A control plane of its own: what Helm installed before is not Argo CD's.
    run.plane.down()
    plane = Plane(run.folder / "gitops")
    run.plane = plane
    plane.up()
    definitions.install(plane)
    offer_volumes(plane)
    plane.namespace("argocd")
    plane.apply(what_terraform_brings(plane))
    slack = Slack()
    repository = Repository(run.folder / "git")
    repository.fill(slack.url)
    start_argo(run, plane)
    here = Stage(plane, repository, slack, time.monotonic())
    STAGE[:] = [here]
    chart = tools.ROOT / "terraform/modules/gitops/root-application"
    plane.helm("install", "root-application", chart, "--namespace", "argocd", "--set", "environment=staging",
               "--set", f"repositoryUrl={repository.url}", "--set", "targetRevision=main")  # fmt: skip
    wait_for("staging's data is there", 120, lambda: plane.every("kafkas.kafka.strimzi.io", STAGING), 0.5)
    data_after = time.monotonic() - here.began
    wait_for("Redis is healthy", 90, lambda: state("staging-redis") == "Synced/Healthy", 0.5)
    expect("staging-tidemark" not in applications(), "the program was made before its data was healthy")
    threading.Thread(target=keep_playing, args=(here,), daemon=True).start()
    played = time.monotonic()
    wait_for("the program's application is made", 120, lambda: "staging-tidemark" in applications(), 0.5)
    wait_for_state("staging-tidemark", "Synced/Healthy", 180)
    took = time.monotonic() - played
    jobs = {job["metadata"]["name"] for job in plane.every("jobs", STAGING) if job["status"].get("succeeded")}
    expect({"tidemark-migrate", "tidemark-test"} <= jobs, f"migration and smoke test were expected: {jobs}")
    migrated = plane.get("job", "tidemark-migrate", STAGING)["status"]["completionTime"]
    rolled = plane.get("deployment", "tidemark-tasks", STAGING)["metadata"]["creationTimestamp"]
    expect(migrated <= rolled, f"the roles came at {rolled}, before the migration had ended at {migrated}")
    wait_for_state("staging", "Synced/Healthy", 60)
    return (f"data after {data_after:.0f} s; once it was reported healthy, migration, roles and smoke test in {took:.0f} s\n"
            + ", ".join(f"{name} {value}" for name, value in sorted(applications().items())))  # fmt: skip


@step("argo-deploys", "A commit of staging's image is deployed without a hand", ("argo-start",), deep=True)
def deploys(_: Run) -> str:
    revision = set_image("staging", "0.1.1")
    began = time.monotonic()
    refresh("staging-tidemark")
    wait_for_state("staging-tidemark", "Synced/Healthy", 180, revision)
    expect(image_of("tidemark-tasks", STAGING).endswith(":0.1.1"), image_of("tidemark-tasks", STAGING))
    return f"{time.monotonic() - began:.1f} s from the push to Synced and Healthy"


@step("argo-heals", "What is changed or deleted by hand in staging comes back", ("argo-start",), deep=True)
def heals(_: Run) -> str:
    plane = stage().plane
    began = time.monotonic()
    plane.kubectl("set", "image", "deployment/tidemark-history", "tidemark=example.invalid/other:1", "-n", STAGING)
    wait_for("the changed image is back", 60, lambda: "example.invalid" not in image_of("tidemark-history", STAGING))
    changed = time.monotonic() - began
    before = plane.get("service", "tidemark-gateway", STAGING)["metadata"]["uid"]
    began = time.monotonic()
    plane.kubectl("delete", "service", "tidemark-gateway", "-n", STAGING)
    wait_for("the deleted Service is back", 60, lambda: plane.get("service", "tidemark-gateway", STAGING)["metadata"]["uid"] != before)
    deleted = time.monotonic() - began
    wait_for_state("staging-tidemark", "Synced/Healthy", 120)
    return f"a changed image after {changed:.1f} s, a deleted Service after {deleted:.1f} s"


def replicas_of(deployment: str) -> int:
    return int(stage().plane.get("deployment", deployment, STAGING)["spec"]["replicas"])


def autoscale(deployment: str, replicas: int) -> None:
    """As the horizontal autoscaler writes: its manager's name, the scale and nothing else."""
    stage().plane.kubectl("patch", "deployment", deployment, "-n", STAGING, "--subresource=scale", "--type=merge",
                          "--field-manager=kube-controller-manager", "--patch", json.dumps({"spec": {"replicas": replicas}}))  # fmt: skip


@step("argo-scaling", "Replicas that the autoscaler sets are left alone, and those that Git sets are not", ("argo-start",), deep=True)
def leaves_replicas_alone(_: Run) -> str:
    plane, before = stage().plane, replicas_of("tidemark-edge")
    # Git has a number for the edge; none for a role that an autoscaler is there for.
    for deployment in ("tidemark-accounts", "tidemark-edge"):
        autoscale(deployment, 4)
    refresh("staging-tidemark")
    limit = time.monotonic() + 2 * RESYNC_SECONDS
    while time.monotonic() < limit:
        expect(replicas_of("tidemark-accounts") == replicas_of("tidemark-edge") == 4, "the replicas were taken back")
        time.sleep(1)
    expect(state("staging-tidemark").startswith("Synced"), state("staging-tidemark"))

    file = stage().repository.tree / "charts/tidemark/values-staging.yaml"
    text = file.read_text()
    file.write_text(text.replace("  notifications:\n", "  notifications:\n    replicas: 3\n"))
    expect(file.read_text() != text and replicas_of("tidemark-notifications") != 3, "the commit would change nothing")
    revision = stage().repository.commit("Three replicas of notifications")
    refresh("staging-tidemark")
    began = time.monotonic()
    wait_for_state("staging-tidemark", "Synced/Healthy", 180, revision)
    wait_for("the commit's replicas are set", 30, lambda: replicas_of("tidemark-notifications") == 3)
    took = time.monotonic() - began
    expect(replicas_of("tidemark-edge") == 4, "the sync took the autoscaler's replicas back")

    plane.kubectl("scale", "deployment/tidemark-notifications", "--replicas=1", "-n", STAGING)
    refresh("staging-tidemark")
    wait_for("a person's replicas are taken back", 60, lambda: replicas_of("tidemark-notifications") == 3)
    revision = stage().repository.revert()
    autoscale("tidemark-edge", before)
    refresh("staging-tidemark")
    wait_for_state("staging-tidemark", "Synced/Healthy", 180, revision)
    return (f"four, set by the autoscaler, for {2 * RESYNC_SECONDS} s and through a sync, Synced all the while\n"
            f"three by a commit after {took:.1f} s; one by hand was taken back")  # fmt: skip


@step("argo-prunes", "What leaves Git leaves staging", ("argo-start",), deep=True)
def prunes(_: Run) -> str:
    plane, repository = stage().plane, stage().repository
    extra = repository.tree / "charts/tidemark/templates/extra.yaml"
    extra.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {a: b}\n")
    revision = repository.commit("Something more")
    refresh("staging-tidemark")
    wait_for_state("staging-tidemark", "Synced/Healthy", 120, revision)
    plane.get("configmap", "extra", STAGING)
    revision = repository.revert()
    began = time.monotonic()
    refresh("staging-tidemark")
    wait_for_state("staging-tidemark", "Synced/Healthy", 120, revision)
    wait_for("the ConfigMap is gone", 60, lambda: not [e for e in plane.every("configmaps", STAGING) if e["metadata"]["name"] == "extra"])
    return f"gone {time.monotonic() - began:.1f} s after the push"


@step("argo-refuses", "An application that leaves its project's bounds is refused", ("argo-start",), deep=True)
def refuses(_: Run) -> str:
    plane, said = stage().plane, []
    elsewhere = {"server": STAGING_SERVER, "namespace": "kube-system"}
    foreign = {"repoURL": "https://example.invalid/other.git", "path": ".", "targetRevision": "main"}
    own = {"repoURL": stage().repository.url, "path": "charts/redis", "targetRevision": "main"}
    for name, source, destination in (
        ("wrong-place", own, elsewhere),
        ("wrong-source", foreign, {"server": STAGING_SERVER, "namespace": STAGING}),
    ):
        spec = {"project": "staging", "source": source, "destination": destination}
        plane.apply([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "argocd"}, "spec": spec}])

        def condition(name: str = name) -> str:
            found = plane.get("application", name, "argocd").get("status", {}).get("conditions", [])
            return next((c["message"] for c in found if c["type"] == "InvalidSpecError"), "")

        said.append(str(wait_for(f"{name} is refused", 60, condition)).replace(stage().repository.url, "REPOSITORY"))
        plane.kubectl("delete", "application", name, "-n", "argocd", "--wait=false")
    # A kind that the project does not list, in an application that it does.
    extra = stage().repository.tree / "charts/tidemark/templates/extra.yaml"
    rules = "rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]"
    extra.write_text(f"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: extra}}\n{rules}\n")
    revision = stage().repository.commit("A Role that nobody asked for")
    refresh("staging-tidemark")

    def refused() -> str:
        operation = plane.get("application", "staging-tidemark", "argocd")["status"].get("operationState", {})
        results = operation.get("syncResult", {}).get("resources") or []
        if operation.get("syncResult", {}).get("revision") != revision:
            return ""
        return next((each["message"] for each in results if each["kind"] == "Role"), "")

    said.append(str(wait_for("the Role is refused", 90, refused)))
    revision = stage().repository.revert()
    end_operation("staging-tidemark")
    refresh("staging-tidemark")
    wait_for_state("staging-tidemark", "Synced/Healthy", 180, revision)
    return "\n".join(said)


def end_operation(name: str) -> None:
    """What `argocd app terminate-op` asks for; nothing if nothing is under way."""
    phase = stage().plane.get("application", name, "argocd")["status"].get("operationState", {}).get("phase")
    if phase == "Running":
        stage().plane.kubectl("patch", "application", name, "-n", "argocd", "--type=merge",
                              "--patch", json.dumps({"status": {"operationState": {"phase": "Terminating"}}}))  # fmt: skip


def serving() -> dict[str, tuple[int, int]]:
    """Of each role in staging, how many replicas are ready and how many there should be."""
    found = stage().plane.every("deployments", STAGING, "app.kubernetes.io/name=tidemark")
    return {each["metadata"]["name"]: (each["status"].get("readyReplicas", 0), each["spec"]["replicas"]) for each in found}


def revert_and_wait() -> float:
    revision = stage().repository.revert()
    began = time.monotonic()
    end_operation("staging-tidemark")
    refresh("staging-tidemark")
    wait_for_state("staging-tidemark", "Synced/Healthy", 180, revision)
    return time.monotonic() - began


@step("argo-bad-image", "An image that cannot be pulled takes no replica away, and a Git revert brings the old one back", ("argo-start",), deep=True)
def bad_image(_: Run) -> str:
    plane = stage().plane
    good = image_of("tidemark-tasks", STAGING)
    revision = set_image("staging", "cannot-be-pulled")
    refresh("staging-tidemark")

    def migration_waits() -> bool:
        operation = plane.get("application", "staging-tidemark", "argocd")["status"].get("operationState", {})
        return operation.get("syncResult", {}).get("revision") == revision and "tidemark-migrate" in operation.get("message", "")

    wait_for("the migration waits for the bad image", 90, migration_waits)
    expect(image_of("tidemark-tasks", STAGING) == good, "a role was changed before the migration was done")
    expect(all(ready == wanted for ready, wanted in serving().values()), f"replicas are missing: {serving()}")
    first = revert_and_wait()

    # What if the image was lost after the migration.
    stage().repository.append("charts/tidemark/values-staging.yaml", "migration: {enabled: false}\n")
    set_image("staging", "cannot-be-pulled")
    refresh("staging-tidemark")
    wait_for("the bad image is being rolled out", 90, lambda: image_of("tidemark-tasks", STAGING).endswith("cannot-be-pulled"))
    wait_for("a pod waits for it", 60, lambda: [
        pod for pod in plane.every("pods", STAGING, "app.kubernetes.io/component=tasks")
        if pod["status"].get("phase") == "Pending" and pod["status"].get("containerStatuses")])  # fmt: skip
    still = serving()
    expect(all(ready >= wanted - 1 for ready, wanted in still.values()), f"too few replicas serve: {still}")
    second = revert_and_wait()
    expect(image_of("tidemark-tasks", STAGING) == good, f"{image_of('tidemark-tasks', STAGING)} instead of {good}")
    least = min(ready / wanted for ready, wanted in still.values())
    return (f"stopped at the migration, every replica serving; {first:.1f} s from the revert to Synced and Healthy\n"
            f"without the migration at least {least:.0%} of a role's replicas served; {second:.1f} s from its revert")  # fmt: skip


@step("argo-production", "Production waits for a person, and for its hours", ("argo-start",), deep=True)
def production(_: Run) -> str:
    plane, lines = stage().plane, []
    wait_for("production's data is proposed", 60, lambda: state("production-redis").startswith("OutOfSync"))
    limit = time.monotonic() + 3 * RESYNC_SECONDS
    while time.monotonic() < limit:
        found = {name: value for name, value in applications().items() if name.startswith("production-")}
        expect(all(value.startswith("OutOfSync") for value in found.values()), f"not all wait: {found}")
        time.sleep(1)
    expect(not plane.every("statefulsets", PRODUCTION), "something was made in production")
    lines.append(f"{', '.join(sorted(found))}: OutOfSync for {3 * RESYNC_SECONDS} s")

    set_windows(f"{datetime.now(timezone.utc) + timedelta(hours=12):%M %H} * * *")
    sync("production-redis")

    def held() -> str:
        message = plane.get("application", "production-redis", "argocd")["status"].get("operationState", {}).get("message", "")
        return message if "window" in message else ""

    lines.append(f"outside its hours, a sync by hand: {wait_for('the sync is held back', 60, held)}")
    expect(not plane.every("statefulsets", PRODUCTION), "it was synced outside its hours")
    set_windows("* * * * *")
    began = time.monotonic()
    for part in ("redis", "kafka", "database", "rabbitmq"):
        if part != "redis":
            sync(f"production-{part}")
        wait_for_state(f"production-{part}", "Synced/Healthy", 150)
    wait_for("the program is proposed once its data is healthy", 90, lambda: state("production-tidemark").startswith("OutOfSync"))
    sync("production-tidemark")
    wait_for_state("production-tidemark", "Synced/Healthy", 240)
    lines.append(f"inside them, parts synced by hand one after the other: all Synced and Healthy after {time.monotonic() - began:.0f} s")

    old = image_of("tidemark-tasks", PRODUCTION)
    revision = set_image("production", "0.1.1")
    refresh("production-tidemark")
    wait_for_state("production-tidemark", "OutOfSync/Healthy", 60, revision)
    time.sleep(2 * RESYNC_SECONDS)
    expect(image_of("tidemark-tasks", PRODUCTION) == old, "a promotion was applied without a person")
    sync("production-tidemark")
    wait_for_state("production-tidemark", "Synced/Healthy", 240, revision)
    expect(image_of("tidemark-tasks", PRODUCTION).endswith(":0.1.1"), "the promotion did not arrive")
    lines.append("a promotion stays OutOfSync until it is synced, and runs then")
    return "\n".join(lines)


def set_windows(schedule: str) -> None:
    """Other hours in place of production's own, which this machine's clock may be in or out of."""
    file = stage().repository.tree / "argocd/environment/values-production.yaml"
    before = file.read_text()
    window = f'  - {{kind: allow, schedule: "{schedule}", duration: 1h, timeZone: Etc/UTC, applications: ["production-*"], manualSync: false}}'
    kept = [line for line in before.splitlines() if not line.strip().startswith(("- {kind: allow", "- {kind: deny"))]
    at = kept.index("syncWindows:")
    file.write_text("\n".join([*kept[: at + 1], window, *kept[at + 1 :], ""]))
    revision = stage().repository.commit(f"Production's hours: {schedule}")
    refresh("production")
    # Until its parts are healthy for the first time, the operation of a commit before holds this one up. It is ended
    # once the new commit is known: what follows it is the latest that is.
    wait_for("the commit is known", 60, lambda: (
        stage().plane.get("application", "production", "argocd")["status"]["sync"].get("revision") == revision))  # fmt: skip
    end_operation("production")
    wait_for("the hours are set", 60, lambda: [
        each["schedule"] for each in stage().plane.get("appproject", "production", "argocd")["spec"]["syncWindows"]] == [schedule])  # fmt: skip


@step("argo-notifies", "Slack hears of each deployment once, in its environment's channel", ("argo-deploys",), deep=True)
def notifies(_: Run) -> str:
    def told() -> list[dict[str, str]]:
        return [each for each in stage().slack.messages if "staging-tidemark runs revision" in each.get("text", "")]

    wait_for("a message about staging-tidemark", 60, told)
    messages = told()
    expect({each["channel"] for each in messages} == {"tidemark-staging"}, f"wrong channels: {messages}")
    texts = [each["text"] for each in messages]
    expect(len(texts) == len(set(texts)), f"told more than once: {texts}")
    waiting = [each["text"] for each in stage().slack.messages if "waits for a person" in each.get("text", "")]
    return f"{len(stage().slack.messages)} messages; \"{texts[0]}\"" + (f"; \"{waiting[0]}\"" if waiting else "")


