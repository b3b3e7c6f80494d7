"""What operators do to a running installation: nodes are drained, load comes and goes."""

import json
import time

from metrics_server import MetricsServer
from plane import CommandFailed
from processes import wait_for
from steps_charts import namespace_of
from suite import Run, expect, step

PATIENCE_FOR_SCALING = 120


def pods_of(run: Run, namespace: str, component: str) -> list[dict]:
    return [
        pod for pod in run.plane.every("pods", namespace, f"app.kubernetes.io/name=tidemark,app.kubernetes.io/component={component}")
        if "deletionTimestamp" not in pod["metadata"]
    ]  # fmt: skip


def ready(pod: dict) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def evict(run: Run, pod: dict) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    run.plane.kubectl("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", "-f", "-",
                      stdin=json.dumps(eviction))  # fmt: skip


def budget_allows(run: Run, namespace: str, component: str, disruptions: int) -> None:
    def allowed() -> bool:
        status = run.plane.get("poddisruptionbudget", f"tidemark-{component}", namespace)["status"]
        return status["disruptionsAllowed"] == disruptions

    wait_for(f"the budget of {component} allows {disruptions}", 60, allowed)


@step("bad-drain", "A drain that would take a second replica of a role before the first is back is refused", ("install",))
def bad_drain(run: Run) -> str:
    namespace = namespace_of("production")
    nodes = run.plane.ready_nodes()
    budget_allows(run, namespace, "tasks", 1)
    first, second, *_ = pods_of(run, namespace, "tasks")
    try:
        # With no room anywhere a replica that goes does not come back.
        run.plane.kubectl("cordon", *nodes)
        evict(run, first)
        budget_allows(run, namespace, "tasks", 0)
        try:
            evict(run, second)
        except CommandFailed as problem:
            said = str(problem).splitlines()[-1]
        else:
            expect(False, "the second replica was evicted too")
        expect("disruption budget" in said, f"refused for another reason: {said}")
    finally:
        run.plane.kubectl("uncordon", *nodes)
    budget_allows(run, namespace, "tasks", 1)
    return said


@step("good-drain", "A node drains while every role keeps all replicas but one, and they move to other nodes", ("install",))
def good_drain(run: Run) -> str:
    namespace = namespace_of("production")
    node = run.plane.ready_nodes()[0]
    roles = ("accounts", "tasks", "history", "notifications", "gateway")
    for role in roles:
        budget_allows(run, namespace, role, 1)
    on_node = [pod for role in roles for pod in pods_of(run, namespace, role) if pod["spec"].get("nodeName") == node]
    expect(on_node, f"nothing runs on {node}")
    began = time.monotonic()
    try:
        run.plane.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s",
                          f"--pod-selector=app.kubernetes.io/name=tidemark,app.kubernetes.io/component in ({','.join(roles)})")  # fmt: skip
        took = time.monotonic() - began
        left = [p["metadata"]["name"] for role in roles for p in pods_of(run, namespace, role) if p["spec"].get("nodeName") == node]
        expect(not left, f"still on {node}: {left}")
        for role in roles:
            expected = run.plane.get("deployment", f"tidemark-{role}", namespace)["spec"]["replicas"]
            # The zone of the drained node is gone, and production insists on even zones: one replica may wait.
            running = sum(ready(pod) for pod in pods_of(run, namespace, role))
            expect(running >= expected - 1, f"{role}: {running} of {expected}")
    finally:
        run.plane.kubectl("uncordon", node)
    for role in roles:
        budget_allows(run, namespace, role, 1)
    return f"{len(on_node)} pods of the program left {node} in {took:.1f} s"


@step("scaling", "More load than the target scales a role out within two minutes, and only that role", ("install",))
def scaling(run: Run) -> str:
    namespace = namespace_of("production")
    metrics = MetricsServer(run.plane)
    try:
        metrics.register()
        autoscaler = run.plane.get("hpa", "tidemark-tasks", namespace)
        least, most = autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]

        def replicas(role: str) -> int:
            return int(run.plane.get("deployment", f"tidemark-{role}", namespace)["spec"]["replicas"])

        def calm() -> bool:
            conditions = run.plane.get("hpa", "tidemark-tasks", namespace)["status"].get("conditions", [])
            return any(c["type"] == "ScalingActive" and c["status"] == "True" for c in conditions)

        wait_for("the autoscaler reads the fed figures", 90, calm, 1)
        expect(replicas("tasks") == least, f"{replicas('tasks')} replicas at rest instead of {least}")
        began = time.monotonic()
        metrics.load["tasks"] = 1.4

        def grown() -> bool:
            return replicas("tasks") > least and sum(map(ready, pods_of(run, namespace, "tasks"))) > least

        wait_for("more replicas of tasks are ready", PATIENCE_FOR_SCALING, grown, 1)
        first = time.monotonic() - began
        # Twice the target asks for twice the replicas.
        wait_for("there are twice as many", PATIENCE_FOR_SCALING - first, lambda: replicas("tasks") >= min(2 * least, most), 1)
        doubled = time.monotonic() - began
        expect(replicas("accounts") == least, "a role without load was scaled as well")
        return f"first new replicas ready after {first:.0f} s, {replicas('tasks')} instead of {least} after {doubled:.0f} s"
    finally:
        metrics.close()
