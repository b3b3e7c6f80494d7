"""Where charts say the same as another part of the repository, both must say it."""

import re

import yaml

from charts import CHARTS, ROOT, Object

Rendered = dict[str, list[Object]]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def components(rendered: Rendered) -> tuple[str, list[str]]:
    """A rendered component differs from its file in connection, secrets and scopes, and in nothing else."""
    wrong, count = [], 0
    values = yaml.safe_load((CHARTS / "tidemark" / "values.yaml").read_text())["components"]
    for name, objects in rendered.items():
        if not name.startswith("tidemark-"):
            continue
        provider = next((cloud for cloud in ["gcp-pubsub", "gcp", "aws", "azure"] if name.endswith(f"-{cloud}")), "cluster")
        folder = CHARTS / "tidemark" / "files" / "components" / provider
        laid = set()
        if provider == "cluster":
            laid = {setting for settings in values["clusterSettings"].values() for setting in settings}
        for component, thing in of_kind(objects, "Component").items():
            count += 1
            source = yaml.safe_load((folder / f"{component}.yaml").read_text())
            given = {item["name"]: item for item in thing["spec"]["metadata"]}
            if thing["spec"]["type"] != source["spec"]["type"]:
                wrong.append(f"{name}: {component} is of another type than its source")
            if {scope.removesuffix("-canary") for scope in thing["scopes"]} - set(source["scopes"]):
                wrong.append(f"{name}: {component} is offered to more than its source offers it to")
            for item in source["spec"]["metadata"]:
                rendered_item = given.pop(item["name"], None)
                free = "envRef" in item or item["name"] in laid or item.get("value") == "unset"
                if rendered_item is None or (not free and rendered_item != item):
                    wrong.append(f"{name}: {component}: {item['name']} is {rendered_item}, and its source says {item}")
            if set(given) - laid:
                wrong.append(f"{name}: {component} has settings that its source lacks: {', '.join(sorted(set(given) - laid))}")
        for file in (ROOT / "dapr").glob("*.yaml"):
            source = yaml.safe_load(file.read_text())
            if file.name != "configuration-local.yaml":
                thing = of_kind(objects, source["kind"]).get(source["metadata"]["name"])
                if thing is None or thing["spec"] != source["spec"]:
                    wrong.append(f"{name}: {source['kind']}/{source['metadata']['name']} differs from dapr/{file.name}")
    return f"{count} components", wrong


def constant(text: str, name: str) -> int:
    return int(re.search(rf"const {name}: \w+ = (\d+);", text)[1])


