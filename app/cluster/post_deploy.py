"""What must be true once a deployment is said to be done; the first thing that is not ends the check.

Against any address: health with the broker and every other part, log-in, a change, and that change's way through
the store, the broker and the consumer into the history's database. With a namespace also what the cluster says:
workloads rolled out, one image everywhere, hooks succeeded, Kafka's topics ready, Argo CD's applications healthy.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from processes import NotReached, wait_for

NAME = "post-deploy-check"


class NotAsDeployed(Exception):
    """Something is not as it must be after a deployment."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="address of the edge or of a single process, as in https://tidemark.example")
    parser.add_argument("--namespace", help="look at this namespace too, with the kubectl and the context at hand")


class Service:
    """The HTTP interface of the deployment, for one user."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.token = ""

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        request = urllib.request.Request(
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode()
        )
        request.add_header("Content-Type", "application/json")
        request.add_header("Cache-Control", "no-cache")
        if method == "POST":
            request.add_header("Idempotency-Key", secrets.token_hex(16))
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as problem:
            raise NotAsDeployed(f"{method} {path}: {problem.code} {problem.read()[:500].decode(errors='replace')}") from problem
        except OSError as problem:
            raise NotAsDeployed(f"{method} {path}: {problem}") from problem

    def health(self) -> str:
        report = self.call("GET", "/api/health")
        if report.get("status") != "healthy":
            raise NotAsDeployed(f"health is {report.get('status')}: {json.dumps(report.get('services'))}")
        services = report["services"]
        return ", ".join(sorted(services)) if isinstance(services, dict) else str(services)

    def log_in(self) -> str:
        """As the account that is kept for this, otherwise as a new one."""
        username, password = os.environ.get("POST_DEPLOY_USERNAME"), os.environ.get("POST_DEPLOY_PASSWORD")
        if not username or not password:
            username, password = f"{NAME}-{secrets.token_hex(4)}", f"a1{secrets.token_urlsafe(24)}"
            self.call("POST", "/api/auth/register", {"username": username, "password": password})
        self.token = self.call("POST", "/api/auth/login", {"username": username, "password": password})["token"]
        return username

    def change_and_history(self) -> str:
        group = self.call("POST", "/api/groups", {"name": NAME})["group"]["_id"]
        try:
            task = self.call("POST", f"/api/groups/{group}/tasks", {"name": NAME})["task"]["_id"]
            began = time.monotonic()
            logs = wait_for("the new task's event in the history", 30, lambda: self.call("GET", f"/api/logs/task/{task}")["logs"])
            took = time.monotonic() - began
        finally:
            self.call("DELETE", f"/api/groups/{group}")
        return f"{len(list(logs))} event in {took:.2f} s"  # type: ignore[call-overload]


class Cluster:
    """One namespace, seen through kubectl."""

    def __init__(self, namespace: str, kubectl: tuple[str, ...] = ("kubectl",)):
        self.namespace = namespace
        self.kubectl = kubectl

    def items(self, kind: str, namespace: str = "", selector: str = "") -> list[dict]:
        words = [*self.kubectl, "get", kind, "-n", namespace or self.namespace, "-o", "json", *(["-l", selector] if selector else [])]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            # A kind that this cluster does not have is nothing to check.
            if "the server doesn't have a resource type" in done.stderr:
                return []
            raise NotAsDeployed(done.stderr.strip())
        return json.loads(done.stdout)["items"]

    def checks(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("every workload is rolled out", self.workloads),
            ("every role runs the same image", self.image),
            ("migration and smoke test have succeeded", self.jobs),
            ("every Kafka topic is ready", self.topics),
            ("Argo CD's applications are synced and healthy", self.applications),
        ]

    def rollouts(self) -> list[dict]:
        return self.items("rollouts.argoproj.io", selector="app.kubernetes.io/part-of=tidemark")

    def workloads(self) -> str:
        rollouts = self.rollouts()
        found = self.items("deployments", selector="app.kubernetes.io/part-of=tidemark") + rollouts
        if not found:
            raise NotAsDeployed(f"there is no workload of Tidemark in {self.namespace}")
        for each in found:
            status, wanted = each.get("status", {}), each["spec"].get("replicas", 1)
            if status.get("updatedReplicas", 0) < wanted or status.get("availableReplicas", 0) < wanted:
                raise NotAsDeployed(f"{each['metadata']['name']}: {status.get('availableReplicas', 0)} of {wanted} available, "
                                    f"{status.get('updatedReplicas', 0)} of this version")  # fmt: skip
        for each in rollouts:
            # All replicas may be there while a person, or a step, has yet to let them serve.
            if each.get("status", {}).get("phase") != "Healthy":
                raise NotAsDeployed(f"{each['metadata']['name']} is {each.get('status', {}).get('phase')}: "
                                    f"{each.get('status', {}).get('message', 'no word why')}")  # fmt: skip
        return ", ".join(f"{each['metadata']['name']} {each['spec'].get('replicas', 1)}" for each in found)

    def image(self) -> str:
        """Of the pods that serve: those of a version before stay a while, ended or ready to be switched back to."""
        serving = {each.get("status", {}).get("stableRS") for each in self.rollouts()}
        pods = [
            pod for pod in self.items("pods", selector="app.kubernetes.io/part-of=tidemark,tidemark.io/track=stable")
            if "deletionTimestamp" not in pod["metadata"]
            and pod["metadata"]["labels"].get("rollouts-pod-template-hash") in {None, *serving}
        ]  # fmt: skip
        images = {c["image"] for pod in pods for c in pod["spec"]["containers"] if c["name"] == "tidemark"}
        if len(images) != 1:
            raise NotAsDeployed(f"one image was expected, there are {sorted(images)}")
        return images.pop()

    def jobs(self) -> str:
        jobs = self.items("jobs", selector="app.kubernetes.io/part-of=tidemark")
        for job in jobs:
            if not job.get("status", {}).get("succeeded"):
                raise NotAsDeployed(f"the job {job['metadata']['name']} has not succeeded")
        return ", ".join(job["metadata"]["name"] for job in jobs) or "none"

    def topics(self) -> str:
        topics = self.items("kafkatopics.kafka.strimzi.io")
        for topic in topics:
            conditions = topic.get("status", {}).get("conditions", [])
            if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                raise NotAsDeployed(f"the topic {topic['metadata']['name']} is not ready")
        return ", ".join(topic["metadata"]["name"] for topic in topics) or "kept elsewhere"

    def applications(self) -> str:
        found = [each for each in self.items("applications.argoproj.io", "argocd")
                 if each["spec"]["destination"].get("namespace") == self.namespace]  # fmt: skip
        for each in found:
            status = each.get("status", {})
            state = f"{status.get('sync', {}).get('status')}/{status.get('health', {}).get('status')}"
            if state != "Synced/Healthy":
                raise NotAsDeployed(f"Argo CD's application {each['metadata']['name']} is {state}")
        return ", ".join(each["metadata"]["name"] for each in found) or "none"


def check(given: argparse.Namespace) -> int:
    service = Service(given.url)
    checks: list[tuple[str, Callable[[], str]]] = []
    if given.namespace:
        if not shutil.which("kubectl"):
            print("kubectl is needed to look at a namespace", file=sys.stderr)
            return 1
        checks += Cluster(given.namespace).checks()
    checks += [
        ("all parts are healthy, the broker among them", service.health),
        ("a user logs in", service.log_in),
        ("a change reaches the history's database by way of the broker", service.change_and_history),
    ]
    for sentence, action in checks:
        try:
            print(f"ok      {sentence}: {action()}", flush=True)
        except (NotAsDeployed, NotReached) as problem:
            print(f"FAILED  {sentence}: {problem}", flush=True)
            return 1
    return 0
