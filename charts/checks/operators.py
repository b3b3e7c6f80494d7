"""What operators make of the charts' resources, as far as Services, budgets and network policies must fit it. A chart
does not render these pods, so nothing else here would notice that nobody has a label that something looks for.
"""

from collections.abc import Iterator

from charts import Object

# What the Prometheus operator lays over whatever `podMetadata` says (pkg/prometheus/server/operator.go and
# pkg/alertmanager/statefulset.go, makeSelectorLabels).
PROMETHEUS_OPERATOR = {"Prometheus": "prometheus", "Alertmanager": "alertmanager"}


def forced(kind: str, name: str) -> dict[str, str]:
    """Labels of the Prometheus operator's pods, which no chart can change."""
    program = PROMETHEUS_OPERATOR[kind]
    operator = {"operator.prometheus.io/name": name} if kind == "Prometheus" else {}
    return {
        "app.kubernetes.io/managed-by": "prometheus-operator",
        "app.kubernetes.io/name": program,
        "app.kubernetes.io/instance": name,
        program: name,
        **operator,
    }


def rabbitmq(name: str) -> dict[str, str]:
    """Labels of everything that RabbitMQ's operator makes of a cluster, as far as somebody looks for them."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "rabbitmq"}


def pods(objects: list[Object]) -> Iterator[tuple[str, dict[str, str], int]]:
    """The pods that operators make: of which object, with which labels, and how many."""
    for thing in objects:
        kind, name, spec = thing["kind"], thing["metadata"]["name"], thing.get("spec") or {}
        where = f"{kind}/{name}"
        if kind in PROMETHEUS_OPERATOR:
            own = (spec.get("podMetadata") or {}).get("labels") or {}
            yield where, {**own, **forced(kind, name)}, spec.get("replicas", 1)
        elif kind == "Cluster" and thing["apiVersion"].startswith("postgresql.cnpg.io/"):
            inherited = (spec.get("inheritedMetadata") or {}).get("labels") or {}
            yield where, {**inherited, "cnpg.io/cluster": name, "cnpg.io/podRole": "instance"}, spec["instances"]
        elif kind == "Kafka":
            for component in ["kafka", "entity-operator", "kafka-exporter"]:
                labels = {"strimzi.io/cluster": name, "strimzi.io/kind": "Kafka", "strimzi.io/name": f"{name}-{component}"}
                yield where, {**labels, "strimzi.io/component-type": component}, 1
        elif kind == "Elasticsearch":
            own = spec["nodeSets"][0]["podTemplate"]["metadata"]["labels"]
            labels = {"common.k8s.elastic.co/type": "elasticsearch", "elasticsearch.k8s.elastic.co/cluster-name": name}
            yield where, {**own, **labels}, sum(nodes["count"] for nodes in spec["nodeSets"])
        elif kind == "Kibana":
            own = spec["podTemplate"]["metadata"]["labels"]
            yield where, {**own, "common.k8s.elastic.co/type": "kibana", "kibana.k8s.elastic.co/name": name}, spec["count"]
        elif kind == "Beat":
            own = spec["daemonSet"]["podTemplate"]["metadata"]["labels"]
            yield where, {**own, "common.k8s.elastic.co/type": "beat", "beat.k8s.elastic.co/name": name}, 1
        elif kind == "Rollout":
            # Those of the version that serves carry a mark; see `activeMetadata`.
            marked = (spec["strategy"].get("blueGreen") or {}).get("activeMetadata") or {}
            yield where, {**spec["template"]["metadata"]["labels"], **marked.get("labels", {})}, spec.get("replicas", 1)
        elif kind == "RabbitmqCluster":
            yield where, rabbitmq(name), spec.get("replicas", 1)


def services(objects: list[Object]) -> Iterator[dict[str, str]]:
    """The labels of Services that operators make and monitors look for."""
    for thing in objects:
        if thing["kind"] == "RabbitmqCluster":
            yield rabbitmq(thing["metadata"]["name"])


# These make budgets for their pods themselves: Strimzi and CloudNativePG as their resources say, ECK of itself.
OWN_BUDGETS = {"Kafka", "Cluster", "Elasticsearch"}


def policies(objects: list[Object]) -> list[Object]:
    """The network policies that Strimzi makes beside the charts' own: with whom each listener is open, or everybody."""
    made = []
    for thing in objects:
        if thing["kind"] != "Kafka":
            continue
        name = thing["metadata"]["name"]
        rules = [
            {"ports": [{"port": listener["port"]}], "from": listener.get("networkPolicyPeers") or []}
            for listener in thing["spec"]["kafka"]["listeners"]
        ]
        if "metricsConfig" in thing["spec"]["kafka"]:
            rules.append({"ports": [{"port": 9404}]})
        made.append(
            {
                "kind": "NetworkPolicy",
                "metadata": {**thing["metadata"], "name": f"{name}-network-policy-kafka"},
                "spec": {
                    "podSelector": {"matchLabels": {"strimzi.io/cluster": name, "strimzi.io/name": f"{name}-kafka"}},
                    "policyTypes": ["Ingress"],
                    "ingress": rules,
                },
            }
        )
    return made


def refused(objects: list[Object]) -> Iterator[str]:
    """What an operator refuses, or overwrites, that no schema knows of."""
    catalogs = {one["metadata"]["name"]: one["spec"]["images"] for one in objects if one["kind"] == "ImageCatalog"}
    for thing in objects:
        kind, name, spec = thing["kind"], thing["metadata"]["name"], thing.get("spec") or {}
        where = f"{kind}/{name}"
        if kind in PROMETHEUS_OPERATOR:
            own = (spec.get("podMetadata") or {}).get("labels") or {}
            for label in sorted(own.keys() & forced(kind, name).keys()):
                yield f"{where}: sets the label {label}, which the operator overwrites"
        elif kind == "Cluster" and thing["apiVersion"].startswith("postgresql.cnpg.io/"):
            catalog = spec.get("imageCatalogRef")
            if catalog and not any(image["major"] == catalog["major"] for image in catalogs.get(catalog["name"], [])):
                yield f"{where}: no catalog {catalog['name']} has an image of major version {catalog['major']}"
