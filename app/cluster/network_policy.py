"""Judges whether NetworkPolicies let a connection through, as networking.k8s.io/v1 defines it.

A pod that no policy selects for a direction may do everything in that direction; one that is selected may do what
any of its policies allows. A connection needs both ends: the caller's egress and the callee's ingress. The
control plane of the tests runs no network, so this judgement stands in for a network plug-in's.
"""

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pod:
    """An end of a connection inside the cluster."""

    namespace: str
    labels: dict[str, str] = field(hash=False)
    # Container ports by name, which policies may use in place of numbers.
    ports: dict[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Outside:
    """An end of a connection outside the cluster."""

    address: str


End = Pod | Outside


@dataclass
class Judge:
    """The policies and namespaces of a cluster, as its API server holds them."""

    policies: list[dict]
    namespaces: dict[str, dict[str, str]]

    def allows(self, source: End, destination: End, port: int, protocol: str = "TCP") -> bool:
        leaves = self.passes("egress", source, destination, port, protocol, named=destination)
        return leaves and self.passes("ingress", destination, source, port, protocol, named=destination)

    def passes(self, way: str, subject: End, peer: End, port: int, protocol: str, named: End) -> bool:
        if isinstance(subject, Outside):
            return True
        applying = [
            policy["spec"]
            for policy in self.policies
            if policy["metadata"]["namespace"] == subject.namespace
            and way.capitalize() in policy_types(policy["spec"])
            and selects(policy["spec"].get("podSelector", {}), subject.labels)
        ]
        if not applying:
            return True
        return any(
            self.peer_matches(rule.get("to" if way == "egress" else "from"), peer, subject.namespace)
            and port_matches(rule.get("ports"), port, protocol, named)
            for spec in applying
            for rule in spec.get(way) or []
        )

    def peer_matches(self, peers: list[dict] | None, end: End, own_namespace: str) -> bool:
        # No list, or an empty one, means everybody.
        return not peers or any(self.one_peer_matches(peer, end, own_namespace) for peer in peers)

    def one_peer_matches(self, peer: dict, end: End, own_namespace: str) -> bool:
        if "ipBlock" in peer:
            if isinstance(end, Pod):
                # Pods' addresses are not known beforehand; a block that means pods must say so by labels.
                return False
            address = ipaddress.ip_address(end.address)
            block = peer["ipBlock"]
            return address in ipaddress.ip_network(block["cidr"]) and not any(
                address in ipaddress.ip_network(hole) for hole in block.get("except") or []
            )
        if isinstance(end, Outside):
            return False
        if "namespaceSelector" in peer:
            in_namespace = selects(peer["namespaceSelector"], self.namespaces.get(end.namespace, {}))
        else:
            in_namespace = end.namespace == own_namespace
        return in_namespace and selects(peer.get("podSelector", {}), end.labels)


def policy_types(spec: dict) -> list[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def port_matches(ports: list[dict] | None, port: int, protocol: str, named: End) -> bool:
    return not ports or any(one_port_matches(entry, port, protocol, named) for entry in ports)


def one_port_matches(entry: dict, port: int, protocol: str, named: End) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return isinstance(named, Pod) and named.ports.get(wanted) == port
    return wanted <= port <= entry.get("endPort", wanted)


def selects(selector: dict, labels: dict[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(expression_matches(expression, labels) for expression in selector.get("matchExpressions") or [])


def expression_matches(expression: dict, labels: dict[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"unknown operator {other}")
