"""What every pod of the charts must keep to: the restricted Pod Security standard, resources, probes, exact versions,
and a network policy each.
"""

import re
from collections.abc import Iterator

import operators
from charts import Object

# Pods that look at their host, which the restricted standard forbids. Each with its reason.
HOST = {
    "DaemonSet/node-exporter": "measures the machine",
    "Beat/filebeat": "reads the machine's log files",
}
# Helper jobs end by themselves: nobody routes requests to them, and nobody waits for them to become live.
JOBS = {"Job"}
# Operators add the rest of a container that their resource describes in part.
OPERATORS = {"Elasticsearch", "Kibana", "Beat"}


def pods(objects: list[Object]) -> Iterator[tuple[str, Object, dict, dict]]:
    """Each object's name, itself, its pod's metadata, its pod's specification."""
    for thing in objects:
        spec = thing.get("spec") or {}
        template = spec.get("podTemplate") or spec.get("template")
        if thing["kind"] == "Elasticsearch":
            template = spec["nodeSets"][0]["podTemplate"]
        if thing["kind"] == "Beat":
            template = spec["daemonSet"]["podTemplate"]
        if thing["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job", "Rollout", *OPERATORS} and template:
            yield f"{thing['kind']}/{thing['metadata']['name']}", thing, template.get("metadata", {}), template["spec"]


