"""A second version beside the first: by weights in the route, and by Argo Rollouts' own controller."""

import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import tools
from plane import CommandFailed, free_ports
from processes import wait_for
from steps_charts import namespace_of, post_deploy_check, with_values
from suite import Run, expect, step

NAMESPACE = "tidemark-rollouts"
PAUSE_SECONDS = 4
STRATEGIES = [
    "roles.tasks.rollout.strategy=BlueGreen", "roles.tasks.rollout.autoPromotion=false",
    "roles.tasks.rollout.scaleDownDelaySeconds=120", "roles.gateway.rollout.strategy=Canary",
    "roles.gateway.replicas=4", "roles.gateway.autoscaling.enabled=false",
    f"roles.gateway.rollout.steps[0].weight=25,roles.gateway.rollout.steps[0].pauseSeconds={PAUSE_SECONDS}",
    f"roles.gateway.rollout.steps[1].weight=50,roles.gateway.rollout.steps[1].pauseSeconds={PAUSE_SECONDS}",
]  # fmt: skip


@step("weights", "A canary beside a role gets the weight that the values say, and goes when it is switched off", ("install",))
def weights(run: Run) -> str:
    namespace = namespace_of("staging")
    values = with_values([run.charts / "tidemark" / "values-staging.yaml"])

    def upgrade(*settings: str) -> None:
        words = [word for setting in settings for word in ("--set", setting)]
        run.plane.helm("upgrade", "tidemark", run.charts / "tidemark", "--namespace", namespace, *values, *words,
                       "--wait", "--timeout", "4m")  # fmt: skip

    upgrade("roles.tasks.canary.enabled=true", "roles.tasks.canary.tag=0.2.0", "roles.tasks.canary.weight=20", "edge.enabled=false")
    canary = run.plane.get("deployment", "tidemark-tasks-canary", namespace)
    image = next(c["image"] for c in canary["spec"]["template"]["spec"]["containers"] if c["name"] == "tidemark")
    expect(image.endswith(":0.2.0") and canary["status"].get("readyReplicas") == 1, f"{image}: {canary['status']}")
    rules = run.plane.get("httproute", "tidemark", namespace)["spec"]["rules"]
    backends = [rule["backendRefs"] for rule in rules if any(b["name"] == "tidemark-tasks-canary" for b in rule["backendRefs"])]
    shares = [{b["name"]: b["weight"] for b in refs} for refs in backends]
    expect(shares and all(each == {"tidemark-tasks": 80, "tidemark-tasks-canary": 20} for each in shares), f"shares: {shares}")
    upgrade("roles.tasks.canary.enabled=false")
    left = [each["metadata"]["name"] for each in run.plane.every("deployments", namespace) if "canary" in each["metadata"]["name"]]
    expect(not left, f"still there: {left}")
    return "80 to 20 between tasks and its canary in the HTTPRoute; weights are set, no request was divided here"


def rollout(run: Run, name: str) -> dict:
    return run.plane.get("rollouts.argoproj.io", name, NAMESPACE)


def active(run: Run, service: str) -> str:
    return run.plane.get("service", service, NAMESPACE)["spec"]["selector"].get("rollouts-pod-template-hash", "")


def named_by(run: Run, service: str) -> set[str]:
    """The versions whose replicas a headless Service names."""
    pods = {pod["metadata"]["name"]: pod["metadata"]["labels"]["rollouts-pod-template-hash"]
            for pod in run.plane.every("pods", NAMESPACE, "rollouts-pod-template-hash")}  # fmt: skip
    slices = run.plane.every("endpointslices", NAMESPACE, f"kubernetes.io/service-name={service}")
    return {pods.get(endpoint["targetRef"]["name"], "gone") for each in slices for endpoint in each.get("endpoints") or []}


def install_or_upgrade(run: Run, tag: str, *flags: str) -> None:
    values = with_values([run.charts / "tidemark" / "values-staging.yaml"])
    words = [word for setting in [*STRATEGIES, f"image.tag={tag}"] for word in ("--set", setting)]
    run.plane.helm("upgrade", "--install", "tidemark", run.charts / "tidemark", "--namespace", NAMESPACE, *values, *words,
                  *flags)  # fmt: skip