def topics(rendered: Rendered) -> tuple[str, list[str]]:
    """The topics of the cluster are those of the stack that the tests run on."""
    text = (ROOT / "app" / "stack" / "src" / "parts" / "kafka.rs").read_text()
    events = re.findall(r'"([^"]+)"', re.search(r"const TOPICS: \[&str; \d+\] = \[(.*?)\];", text, re.S)[1])
    wanted = {name: (constant(text, "PARTITIONS"), constant(text, "RETENTION_DAYS")) for name in events}
    dead = (constant(text, "DEAD_LETTER_PARTITIONS"), constant(text, "DEAD_LETTER_RETENTION_DAYS"))
    wanted |= {f"{name}.dlq": dead for name in events}
    wanted[re.search(r'const PROBE_TOPIC: &str = "([^"]+)"', text)[1]] = (1, 1)
    ledger = (ROOT / "app" / "protocol" / "src" / "ledger.rs").read_text()
    for name in re.findall(r'pub const (?:DEAD_LETTER_)?TOPIC: &str = "([^"]+)"', ledger):
        if name not in wanted:
            wanted[name] = (0, 0)
    wrong = []
    for name in ["kafka-dev", "kafka-staging", "kafka-production"]:
        found = {
            topic: (thing["spec"]["partitions"], int(thing["spec"]["config"]["retention.ms"]) // 86_400_000)
            for topic, thing in of_kind(rendered[name], "KafkaTopic").items()
        }
        for topic in sorted(set(wanted) | set(found)):
            if wanted.get(topic) != found.get(topic):
                wrong.append(f"{name}: topic {topic}: the chart has {found.get(topic)}, the program {wanted.get(topic)}")
    return f"{len(wanted)} topics", wrong


def variables(rendered: Rendered) -> tuple[str, list[str]]:
    """Every variable that a pod gets is one that the program reads."""
    text = (ROOT / "app" / "tidemark" / "src" / "configuration.rs").read_text()
    known = set()
    for attribute, field in re.findall(r"#\[arg\(([^\]]*?)\)\]\s+pub (\w+):", text, re.S):
        if re.search(r"\benv\b", attribute):
            named = re.search(r'env = "(\w+)"', attribute)
            known.add(named[1] if named else field.upper())
    used = set()
    for name, objects in rendered.items():
        if name.startswith("tidemark-"):
            for thing in objects:
                if thing["kind"] in {"Deployment", "Rollout", "Job"}:
                    for container in thing["spec"]["template"]["spec"]["containers"]:
                        if container["name"] == "tidemark":
                            used |= {entry["name"] for entry in container.get("env") or []}
    wrong = [f"{name} is set, and the program reads no such variable" for name in sorted(used - known)]
    return f"{len(used)} of {len(known)} variables", wrong


# Secrets that an operator makes, by whom.
MADE = {"history-app": "CloudNativePG", "kafka-cluster-ca-cert": "Strimzi", "logs-es-elastic-user": "ECK", "public-certificate": "cert-manager"}


def secrets_used(value: object) -> set[str]:
    """Names of the Secrets that an object reads."""
    if isinstance(value, list):
        return set().union(*map(secrets_used, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(secrets_used, value.values()))
    for reference in [value.get("secretKeyRef"), value.get("secret")]:
        if isinstance(reference, dict):
            found |= {reference[key] for key in ["name", "secretName"] if key in reference}
    # Alertmanager's resource lists what is to be mounted; Dapr's has rules under the same key.
    mounted = value.get("secrets")
    return found | set(mounted if isinstance(mounted, list) else [])


def secrets(rendered: Rendered) -> tuple[str, list[str]]:
    """Every Secret that must be there before the first start is named where the first start is told."""
    told = (ROOT / "argocd" / "README.md").read_text()
    used: dict[str, str] = {}
    for name, objects in rendered.items():
        if name.endswith(("-staging", "-production")) and not name.startswith("platform-"):
            used |= {secret: name for secret in secrets_used(objects) - {*MADE, *of_kind(objects, "Secret")}}
    # Strimzi makes one for each user.
    for user in of_kind(rendered["kafka-production"], "KafkaUser"):
        used.pop(user, None)
    wrong = [f"argocd/README.md does not name the Secret {secret}, which {name} needs" for secret, name in sorted(used.items()) if secret not in told]
    return f"{len(used)} Secrets", wrong


PATHS = """/ /graphql /api/stream /api/docs /assets/x.js /api/auth/login /auth/register /api/users /api/users/me
/api/user/data-export /.well-known/jwks.json /api/groups /api/groups/g /api/groups/g/tasks /api/groups/g/as-of
/api/groups/g/as-of/x /api/logs/groups /api/search /api/tasks/t /tasks /tasks/t /api/notifications /api/webhooks/w
/api/health /health /api/groupsx /api/authentic /authx""".split()


def routes(rendered: Rendered) -> tuple[str, list[str]]:
    """The HTTPRoute leads each path to the role that the edge would give it to."""
    text = (ROOT / "app" / "edge" / "nginx.conf").read_text()
    edge = re.findall(r"^\s+(\S+)\s+(\w+);", re.search(r"map \$uri \$role \{(.*?)\n    \}", text, re.S)[1], re.M)
    rules = of_kind(rendered["tidemark-production-weights"], "HTTPRoute")["tidemark"]["spec"]["rules"]
    wrong = []
    for path in PATHS:
        by_edge, by_route = edge_role(edge, path), route_role(rules, path)
        if by_edge != by_route:
            wrong.append(f"{path}: the edge gives it to {by_edge}, the route to {by_route}")
    if route_role(rules, "/metrics") != "gateway" or not any(
        rule["matches"][0]["path"]["value"] == "/metrics" and rule.get("filters") for rule in rules
    ):
        wrong.append("/metrics is served outside")
    return f"{len(PATHS)} paths", wrong


def load_balancers(rendered: Rendered) -> tuple[str, list[str]]:
    """On GKE the edge lets in, and believes, whom Terraform's firewall lets in; and GKE's Gateway API is nobody else's."""
    network = (ROOT / "terraform" / "gcp" / "modules" / "network" / "main.tf").read_text()
    cluster = (ROOT / "terraform" / "gcp" / "modules" / "cluster" / "main.tf").read_text()
    firewall = re.search(r'"google_compute_firewall" "load_balancer" \{(.*?)\n\}', network, re.S)[1]
    ranges = set(re.findall(r'"([0-9./]+/[0-9]+)"', firewall))
    wrong = []
    for name in ["tidemark-production-gcp", "tidemark-production-gcp-pubsub"]:
        rules = of_kind(rendered[name], "NetworkPolicy")["tidemark-edge"]["spec"]["ingress"]
        callers = {peer["ipBlock"]["cidr"] for rule in rules for peer in rule.get("from") or [] if "ipBlock" in peer}
        believed = set(re.findall(r"set_real_ip_from (\S+);", of_kind(rendered[name], "ConfigMap")["tidemark-edge"]["data"]["listen.conf"]))
        if callers != ranges:
            wrong.append(f"{name}: the edge lets in {sorted(callers)}, and the firewall {sorted(ranges)}")
        if not ranges < believed:
            wrong.append(f"{name}: the edge believes {sorted(believed)}: the load balancer's ranges and its own address are needed")
    operators = yaml.safe_load((ROOT / "argocd" / "environment" / "values.yaml").read_text())["operators"]
    if "CHANNEL_STANDARD" in cluster and "gcp" in operators["gateway-api"]["clouds"]:
        wrong.append("argocd/ installs the Gateway API on GKE, which brings its own")
    return f"{len(ranges)} ranges", wrong


def edge_role(edge: list[tuple[str, str]], path: str) -> str:
    exact = [role for pattern, role in edge if pattern == path]
    matching = [role for pattern, role in edge if pattern.startswith("~") and re.search(pattern[1:], path)]
    return (exact + matching + [role for pattern, role in edge if pattern == "default"])[0]


def route_role(rules: list[dict], path: str) -> str:
    found = []
    for rule in rules:
        for match in rule["matches"]:
            kind, value = match["path"]["type"], match["path"]["value"]
            prefix = value.rstrip("/")
            holds = {
                "Exact": path == value,
                "RegularExpression": re.fullmatch(value, path) is not None,
                "PathPrefix": path == value or path.startswith(f"{prefix}/"),
            }[kind]
            if holds:
                rank = {"Exact": 2, "RegularExpression": 1, "PathPrefix": 0}[kind]
                found.append((rank, len(value), rule["backendRefs"][0]["name"].removeprefix("tidemark-")))
    return max(found)[2]
