"""Judges flows by the network policies, as Kubernetes defines them: policies add up, a pod that none selects in a
direction is open in it, and both ends must agree.
"""

from ipaddress import ip_address, ip_network
from pathlib import Path

import yaml

import operators
from charts import Object
from policy import selects

OUTSIDE = "203.0.113.7"
# Labels of pods that operators make, or that belong to others.
OTHERS = {
    "kafka": {"strimzi.io/cluster": "kafka", "strimzi.io/name": "kafka-kafka"},
    "database": {"cnpg.io/cluster": "history"},
    "redis": {"app.kubernetes.io/name": "redis", "app.kubernetes.io/instance": "platform"},
    "rabbitmq": {"app.kubernetes.io/name": "rabbitmq", "app.kubernetes.io/component": "rabbitmq"},
    "dapr-operator": {"app": "dapr-operator"},
    "dapr-sentry": {"app": "dapr-sentry"},
    "kube-dns": {"k8s-app": "kube-dns"},
    "stranger": {"app": "stranger"},
    "any": {},
}
OPERATORS = {
    "cnpg-system": {"app.kubernetes.io/name": "cloudnative-pg"},
    "strimzi": {"strimzi.io/kind": "cluster-operator"},
    "argo-rollouts": {"app.kubernetes.io/name": "argo-rollouts"},
}
Place = tuple[str, dict] | None


def place(text: str, application: str) -> Place:
    """Namespace and labels; None for an address outside."""
    if text == "outside":
        return None
    space, name = text.split("/")
    if space in OPERATORS:
        return space, OPERATORS[space]
    if space == "monitoring" and name in operators.PROMETHEUS_OPERATOR.values():
        return space, {"app.kubernetes.io/part-of": "tidemark-monitoring", **operators.forced(name.capitalize(), name)}
    if space == "monitoring":
        return space, {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/instance": "monitoring",
            "app.kubernetes.io/part-of": "tidemark-monitoring",
        }
    if name in OTHERS:
        return (application if space == "app" else space), OTHERS[name]
    component = {"app.kubernetes.io/component": name}
    own = {"app.kubernetes.io/name": "tidemark", "app.kubernetes.io/instance": "platform", "app.kubernetes.io/part-of": "tidemark"}
    return application, {**own, **component}


def is_peer(peer: dict, other: Place, space: str) -> bool:
    if "ipBlock" in peer:
        # Where a pod's own address lies is not known here: a block speaks of what is outside.
        return other is None and ip_address(OUTSIDE) in ip_network(peer["ipBlock"]["cidr"])
    if other is None:
        return False
    other_space, labels = other
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other_space}):
            return False
    elif other_space != space:
        return False
    return selects(peer.get("podSelector") or {}, labels)


def open_towards(policies: list[Object], at: Place, other: Place, port: int, direction: str) -> bool:
    if at is None:
        return True
    space, labels = at
    rules_name, peers_name = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    selected = [
        one["spec"]
        for one in policies
        if one["metadata"]["namespace"] == space and direction in one["spec"]["policyTypes"] and selects(one["spec"]["podSelector"], labels)
    ]
    if not selected:
        return True
    for rule in [rule for spec in selected for rule in spec.get(rules_name) or []]:
        ports = [entry["port"] for entry in rule.get("ports") or []]
        peers = rule.get(peers_name) or []
        if (not ports or port in ports) and (not peers or any(is_peer(peer, other, space) for peer in peers)):
            return True
    return False


def judged(table: Path, application: str, objects: list[Object]) -> tuple[str, list[str]]:
    """The objects carry their namespaces."""
    policies = [one for one in [*objects, *operators.policies(objects)] if one["kind"] == "NetworkPolicy"]
    flows, wrong = yaml.safe_load(table.read_text()), []
    for expected in ["allowed", "denied"]:
        for flow in flows[expected]:
            start, end = place(flow["from"], application), place(flow["to"], application)
            leaves = open_towards(policies, start, end, flow["port"], "Egress")
            enters = open_towards(policies, end, start, flow["port"], "Ingress")
            if (leaves and enters) != (expected == "allowed"):
                why = f"leaves: {leaves}, enters: {enters}"
                wrong.append(f"{flow['from']} to {flow['to']}:{flow['port']} is not {expected} ({why})")
    return f"{len(flows['allowed'])} flows allowed, {len(flows['denied'])} denied", wrong
