"""What the charts ask of a cluster beyond Kubernetes itself, and who brings it: an operator of Argo CD's, Terraform, or
the cloud's own cluster. A kind that nobody defines fails the whole sync of its chart, and a route to a Gateway that
nobody makes leads nowhere.
"""

import yaml

import charts
from charts import ROOT, Object, Rendering

# Installed before Argo CD has read anything (terraform/modules/gitops).
BEFORE = {"dapr.io"}
# Of the clusters that Terraform makes, and what it puts into them.
CLUSTERS = {
    "aws": {"argoproj.io"},
    "azure": {"argoproj.io", "metrics.k8s.io"},
    "gcp": {"argoproj.io", "gateway.networking.k8s.io", "networking.gke.io", "metrics.k8s.io"},
}
# Groups of Kubernetes itself that have a dot.
OWN = {"networking.k8s.io", "rbac.authorization.k8s.io", "scheduling.k8s.io"}
METRICS = "metrics.k8s.io"


def needed(thing: Object) -> set[str]:
    group = thing["apiVersion"].rpartition("/")[0]
    groups = {group} if "." in group and group not in OWN else set()
    if thing["kind"] == "HorizontalPodAutoscaler":
        groups.add(METRICS)
    return groups


def doors(objects: list[Object], namespace: str) -> set[tuple[str, str]]:
    return {(thing["metadata"].get("namespace", namespace), thing["metadata"]["name"]) for thing in objects if thing["kind"] == "Gateway"}


def asked(objects: list[Object], namespace: str) -> set[tuple[str, str]]:
    routes = [thing for thing in objects if thing["kind"] == "HTTPRoute"]
    return {(parent.get("namespace", namespace), parent["name"]) for route in routes for parent in route["spec"]["parentRefs"]}


def missing(where: str, provided: set[str], parts: dict[str, tuple[str, list[Object]]]) -> list[str]:
    """What the parts of one cluster ask for and do not get; each part with its namespace."""
    wrong = []
    gateways = {door for namespace, objects in parts.values() for door in doors(objects, namespace)}
    for part, (namespace, objects) in parts.items():
        for thing in objects:
            for group in sorted(needed(thing) - provided):
                wrong.append(f"{where}: {part}: {thing['kind']}/{thing['metadata']['name']} needs {group}, and nobody provides it")
        for space, name in sorted(asked(objects, namespace) - gateways):
            wrong.append(f"{where}: {part}: its route names the Gateway {space}/{name}, and nobody makes it")
    return wrong


def judged(rendered: dict[str, list[Object]], without: str = "") -> tuple[str, list[str]]:
    """Every environment on every cloud, as Argo CD puts it together; without one operator or part if `without` names it."""
    values = yaml.safe_load((ROOT / "argocd" / "environment" / "values.yaml").read_text())
    clouds = {cloud for part in values["parts"].values() for cloud in part["clouds"]}
    wrong, count = [], 0
    for cloud in sorted(clouds):
        provided = BEFORE | CLUSTERS.get(cloud, set())
        for name, operator in values["operators"].items():
            if cloud in operator["clouds"] and without != f"operators.{name}":
                provided |= set(operator["provides"])
        for environment in ["staging", "production"]:
            parts = {}
            for name, part in values["parts"].items():
                if cloud in part["clouds"] and without != f"parts.{name}":
                    over = cloud if part.get("overlays") and cloud != "none" else ""
                    namespace = part.get("namespace", f"tidemark-{environment}")
                    parts[name] = (namespace, of(rendered, Rendering(part["chart"], environment, over)))
            count += len(parts)
            wrong += missing(f"{environment} on {cloud}", provided, parts)
    return f"{count} parts on {len(clouds)} kinds of clusters", wrong


def of(rendered: dict[str, list[Object]], rendering: Rendering) -> list[Object]:
    if rendering.name not in rendered:
        text = charts.render(rendering.chart, rendering.namespace, rendering.files)
        rendered[rendering.name] = charts.objects(text)
    return rendered[rendering.name]


def noticed(rendered: dict[str, list[Object]]) -> list[str]:
    """Each operator, and the Gateway, is missed when it goes."""
    values = yaml.safe_load((ROOT / "argocd" / "environment" / "values.yaml").read_text())
    # Others need these, and no chart does: Rollouts appear with a role's strategy, the gateway's controller by its class.
    asked_for = set(values["operators"]) - {"argo-rollouts", "nginx-gateway-fabric"}
    names = [*(f"operators.{name}" for name in sorted(asked_for)), "parts.gateway"]
    return [f"nobody misses {name}" for name in names if not judged(rendered, name)[1]]