def wait_for_phase(run: Run, name: str, phase: str, seconds: float = 120) -> None:
    def reached() -> bool:
        status = rollout(run, name).get("status", {})
        if status.get("phase") != phase or int(status.get("observedGeneration", 0)) != rollout(run, name)["metadata"]["generation"]:
            raise CommandFailed(f"{status.get('phase')}: {status.get('message')}")
        return True

    wait_for(f"{name} is {phase}", seconds, reached)


@step(
    "rollouts",
    "Argo Rollouts' controller runs both strategies of the chart",
    ("definitions",),
    deep=True,
    programs=("rollouts-controller",),
)
def rollouts_run(run: Run) -> str:
    metrics, health = free_ports(2)
    run.plane.namespace("argo-rollouts")
    run.plane.namespace(NAMESPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
    run.plane.processes.start("rollouts-controller", tools.program("rollouts-controller"), f"--kubeconfig={run.plane.kubeconfig}",
                              "--leader-elect=false", f"--metricsport={metrics}", f"--healthzPort={health}",
                              environment=run.plane.environment)  # fmt: skip
    install_or_upgrade(run, "0.1.0")
    for name in ("tidemark-tasks", "tidemark-gateway"):
        wait_for_phase(run, name, "Healthy", 180)
    # A Rollout without a number of replicas begins with one, and its autoscaler brings it to its least.
    wait_for("tasks has two replicas", 60, lambda: rollout(run, "tidemark-tasks")["status"].get("readyReplicas", 0) >= 2)
    return ", ".join(f"{name} is Healthy" for name in ("tidemark-tasks (BlueGreen)", "tidemark-gateway (Canary)"))


@step("blue-green", "The new version waits behind its preview until it is promoted, and the old one can be switched back at once", ("rollouts",), deep=True)
def blue_green(run: Run) -> str:
    old = active(run, "tidemark-tasks")
    install_or_upgrade(run, "0.2.0")
    wait_for_phase(run, "tidemark-tasks", "Paused")
    new = active(run, "tidemark-tasks-preview")
    expect(active(run, "tidemark-tasks") == old != new, "traffic was switched before the promotion")
    wait_for("the edge knows the old version's replicas alone", 30, lambda: named_by(run, "tidemark-tasks-replicas") == {old})
    began = time.monotonic()
    # What `kubectl argo rollouts promote` does.
    run.plane.kubectl("patch", "rollouts.argoproj.io", "tidemark-tasks", "-n", NAMESPACE, "--subresource=status", "--type=merge",
                      "--patch", json.dumps({"status": {"pauseConditions": None}}))  # fmt: skip
    wait_for("traffic goes to the new version", 60, lambda: active(run, "tidemark-tasks") == new)
    switched = time.monotonic() - began
    wait_for("the edge knows the new version's replicas alone", 30, lambda: named_by(run, "tidemark-tasks-replicas") == {new})

    def as_deployed() -> bool:
        failed = {sentence: said for sentence, said in post_deploy_check(run, NAMESPACE).items() if said.startswith("FAILED")}
        if failed:
            raise CommandFailed(str(failed))
        return True

    wait_for("post-deploy-check is content", 90, as_deployed, 1)
    kept = [each for each in run.plane.every("replicasets", NAMESPACE, f"rollouts-pod-template-hash={old}")]
    expect(kept and kept[0]["status"].get("readyReplicas", 0) >= 2, "the old version is not kept for going back")
    # A version whose pods still run needs no second promotion.
    began = time.monotonic()
    install_or_upgrade(run, "0.1.0")
    wait_for("traffic is back at the old version", 60, lambda: active(run, "tidemark-tasks") == old)
    back = time.monotonic() - began
    wait_for_phase(run, "tidemark-tasks", "Healthy")
    return f"switched {switched:.1f} s after the promotion; back without one, {back:.1f} s after the order, migration included"


@step("canary", "A canary takes over step by step, and one that cannot start never leaves its first step", ("rollouts",), deep=True)
def canary(run: Run) -> str:
    wait_for_phase(run, "tidemark-gateway", "Healthy")
    seen: list[tuple[int, int]] = []

    def done() -> bool:
        found = rollout(run, "tidemark-gateway")
        current = found["status"].get("currentPodHash")
        new = sum(set_["status"].get("readyReplicas", 0) for set_ in run.plane.every("replicasets", NAMESPACE, f"rollouts-pod-template-hash={current}")
                  if set_["metadata"]["name"].startswith("tidemark-gateway"))  # fmt: skip
        at = (int(found["status"].get("currentStepIndex", 0)), new)
        if not seen or seen[-1] != at:
            seen.append(at)
        return found["status"].get("phase") == "Healthy" and at[0] >= 4

    install_or_upgrade(run, "0.3.0")
    wait_for("the new version has taken over", 180, done)
    shares = [new for step_index, new in seen if 0 < step_index < 4]
    expect(1 in shares and 2 in shares, f"no steps were seen: {seen}")
    stable = rollout(run, "tidemark-gateway")["status"]["stableRS"]
    # As if the image was lost after the migration, which otherwise stops here.
    install_or_upgrade(run, "cannot-be-pulled", "--no-hooks")
    wait_for("one replica of the bad version waits for its image", 60, lambda: [
        pod for pod in run.plane.every("pods", NAMESPACE, "app.kubernetes.io/component=gateway") if pod["status"].get("phase") == "Pending"])  # fmt: skip
    time.sleep(3 * PAUSE_SECONDS)
    status = rollout(run, "tidemark-gateway")["status"]
    expect(status["stableRS"] == stable and int(status.get("currentStepIndex", 0)) == 0, f"it went on: {status}")
    serving = sum(set_["status"].get("readyReplicas", 0) for set_ in run.plane.every("replicasets", NAMESPACE, f"rollouts-pod-template-hash={stable}"))
    expect(serving >= 3, f"only {serving} of 4 replicas of the good version serve")
    install_or_upgrade(run, "0.3.0")
    wait_for_phase(run, "tidemark-gateway", "Healthy")
    return f"steps and new replicas: {', '.join(f'{index}:{new}' for index, new in seen)} of 4; the bad one stayed at step 0 with {serving} of 4 serving"


class PlayedPrometheus(ThreadingHTTPServer):
    """Answers as one that has seen errors, and nothing of which it could tell a latency."""

    daemon_threads = True

    def __init__(self) -> None:
        self.errors = 0.0
        self.queries: list[str] = []
        super().__init__(("127.0.0.1", 0), Query)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Query(BaseHTTPRequestHandler):
    server: PlayedPrometheus

    def do_POST(self) -> None:
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        query = form["query"][0]
        self.server.queries.append(query)
        figures = [] if "histogram_quantile" in query else [self.server.errors]
        result = {"resultType": "vector", "result": [{"metric": {}, "value": [time.time(), str(figure)]} for figure in figures]}
        answer = json.dumps({"status": "success", "data": result}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Queries are kept, not written."""


@step("analysis", "A new version whose requests fail is never promoted, and one that answers is, by what Prometheus says", ("rollouts",), deep=True)
def analysis(run: Run) -> str:
    prometheus = PlayedPrometheus()
    judged = ["--set", "roles.tasks.rollout.analysis=true", "--set", "roles.tasks.rollout.autoPromotion=true",
              "--set", f"monitoring.prometheusAddress=http://127.0.0.1:{prometheus.server_port}"]  # fmt: skip
    wait_for_phase(run, "tidemark-tasks", "Healthy")
    old = active(run, "tidemark-tasks")
    prometheus.errors = 0.5
    began = time.monotonic()
    install_or_upgrade(run, "0.4.0", *judged)
    wait_for_phase(run, "tidemark-tasks", "Degraded", 180)
    refused = time.monotonic() - began
    bad = active(run, "tidemark-tasks-preview")
    expect(active(run, "tidemark-tasks") == old, "a version whose requests fail took over")
    expect(any(f"tidemark-tasks-{bad}-" in query for query in prometheus.queries), f"nobody asked for the new version: {prometheus.queries}")
    prometheus.errors = 0.0
    began = time.monotonic()
    install_or_upgrade(run, "0.5.0", *judged)
    wait_for_phase(run, "tidemark-tasks", "Healthy", 300)
    taken = time.monotonic() - began
    new = active(run, "tidemark-tasks")
    expect(new not in (old, bad), "the good version did not take over")
    prometheus.shutdown()
    return f"half of the requests failing: refused after {refused:.0f} s; none failing: promoted after {taken:.0f} s; Prometheus is played"
