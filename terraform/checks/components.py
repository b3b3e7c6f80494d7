"""Judges the Dapr components of each cloud against Dapr's own source and against what the application relies on.

No cloud is there to connect to. What can be known without one: every setting's name is one that this version
of Dapr reads; what the local components set on purpose is set the same everywhere; every secret that a
component names is one that the stack makes; and nothing is switched on that loses or reorders events.
"""

import re
import sys
from pathlib import Path

import tools
from scratch import STACKS

COMPONENTS = STACKS.parent / "components"
OVERLAYS = ["aws", "gcp", "azure", "gcp-pubsub"]
SOURCES = {
    "bindings.postgresql": ["bindings/postgres", "common/authentication/postgresql", "common/aws/auth", "common/authentication/aws"],
    "pubsub.gcp.pubsub": ["pubsub/gcp/pubsub"],
    "pubsub.kafka": ["pubsub/kafka", "common/component/kafka", "common/aws/auth"],
    "secretstores.aws.secretmanager": ["secretstores/aws/secretmanager"],
    "secretstores.azure.keyvault": ["secretstores/azure/keyvault"],
    "secretstores.gcp.secretmanager": ["secretstores/gcp/secretmanager"],
    "state.redis": ["state/redis", "common/component/redis"],
}
# Read by Dapr itself, whatever the component.
RUNTIME = {"consumerid", "direction", "keyprefix"}
# What connects to a cloud's own service differs by nature; everything else that the local component sets is kept.
CONNECTION = {
    "authtype", "brokers", "connectionstring", "database", "host", "password", "port", "project_id", "redishost",
    "redispassword", "user", "version",
}  # fmt: skip
NAME = re.compile(r'mapstructure(?:aliases)?:"([^"]+)"')
SECRET_IN_STACK = {
    "aws": re.compile(r'^tidemark/(kafka|postgres|rabbitmq|redis|signing-keys)$'),
    "gcp": None,
    "azure": None,
    "gcp-pubsub": None,
}
# Kept by cert-manager and the chart in Kubernetes' own store (docs/cloud/gcp.md).
KUBERNETES_SECRETS = {"google-trust", "tidemark-application-kafka", "tidemark-history-kafka", "tidemark-kafka"}


def known_settings(kind: str, source: Path) -> set[str]:
    names = set(RUNTIME)
    for folder in SOURCES[kind]:
        for file in [*(source / folder).glob("*.go"), *(source / folder).glob("metadata.yaml")]:
            text = file.read_text()
            for tags in NAME.findall(text):
                names.update(tag.strip().lower() for tag in tags.split(","))
            names.update(name.lower() for name in re.findall(r"^\s*- name: (\w+)", text, re.M))
            names.update(name.lower() for name in re.findall(r'metadata\["(\w+)"\]', text))
    return names


def made_secrets(cloud: str) -> set[str]:
    """The short names of the secrets in the data module of a stack."""
    text = (STACKS / cloud.removesuffix("-pubsub") / "modules" / "data" / "main.tf").read_text()
    return set(re.findall(r'^\s+"?([a-z-]+)"?\s*=\s*\{ group =', text, re.M)) | {"signing-keys"}


def settings(component: dict) -> dict[str, dict]:
    return {item["name"].lower(): item for item in component["spec"]["metadata"]}


def judged(root: Path = COMPONENTS) -> tuple[str, list[str]]:
    sys.path.insert(0, tools.checkov())
    import yaml

    source, wrong, count = tools.dapr_components(), [], 0
    local = {}
    for file in root.glob("*.yaml"):
        component = yaml.safe_load(file.read_text())
        local[component["metadata"]["name"]] = component
    resiliency = yaml.safe_load((STACKS.parent / "dapr" / "resiliency.yaml").read_text())
    covered = resiliency["spec"]["targets"]["components"]

    wrong += topic_problems(yaml)
    for overlay in OVERLAYS:
        base = root / "overlays" / overlay / "base"
        listed = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
        own = {file.name for file in base.glob("*.yaml")} - {"kustomization.yaml"}
        if own - set(listed):
            wrong.append(f"{overlay}: kustomization.yaml lacks {', '.join(sorted(own - set(listed)))}")
        components = {}
        for entry in listed:
            component = yaml.safe_load((base / entry).read_text())
            components[component["metadata"]["name"]] = component
        count += len(components)

        missing = set(local) - set(components) - {f"pubsub-history-{n}" for n in range(1, 6) if overlay == "gcp-pubsub"}
        # What only a laptop or the cluster's own broker needs has no variant in a cloud.
        missing = {name for name in missing if local[name]["spec"]["type"] in {"pubsub.kafka", "state.redis", "bindings.postgresql"} | {"secretstores.local.file"}}
        wrong += [f"{overlay}: no component {name}" for name in sorted(missing)]

        for name, component in sorted(components.items()):
            where = f"{overlay}/{name}"
            kind, given = component["spec"]["type"], settings(component)
            unknown = set(given) - known_settings(kind, source)
            wrong += [f"{where}: Dapr's {kind} reads no setting {setting}" for setting in sorted(unknown)]
            if component["scopes"] != local[name]["scopes"]:
                wrong.append(f"{where}: other scopes than components/{name}.yaml")
            if kind == local[name]["spec"]["type"]:
                for setting, item in settings(local[name]).items():
                    if setting not in CONNECTION and given.get(setting, {}).get("value") != item.get("value"):
                        wrong.append(f"{where}: {setting} is not {item.get('value')} as in components/{name}.yaml")
            for setting, item in given.items():
                secret = item.get("secretKeyRef", {}).get("name")
                if secret is None:
                    if "password" in setting or "connectionstring" in setting:
                        wrong.append(f"{where}: {setting} is written down instead of referred to")
                    continue
                wrong += secret_problems(overlay, where, component, secret)
            wrong += promises_broken(where, kind, given, covered, name)

        wrong += signing_key_problems(overlay, yaml)
        for environment in ["staging", "production"]:
            patches = yaml.safe_load((root / "overlays" / overlay / environment / "kustomization.yaml").read_text())
            wrong += patch_problems(f"{overlay}/{environment}", patches, components, yaml)
    return f"{count} components of {len(OVERLAYS)} overlays", wrong


