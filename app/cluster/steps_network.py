"""Who may talk to whom, judged from the NetworkPolicies and pods that the API server holds."""

from network_policy import End, Judge, Outside, Pod
from steps_charts import ROLES, namespace_of
from suite import Run, expect, step

HTTP, SIDECAR, SIDECAR_API, METRICS, APP_CHANNEL = 3001, 50002, 50001, 9090, 50010


def ends(run: Run, namespace: str) -> dict[str, End]:
    """Real pods where there are any; stand-ins with the operators' labels where an operator would make them."""
    found: dict[str, End] = {}
    for pod in run.plane.every("pods", namespace, "app.kubernetes.io/name=tidemark"):
        labels = pod["metadata"]["labels"]
        found[labels["app.kubernetes.io/component"]] = Pod(namespace, labels, container_ports(pod))
    for job in ("migrate", "test"):
        # A job's pod is there only for a while.
        found.setdefault(job, Pod(namespace, {**found["tasks"].labels, "app.kubernetes.io/component": job}))  # type: ignore[union-attr]
    # A StatefulSet's pod waits for its volume here, but it is there, with its labels.
    redis = run.plane.get("statefulset", "redis", namespace)["spec"]["template"]["metadata"]["labels"]
    return {
        **found,
        "redis": Pod(namespace, redis, {"redis": 6379, "metrics": 9121}),
        "broker": Pod(namespace, {"strimzi.io/cluster": "kafka", "strimzi.io/name": "kafka-kafka", "strimzi.io/kind": "Kafka"}),
        "database": Pod(namespace, {"cnpg.io/cluster": "history"}),
        "gateway-proxy": Pod("gateway", {"app": "proxy"}),
        "prometheus": Pod("monitoring", {"app.kubernetes.io/name": "prometheus", "prometheus": "prometheus"}),
        "collector": Pod("monitoring", {"app.kubernetes.io/name": "otel-collector"}),
        "dns": Pod("kube-system", {"k8s-app": "kube-dns"}),
        "sentry": Pod("dapr-system", {"app": "dapr-sentry"}),
        "dapr-operator": Pod("dapr-system", {"app": "dapr-operator"}),
        "stranger": Pod(namespace, {"app": "stranger"}),
        "neighbour": Pod("elsewhere", {"app": "neighbour"}),
        "internet": Outside("203.0.113.9"),
        "cloud-metadata": Outside("169.254.169.254"),
    }


def container_ports(pod: dict) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in pod["spec"]["containers"] for port in container.get("ports", []) if "name" in port
    }  # fmt: skip


def policies_of_strimzi(run: Run, namespace: str) -> list[dict]:
    """What the operator adds to the chart's own policies: a listener is open to its peers, and without them to all."""
    return [
        {
            "metadata": {"namespace": namespace},
            "spec": {
                "podSelector": {"matchLabels": {"strimzi.io/cluster": kafka["metadata"]["name"]}},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {"ports": [{"port": listener["port"]}], "from": listener.get("networkPolicyPeers", [])}
                    for listener in kafka["spec"]["kafka"]["listeners"]
                ],
            },
        }
        for kafka in run.plane.every("kafkas", namespace)
    ]  # fmt: skip


