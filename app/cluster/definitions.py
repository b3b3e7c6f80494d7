"""Custom resource definitions that the charts and Argo CD use, as their own projects publish them."""

import re

import tools
from plane import Plane
from processes import wait_for

# Definitions that no package registry holds. These stand in for them: names and scope are the real ones, and the
# contents are open, so a misspelt field inside such a resource is not noticed here. Kafka's are checked by Strimzi's own
# model in `make charts-test`.
STAND_INS = [
    ("kafka.strimzi.io", "v1beta2", "Kafka", "kafkas"),
    ("kafka.strimzi.io", "v1beta2", "KafkaNodePool", "kafkanodepools"),
    ("kafka.strimzi.io", "v1beta2", "KafkaTopic", "kafkatopics"),
    ("kafka.strimzi.io", "v1beta2", "KafkaUser", "kafkausers"),
    ("rabbitmq.com", "v1beta1", "RabbitmqCluster", "rabbitmqclusters"),
    ("networking.gke.io", "v1", "GCPGatewayPolicy", "gcpgatewaypolicies"),
    ("elbv2.k8s.aws", "v1beta1", "TargetGroupBinding", "targetgroupbindings"),
]

# Where a module keeps its definitions, and which of them are used here: each that is served costs the API server
# work at every start. Nothing named means all.
FROM_MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "dapr": ("charts/dapr/crds", ()),
    "argo-cd": ("manifests/crds", ()),
    "argo-rollouts": ("manifests/crds", ()),
    "gateway-api": ("config/crd/standard", ("gateways", "httproutes")),
    "cloudnative-pg": ("config/crd/bases", ("clusters", "imagecatalogs", "scheduledbackups")),
    "prometheus-operator": (
        "example/prometheus-operator-crd",
        ("alertmanagers", "podmonitors", "probes", "prometheuses", "prometheusrules", "servicemonitors"),
    ),
    "vertical-pod-autoscaler": ("deploy/vpa-v1-crd-gen.yaml", ("verticalpodautoscalers",)),
    "plugin-barman-cloud": ("config/crd/bases", ("objectstores",)),
    "cert-manager": ("deploy/crds", ("certificates", "issuers")),
    "cloud-on-k8s": ("config/crds/v1/all-crds.yaml", ("beats", "elasticsearches", "kibanas")),
}


def stand_in(group: str, version_name: str, kind: str, plural: str) -> dict:
    schema = {
        "type": "object",
        "properties": {key: {"type": "object", "x-kubernetes-preserve-unknown-fields": True} for key in ("spec", "status")},
    }
    version = {
        "name": version_name, "served": True, "storage": True, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "versions": [version],
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
        },
    }  # fmt: skip


def published(name: str) -> list[str]:
    """The documents of the definitions that are used of a module's."""
    place, names = FROM_MODULES[name]
    path = tools.module(name) / place
    found = []
    for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
        # Some are templates of their project's chart, in labels and comments only.
        text = "\n".join(line for line in file.read_text().splitlines() if "{{" not in line)
        for document in re.split(r"^---.*$", text, flags=re.MULTILINE):
            plural = re.search(r"^  name: ([a-z0-9]+)\.", document, re.MULTILINE)
            if "kind: CustomResourceDefinition" in document and plural and (not names or plural[1] in names):
                found.append(document)
    if len(found) < len(names):
        raise tools.BuildFailed(f"{place} of {name} does not have all of {', '.join(names)}")
    return found


def install(plane: Plane) -> int:
    """Makes all definitions; returns how many the server then serves."""
    for name in FROM_MODULES:
        plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin="\n---\n".join(published(name)))
    plane.apply([stand_in(*names) for names in STAND_INS])

    def established() -> int:
        definitions = plane.every("customresourcedefinitions")
        ready = [
            each for each in definitions
            if any(c["type"] == "Established" and c["status"] == "True" for c in each.get("status", {}).get("conditions", []))
        ]  # fmt: skip
        return len(ready) if len(ready) == len(definitions) else 0

    count = int(str(wait_for("every definition is established", 60, established)))
    # Their schemas are put together in the background, for which whoever validates would have to wait.
    wait_for("their schemas are served", 120, lambda: "kafkatopics" in plane.kubectl("get", "--raw", "/openapi/v2"), 1)
    return count