def topic_problems(yaml) -> list[str]:
    """The stacks make the topics that the charts make, and the one that the program asks for the broker's health."""
    product = set(re.findall(r'"([a-z-]+(?:\.[a-z-]+)?)"', (STACKS / "modules" / "product" / "main.tf").read_text()))
    chart = yaml.safe_load((STACKS.parent / "charts" / "kafka" / "values.yaml").read_text())
    program = (STACKS.parent / "app" / "tidemark" / "src" / "tasks.rs").read_text()
    needed = {*chart["topics"], chart["probeTopic"], re.search(r'^const PROBE_TOPIC: &str = "([^"]+)";', program, re.M).group(1)}
    return [f"modules/product does not name the topic {topic}" for topic in sorted(needed - product)]


def signing_key_problems(overlay: str, yaml) -> list[str]:
    """The one secret that the program asks for itself: its sidecar must allow it, and the stack must make it."""
    program = (STACKS.parent / "app/tidemark/src/accounts/signing.rs").read_text()
    name = re.search(r'^const SECRET: &str = "([^"]+)";', program, re.M).group(1)
    configuration = yaml.safe_load((STACKS.parent / "dapr" / "configuration.yaml").read_text())
    allowed = [secret for scope in configuration["spec"]["secrets"]["scopes"] for secret in scope["allowedSecrets"]]
    found = [] if name in allowed else [f"dapr/configuration.yaml does not let the program read {name}"]
    stack = overlay.removesuffix("-pubsub")
    if f'"{name}"' not in (STACKS / stack / "modules" / "data" / "main.tf").read_text():
        found.append(f"{overlay}: the stack makes no secret {name}, which the program asks for")
    return found


def secret_problems(overlay: str, where: str, component: dict, secret: str) -> list[str]:
    if component["auth"]["secretStore"] == "kubernetes":
        return [] if secret in KUBERNETES_SECRETS else [f"{where}: nobody makes the Kubernetes Secret {secret}"]
    pattern = SECRET_IN_STACK[overlay]
    exists = pattern.match(secret) if pattern else secret.removeprefix("tidemark-") in made_secrets(overlay)
    return [] if exists else [f"{where}: the stack makes no secret {secret}"]


def promises_broken(where: str, kind: str, given: dict, covered: dict, name: str) -> list[str]:
    """What would lose, repeat without end, or reorder events."""
    found = []
    value = lambda setting: given.get(setting, {}).get("value")
    if kind.startswith("pubsub."):
        if "deadlettertopic" in given:
            found.append(f"{where}: the sidecar's dead letters lose whole batches; the application writes its own")
        if name not in covered:
            found.append(f"{where}: dapr/resiliency.yaml does not name it, so a passing fault would not be retried for ever")
    if kind == "pubsub.kafka":
        if value("initialoffset") != "oldest":
            found.append(f"{where}: a ledger is read from its beginning")
        if name.startswith("pubsub-history") and value("consumeretryenabled") != "true":
            found.append(f"{where}: without its own retries the component skips what fails")
        if value("authtype") in (None, "none") or "true" in (value("disabletls"), value("skipverify")):
            found.append(f"{where}: Kafka without sign-in or TLS")
    if kind == "pubsub.gcp.pubsub" and value("enablemessageordering") != "true":
        found.append(f"{where}: events of one entity would overtake each other")
    if kind == "state.redis":
        if value("enabletls") != "true" or value("insecureskiptlsverify") == "true":
            found.append(f"{where}: Redis without TLS, or without looking at its certificate")
        if "writetimeout" in given:
            found.append(f"{where}: with writeTimeout every operation of a transaction runs twice")
    return found


def patch_problems(where: str, kustomization: dict, components: dict, yaml) -> list[str]:
    """A patch by position must hit the setting that it means, and nothing may stay unset."""
    found, replaced = [], set()
    for patch in kustomization["patches"]:
        name = patch["target"]["name"]
        for operation in yaml.safe_load(patch["patch"]):
            index = int(operation["path"].rsplit("/", 1)[-1])
            before = components[name]["spec"]["metadata"][index]
            if before["name"] != operation["value"]["name"] or before.get("value") != "unset":
                found.append(f"{where}: the patch of {name} hits {before['name']}")
            replaced.add((name, before["name"]))
    for name, component in components.items():
        for item in component["spec"]["metadata"]:
            if item.get("value") == "unset" and (name, item["name"]) not in replaced:
                found.append(f"{where}: {item['name']} of {name} stays unset")
    return found
