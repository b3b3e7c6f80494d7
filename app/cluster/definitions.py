"""Custom resource definitions that the charts and Argo CD use, as their own projects publish them."""

from pathlib import Path

import tools
from plane import Plane
from processes import wait_for

# Definitions that no package registry holds. These stand in for them: names and scope are the real ones, and the
# contents are open, so a misspelt field inside such a resource is not noticed here.
STAND_INS = [
    ("kafka.strimzi.io", "v1beta2", "Kafka", "kafkas"),
    ("kafka.strimzi.io", "v1beta2", "KafkaNodePool", "kafkanodepools"),
    ("kafka.strimzi.io", "v1beta2", "KafkaTopic", "kafkatopics"),
    ("kafka.strimzi.io", "v1beta2", "KafkaUser", "kafkausers"),
    ("barmancloud.cnpg.io", "v1", "ObjectStore", "objectstores"),
    ("elbv2.k8s.aws", "v1beta1", "TargetGroupBinding", "targetgroupbindings"),
]

# Files and folders of a module, by the name of the operator that brings them.
FROM_MODULES = {
    "dapr": ("dapr", ["charts/dapr/crds"]),
    "argo-cd": ("argo-cd", ["manifests/crds"]),
    "argo-rollouts": ("argo-rollouts", ["manifests/crds"]),
    "gateway-api": ("gateway-api", ["config/crd/standard"]),
    "cloudnative-pg": ("cloudnative-pg", ["config/crd/bases"]),
    "prometheus-operator": ("prometheus-operator", ["example/prometheus-operator-crd"]),
    "vertical-pod-autoscaler": ("vertical-pod-autoscaler", ["deploy/vpa-v1-crd-gen.yaml"]),
    "elastic": ("cloud-on-k8s", ["config/crds/v1"]),
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


def files_of(paths: list[Path]) -> list[Path]:
    found = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    return [file for file in found if "kind: CustomResourceDefinition" in file.read_text()]


def install(plane: Plane, *operators: str) -> int:
    """Makes the definitions of the named operators, of all by default; returns how many the server then serves."""
    for name, (module, places) in FROM_MODULES.items():
        if not operators or name in operators:
            paths = files_of([tools.module(module) / place for place in places])
            plane.kubectl("apply", "--server-side", "--force-conflicts", *[word for path in paths for word in ("-f", path)])
    if not operators:
        plane.apply([stand_in(*names) for names in STAND_INS])

    def established() -> int:
        definitions = plane.every("customresourcedefinitions")
        ready = [
            each for each in definitions
            if any(c["type"] == "Established" and c["status"] == "True" for c in each.get("status", {}).get("conditions", []))
        ]  # fmt: skip
        return len(ready) if len(ready) == len(definitions) else 0

    return int(str(wait_for("every definition is established", 60, established)))