# Caller, callee, port, protocol, allowed. `*` stands for each of the five roles.
FLOWS = [
    ("gateway-proxy", "edge", 8080, "TCP", True),
    ("neighbour", "edge", 8080, "TCP", False),
    ("internet", "edge", 8080, "TCP", False),
    ("edge", "*", HTTP, "TCP", True),
    ("gateway-proxy", "*", HTTP, "TCP", False),
    ("stranger", "*", HTTP, "TCP", False),
    ("neighbour", "*", HTTP, "TCP", False),
    ("test", "*", HTTP, "TCP", True),
    ("test", "edge", 8080, "TCP", True),
    # Sidecars call each other where a role needs another one, and nowhere else.
    ("tasks", "accounts", SIDECAR, "TCP", True),
    ("history", "accounts", SIDECAR, "TCP", True),
    ("gateway", "tasks", SIDECAR, "TCP", True),
    ("gateway", "history", SIDECAR, "TCP", True),
    ("gateway", "notifications", SIDECAR, "TCP", True),
    ("accounts", "tasks", SIDECAR, "TCP", False),
    ("tasks", "history", SIDECAR, "TCP", False),
    ("history", "tasks", SIDECAR, "TCP", False),
    ("edge", "*", SIDECAR, "TCP", False),
    ("stranger", "*", SIDECAR, "TCP", False),
    # A sidecar's own interface and the program's channel are for the pod itself.
    ("gateway", "tasks", SIDECAR_API, "TCP", False),
    ("gateway", "tasks", APP_CHANNEL, "TCP", False),
    ("gateway", "tasks", HTTP, "TCP", False),
    ("*", "redis", 6379, "TCP", True),
    ("*", "broker", 9093, "TCP", True),
    ("*", "broker", 9092, "TCP", False),
    ("*", "broker", 9091, "TCP", False),
    ("history", "database", 5432, "TCP", True),
    ("migrate", "database", 5432, "TCP", True),
    ("tasks", "database", 5432, "TCP", False),
    ("accounts", "database", 5432, "TCP", False),
    ("gateway", "database", 5432, "TCP", False),
    ("edge", "redis", 6379, "TCP", False),
    ("edge", "broker", 9093, "TCP", False),
    ("edge", "database", 5432, "TCP", False),
    ("stranger", "redis", 6379, "TCP", False),
    ("stranger", "broker", 9093, "TCP", False),
    ("stranger", "database", 5432, "TCP", False),
    ("neighbour", "redis", 6379, "TCP", False),
    ("neighbour", "broker", 9093, "TCP", False),
    ("prometheus", "*", HTTP, "TCP", True),
    ("prometheus", "*", METRICS, "TCP", True),
    ("prometheus", "redis", 9121, "TCP", True),
    ("prometheus", "redis", 6379, "TCP", False),
    ("prometheus", "*", SIDECAR, "TCP", False),
    ("neighbour", "*", METRICS, "TCP", False),
    ("*", "dns", 53, "UDP", True),
    ("*", "dns", 53, "TCP", True),
    ("*", "sentry", 50001, "TCP", True),
    ("*", "dapr-operator", 6500, "TCP", True),
    ("edge", "sentry", 50001, "TCP", False),
    ("*", "collector", 4317, "TCP", True),
    ("*", "internet", 443, "TCP", False),
    ("*", "cloud-metadata", 80, "TCP", False),
    ("edge", "internet", 443, "TCP", False),
    ("redis", "internet", 443, "TCP", False),
    ("migrate", "tasks", HTTP, "TCP", False),
]


@step("network", "The NetworkPolicies allow what the roles need and nothing else", ("install",))
def network(run: Run) -> str:
    wrong, counted = [], {True: 0, False: 0}
    for environment in ("staging", "production"):
        namespace = namespace_of(environment)
        # Namespaces of others, so that policies have them to choose from.
        for other in ("gateway", "monitoring", "dapr-system", "elsewhere"):
            run.plane.namespace(other)
        judge = Judge(
            [*run.plane.every("networkpolicies"), *policies_of_strimzi(run, namespace)],
            {each["metadata"]["name"]: each["metadata"]["labels"] for each in run.plane.every("namespaces")},
        )
        known = ends(run, namespace)
        for caller, callee, port, protocol, allowed in FLOWS:
            for one in ROLES if caller == "*" else (caller,):
                for other in ROLES if callee == "*" else (callee,):
                    counted[allowed] += 1
                    if judge.allows(known[one], known[other], port, protocol) != allowed:
                        wrong.append(f"{environment}: {one} -> {other}:{port}/{protocol} should be {'allowed' if allowed else 'denied'}")
    expect(not wrong, "\n".join(wrong))
    return f"{counted[True]} flows allowed, {counted[False]} denied, in staging and production; judged by evaluation"