def restricted(name: str, kind: str, pod: dict) -> Iterator[str]:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, level restricted."""
    looks_at_host = name in HOST
    for field in ["hostNetwork", "hostPID", "hostIPC"]:
        if pod.get(field):
            yield f"{field} is on"
    for volume in pod.get("volumes") or []:
        allowed = {"name", "configMap", "secret", "emptyDir", "projected", "downwardAPI", "persistentVolumeClaim", "ephemeral", "csi"}
        if set(volume) - allowed and not looks_at_host:
            yield f"volume {volume['name']} is of a forbidden kind"
    security = pod.get("securityContext") or {}
    if not looks_at_host or kind == "DaemonSet":
        if security.get("runAsNonRoot") is not True:
            yield "the pod may run as root"
    if security.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "the pod has no seccomp profile"
    for container in [*(pod.get("initContainers") or []), *pod["containers"]]:
        own = container.get("securityContext") or {}
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{container['name']} may gain privileges"
        if own.get("privileged"):
            yield f"{container['name']} is privileged"
        if own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{container['name']} keeps capabilities"
        if set(own.get("capabilities", {}).get("add") or []) - {"NET_BIND_SERVICE"}:
            yield f"{container['name']} adds capabilities"
        if own.get("runAsUser") == 0 or (security.get("runAsUser") == 0 and not looks_at_host):
            yield f"{container['name']} runs as root"
        if own.get("runAsNonRoot") is False:
            yield f"{container['name']} may run as root"
        for port in container.get("ports") or []:
            if port.get("hostPort"):
                yield f"{container['name']} takes a port of the host"


def ours(kind: str, pod: dict) -> Iterator[str]:
    """What the standard does not ask for, and we do."""
    if pod.get("automountServiceAccountToken") is None:
        yield "does not say whether it gets a token of the API server"
    if kind not in OPERATORS and not pod.get("serviceAccountName"):
        yield "uses the namespace's default service account"
    for container in [*(pod.get("initContainers") or []), *pod["containers"]]:
        name = container["name"]
        resources = container.get("resources") or {}
        for part in ["cpu", "memory"]:
            if part not in resources.get("requests", {}):
                yield f"{name} requests no {part}"
        if "memory" not in resources.get("limits", {}):
            yield f"{name} has no memory limit"
        if kind in OPERATORS:
            continue
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            yield f"{name} may write to its root"
        image = container.get("image", "")
        if "@sha256:" not in image and not re.search(r":[A-Za-z0-9_.-]+$", image.rsplit("/", 1)[-1]):
            yield f"{name}'s image {image} has no version"
        if re.search(r":(latest|main|master|stable)$", image):
            yield f"{name}'s image {image} is whatever it happens to be"
        if kind in JOBS or container in (pod.get("initContainers") or []):
            continue
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"]:
            if probe not in container:
                yield f"{name} has no {probe}"


def selects(selector: dict, labels: dict) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        value, values = labels.get(expression["key"]), expression.get("values") or []
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[expression["operator"]]
        if not holds:
            return False
    return True


def around(name: str, thing: Object, metadata: dict, objects: list[Object]) -> Iterator[str]:
    """What must stand beside a pod."""
    labels = metadata.get("labels") or {}
    policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
    ingress = [one for one in policies if "Ingress" in one["spec"]["policyTypes"] and selects(one["spec"]["podSelector"], labels)]
    if not ingress:
        yield "no network policy decides who may call it"
    if thing["kind"] not in {"Deployment", "StatefulSet", "Rollout"}:
        return
    if "revisionHistoryLimit" not in thing["spec"]:
        yield "does not say how many old versions are kept"
    if labels.get("app.kubernetes.io/part-of") == "tidemark":
        yield from budgeted(labels, objects)
        scaled = any(
            one["kind"] == "HorizontalPodAutoscaler"
            and (one["spec"]["scaleTargetRef"]["kind"], one["spec"]["scaleTargetRef"]["name"]) == (thing["kind"], thing["metadata"]["name"])
            for one in objects
        )
        if scaled and "replicas" in thing["spec"]:
            yield "has a number of replicas that an autoscaler also sets"


def budgeted(labels: dict, objects: list[Object]) -> Iterator[str]:
    budgets = [one for one in objects if one["kind"] == "PodDisruptionBudget" and selects(one["spec"]["selector"], labels)]
    if len(budgets) != 1:
        yield f"{len(budgets)} disruption budgets"


def looked_for(objects: list[Object]) -> Iterator[str]:
    """Who looks for pods by labels that no pod has, of those that the charts render and those that operators make."""
    rendered = [metadata.get("labels") or {} for _, _, metadata, _ in pods(objects)]
    rendered += [thing["metadata"].get("labels") or {} for thing in objects if thing["kind"] == "Pod"]
    labels = [*rendered, *(made for _, made, _ in operators.pods(objects))]
    for thing in objects:
        selector = {
            "Service": lambda spec: {"matchLabels": spec.get("selector")},
            "PodDisruptionBudget": lambda spec: spec["selector"],
            "NetworkPolicy": lambda spec: spec["podSelector"],
            "PodMonitor": lambda spec: spec["selector"],
        }.get(thing["kind"])
        if selector and not any(selects(selector(thing["spec"]), one) for one in labels):
            yield f"{thing['kind']}/{thing['metadata']['name']}: selects no pod"
    services = [one["metadata"].get("labels") or {} for one in objects if one["kind"] == "Service"]
    services += operators.services(objects)
    for thing in objects:
        if thing["kind"] == "ServiceMonitor" and "namespaceSelector" not in thing["spec"]:
            if not any(selects(thing["spec"]["selector"], one) for one in services):
                yield f"ServiceMonitor/{thing['metadata']['name']}: selects no Service"


def judged(name: str, objects: list[Object]) -> tuple[int, list[str]]:
    wrong, count = [], 0
    for pod_name, thing, metadata, pod in pods(objects):
        count += 1
        found = [*restricted(pod_name, thing["kind"], pod), *ours(thing["kind"], pod), *around(pod_name, thing, metadata, objects)]
        wrong += [f"{name}: {pod_name}: {line}" for line in found]
    for made_by, labels, replicas in operators.pods(objects):
        if replicas > 1 and made_by.split("/")[0] not in operators.OWN_BUDGETS:
            wrong += [f"{name}: {made_by}: {line}" for line in budgeted(labels, objects)]
    wrong += [f"{name}: {line}" for line in [*looked_for(objects), *operators.refused(objects)]]
    for thing in objects:
        if thing["kind"] == "Service" and thing["spec"].get("type") == "LoadBalancer":
            wrong.append(f"{name}: Service/{thing['metadata']['name']}: opens the cluster by itself; a route does that")
        if thing["kind"] in {"ClusterRole", "Role"}:
            for rule in thing.get("rules") or []:
                if "*" in rule.get("verbs", []) + rule.get("resources", []) or "secrets" in rule.get("resources", []):
                    wrong.append(f"{name}: {thing['kind']}/{thing['metadata']['name']}: is allowed more than it needs")
    return count, wrong
