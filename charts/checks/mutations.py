"""Breaks rendered objects, one rule after the other, and sees each breach noticed: a check that cannot fail proves
nothing.
"""

import copy
from collections.abc import Callable

import flows
import policy
from charts import CHARTS, Object

Change = Callable[[list[Object]], None]


def one(objects: list[Object], kind: str, name: str) -> Object:
    return next(thing for thing in objects if thing["kind"] == kind and thing["metadata"]["name"] == name)


def tasks(objects: list[Object]) -> dict:
    return one(objects, "Deployment", "tidemark-tasks")["spec"]["template"]["spec"]


def drop(objects: list[Object], kind: str, name: str) -> None:
    objects.remove(one(objects, kind, name))


POLICY: dict[str, Change] = {
    "may run as root": lambda objects: tasks(objects)["securityContext"].update(runAsNonRoot=False),
    "no seccomp profile": lambda objects: tasks(objects)["securityContext"].pop("seccompProfile"),
    "gain privileges": lambda objects: tasks(objects)["containers"][0]["securityContext"].update(allowPrivilegeEscalation=True),
    "keeps capabilities": lambda objects: tasks(objects)["containers"][0]["securityContext"].pop("capabilities"),
    "is privileged": lambda objects: tasks(objects)["containers"][0]["securityContext"].update(privileged=True),
    "forbidden kind": lambda objects: tasks(objects).setdefault("volumes", []).append({"name": "host", "hostPath": {"path": "/"}}),
    "hostNetwork": lambda objects: tasks(objects).update(hostNetwork=True),
    "port of the host": lambda objects: tasks(objects)["containers"][0]["ports"][0].update(hostPort=3001),
    "write to its root": lambda objects: tasks(objects)["containers"][0]["securityContext"].update(readOnlyRootFilesystem=False),
    "token of the API server": lambda objects: tasks(objects).pop("automountServiceAccountToken"),
    "default service account": lambda objects: tasks(objects).pop("serviceAccountName"),
    "requests no cpu": lambda objects: tasks(objects)["containers"][0]["resources"]["requests"].pop("cpu"),
    "no memory limit": lambda objects: tasks(objects)["containers"][0]["resources"].pop("limits"),
    "no startupProbe": lambda objects: tasks(objects)["containers"][0].pop("startupProbe"),
    "no readinessProbe": lambda objects: tasks(objects)["containers"][0].pop("readinessProbe"),
    "has no version": lambda objects: tasks(objects)["containers"][0].update(image="ghcr.io/tidemark/tidemark"),
    "happens to be": lambda objects: tasks(objects)["containers"][0].update(image="ghcr.io/tidemark/tidemark:latest"),
    "0 disruption budgets": lambda objects: drop(objects, "PodDisruptionBudget", "tidemark-tasks"),
    "old versions are kept": lambda objects: one(objects, "Deployment", "tidemark-tasks")["spec"].pop("revisionHistoryLimit"),
    "autoscaler also sets": lambda objects: one(objects, "Deployment", "tidemark-tasks")["spec"].update(replicas=3),
    "no network policy": lambda objects: [drop(objects, "NetworkPolicy", name) for name in ["tidemark-tasks", "tidemark-deny"]],
    "allowed more": lambda objects: objects.append(
        {"kind": "Role", "metadata": {"name": "wide"}, "rules": [{"resources": ["secrets"], "verbs": ["get"]}]}
    ),
}

# Of what operators make.
MADE: dict[str, Change] = {
    "Service/prometheus: selects no pod": lambda objects: one(objects, "Service", "prometheus")["spec"].update(
        selector={"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/instance": "monitoring"}
    ),
    "PodDisruptionBudget/alertmanager: selects no pod": lambda objects: one(objects, "PodDisruptionBudget", "alertmanager")["spec"].update(
        selector={"matchLabels": {"app.kubernetes.io/instance": "monitoring-alertmanager"}}
    ),
    "ServiceMonitor/redis: selects no Service": lambda objects: one(objects, "ServiceMonitor", "redis")["spec"].update(
        selector={"matchLabels": {"app": "redis"}}
    ),
    "Prometheus/prometheus: 0 disruption budgets": lambda objects: drop(objects, "PodDisruptionBudget", "prometheus"),
    "app.kubernetes.io/instance, which the operator overwrites": lambda objects: one(objects, "Prometheus", "prometheus")["spec"][
        "podMetadata"
    ]["labels"].update({"app.kubernetes.io/instance": "monitoring"}),
    "no catalog history has an image of major version 16": lambda objects: one(objects, "ImageCatalog", "history")["spec"]["images"][0].update(
        major=17
    ),
}

FLOWS: dict[str, Change] = {
    "default/any to app/kafka:9093 is not denied": lambda objects: one(objects, "Kafka", "kafka")["spec"]["kafka"]["listeners"][0].pop(
        "networkPolicyPeers"
    ),
    "argo-rollouts/operator to monitoring/prometheus:9090 is not allowed": lambda objects: drop(objects, "NetworkPolicy", "prometheus"),
    "outside:443 is not denied": lambda objects: one(objects, "NetworkPolicy", "tidemark-tasks")["spec"]["egress"].append(
        {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}
    ),
    "app/stranger to app/tasks:3001 is not denied": lambda objects: one(objects, "NetworkPolicy", "tidemark-tasks")["spec"]["ingress"].append(
        {"from": [{"podSelector": {}}]}
    )
    or drop(objects, "NetworkPolicy", "tidemark-deny"),
    "app/history to app/database:5432 is not allowed": lambda objects: one(objects, "NetworkPolicy", "history")["spec"]["ingress"].clear(),
    "app/edge to app/redis:6379 is not denied": lambda objects: [
        one(objects, "NetworkPolicy", "tidemark-edge")["spec"]["egress"].append({}),
        one(objects, "NetworkPolicy", "redis")["spec"]["ingress"].append({}),
    ],
}


def noticed(production: list[Object], platform: list[Object], application: str) -> tuple[str, list[str]]:
    wrong = []
    for whole, changes in [(production, POLICY), (platform, MADE)]:
        for words, change in changes.items():
            broken = copy.deepcopy(whole)
            change(broken)
            found = policy.judged("broken", broken)[1]
            if not any(words in line for line in found):
                wrong.append(f"policy does not notice: {words}")
    for words, change in FLOWS.items():
        broken = copy.deepcopy(platform)
        change(broken)
        found = flows.judged(CHARTS / "checks" / "flows.yaml", application, broken)[1]
        if not any(words in line for line in found):
            wrong.append(f"the flows do not show: {words}")
    return f"{len(POLICY) + len(MADE) + len(FLOWS)} breaches", wrong
