"""Dapr's real operator, sentry and injector beside the API server."""

import json
import os
import urllib.request
from pathlib import Path

import tools
from plane import Plane, free_ports
from processes import NotReached, wait_for
from steps_charts import ROLES, with_values, workloads_are_out
from steps_rollouts import NAMESPACE as ROLLOUTS
from suite import Broken, Run, expect, step

SYSTEM = "dapr-system"
NAMESPACE = "tidemark-dapr"
AUDIENCE = "spiffe://cluster.local/ns/dapr-system/dapr-sentry"


def account_of(plane: Plane, account: str) -> Path:
    path = plane.pki / f"{account}.kubeconfig"
    token = plane.kubectl("create", "token", account, "-n", SYSTEM, "--duration=2h").strip()
    plane.write_kubeconfig(path, {"token": token})
    return path


def literals_of(plane: Plane, deployment: str) -> dict[str, str]:
    """The environment that Dapr's chart gives the program, as far as it is literal."""
    container = plane.get("deployment", deployment, SYSTEM)["spec"]["template"]["spec"]["containers"][0]
    return {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}


def start(plane: Plane, name: str, account: str, app: str, *flags: str, environment: dict[str, str]) -> None:
    """Starts a program in a file system view of its own, in which its token lies where Dapr looks for it."""
    secrets = plane.folder / f"{name}-secrets"
    secrets.mkdir(exist_ok=True)
    pod = plane.every("pods", SYSTEM, f"app={app}")[0]["metadata"]["name"]
    token = plane.kubectl("create", "token", account, "-n", SYSTEM, f"--audience={AUDIENCE}", "--bound-object-kind=Pod",
                          f"--bound-object-name={pod}")  # fmt: skip
    (secrets / "token").write_text(token)
    place = "/run/secrets/dapr.io/sentrytoken"
    script = f'mount -t tmpfs none /run && mkdir -p {place} && cp "$0/token" {place}/token && exec "$@"'
    plane.processes.start(
        name, "unshare", "--mount", "--propagation", "private", "sh", "-c", script, secrets, tools.program(name),
        f"--kubeconfig={account_of(plane, account)}", *flags,
        environment={**plane.environment, "NAMESPACE": SYSTEM, "DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK": "true", **environment},
    )  # fmt: skip


def healthy(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
        return answer.status == 200


def at_loopback(plane: Plane, service: str, port: int) -> None:
    """Lets the API server reach a Service's program on this machine, under the Service's own name in TLS."""
    plane.kubectl("delete", "service", service, "-n", SYSTEM, "--ignore-not-found")
    plane.apply([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": service, "namespace": SYSTEM},
                  "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}}])  # fmt: skip


def rollouts_too(plane: Plane) -> list[str]:
    """The flag by which the operator makes Services for Rollouts, if Dapr's chart gives it to the program."""
    container = plane.get("deployment", "dapr-operator", SYSTEM)["spec"]["template"]["spec"]["containers"][0]
    return [word for word in container.get("args", []) if "argo-rollout" in word]


@step(
    "dapr",
    "Dapr's sentry, injector and operator run, with certificates from the sentry",
    ("definitions",),
    deep=True,
    programs=("dapr-sentry", "dapr-operator", "dapr-injector"),
)
def dapr(run: Run) -> str:
    if os.geteuid() != 0:
        raise Broken("Dapr's programs look for their token at a fixed path, for which a mount of their own is needed: run as root")
    plane = run.plane
    names = ["sentry", "sentry-health", "sentry-metrics", "injector", "injector-health", "injector-metrics",
             "operator", "operator-health", "operator-metrics", "operator-webhook"]  # fmt: skip
    port = dict(zip(names, free_ports(len(names)), strict=True))
    plane.namespace(SYSTEM)
    # The two settings that Terraform's release has too; the address is where the sentry is found on this machine.
    settings = ["dapr_sidecar_injector.sidecarDropALLCapabilities=true", "global.argoRolloutServiceReconciler.enabled=true",
                f"global.mtls.sentryAddress=127.0.0.1:{port['sentry']}"]  # fmt: skip
    plane.helm("install", "dapr", tools.module("dapr") / "charts" / "dapr", "--namespace", SYSTEM, "--skip-crds",
               "--set", f"global.tag={tools.DAPR}", *[word for each in settings for word in ("--set", each)])  # fmt: skip
    wait_for("Dapr's pods are there", 60, lambda: all(
        plane.every("pods", SYSTEM, f"app={app}") for app in ("dapr-sentry", "dapr-sidecar-injector", "dapr-operator")))  # fmt: skip

    def flags(name: str) -> list[str]:
        return ["--listen-address=127.0.0.1", f"--port={port[name]}", f"--healthz-port={port[name + '-health']}",
                "--healthz-listen-address=127.0.0.1", f"--metrics-port={port[name + '-metrics']}"]  # fmt: skip

    credentials = plane.folder / "dapr-credentials"
    credentials.mkdir()
    start(plane, "dapr-sentry", "dapr-sentry", "dapr-sentry", *flags("sentry"), "--mode=kubernetes", "--trust-domain=cluster.local",
          f"--issuer-credentials={credentials}", environment={})  # fmt: skip
    anchors = plane.folder / "dapr-ca.crt"

    def trusted() -> bool:
        bundle = [each for each in plane.every("configmaps", SYSTEM) if each["metadata"]["name"] == "dapr-trust-bundle"]
        if not bundle or "ca.crt" not in bundle[0].get("data", {}):
            return False
        anchors.write_text(bundle[0]["data"]["ca.crt"])
        return True

    wait_for("the sentry has made its authority", 60, trusted)
    at_loopback(plane, "dapr-sidecar-injector", port["injector"])
    hook = [{"op": "add", "path": "/webhooks/0/clientConfig/service/port", "value": port["injector"]}]
    plane.kubectl("patch", "mutatingwebhookconfiguration", "dapr-sidecar-injector", "--type=json", "--patch", json.dumps(hook))
    anchored = {"DAPR_TRUST_ANCHORS_FILE": str(anchors), "DAPR_CONTROL_PLANE_TRUST_DOMAIN": "cluster.local"}
    start(plane, "dapr-injector", "dapr-injector", "dapr-sidecar-injector", *flags("injector"),
          environment={**literals_of(plane, "dapr-sidecar-injector"), **anchored})  # fmt: skip
    start(plane, "dapr-operator", "dapr-operator", "dapr-operator", *flags("operator"), "--disable-leader-election", "--watch-interval=0",
          f"--trust-anchors-file={anchors}", f"--webhook-server-port={port['operator-webhook']}",
          "--webhook-server-listen-address=127.0.0.1", *rollouts_too(plane), environment={})  # fmt: skip

    def certified() -> bool:
        found = plane.get("mutatingwebhookconfiguration", "dapr-sidecar-injector")["webhooks"][0]["clientConfig"]
        return bool(found.get("caBundle"))

    wait_for("the injector has put its authority into its webhook", 60, certified)
    for name in ("sentry", "injector", "operator"):
        try:
            wait_for(f"Dapr's {name} says that it is healthy", 60, lambda name=name: healthy(port[f"{name}-health"]))
        except NotReached as problem:
            raise Broken(f"{problem}\n{plane.processes.tail(f'dapr-{name}')}") from problem
    return "the pods of Dapr's chart are fake; the three programs themselves run on this machine with the same accounts"


@step("injection", "Every role gets its sidecar as a native one, within the restricted profile; the edge gets none", ("dapr",), deep=True)
def injection(run: Run) -> str:
    plane = run.plane
    plane.namespace(NAMESPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
    plane.helm("install", "tidemark", run.charts / "tidemark", "--namespace", NAMESPACE, "--wait", "--timeout", "4m",
               *with_values([run.charts / "tidemark" / "values-staging.yaml"]))  # fmt: skip
    workloads_are_out(run, NAMESPACE)
    lines, wrong = [], []
    for pod in plane.every("pods", NAMESPACE, "app.kubernetes.io/name=tidemark"):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        native = [c for c in pod["spec"].get("initContainers", []) if c["name"] == "daprd"]
        plain = [c for c in pod["spec"]["containers"] if c["name"] == "daprd"]
        if component in ("edge", "test"):
            wrong += [f"{component} has a sidecar"] if native or plain else []
            continue
        if plain or len(native) != 1 or native[0].get("restartPolicy") != "Always":
            wrong.append(f"{component}: native {len(native)}, plain {len(plain)}")
            continue
        words = [*native[0].get("command", []), *native[0].get("args", [])]
        app_id = words[words.index("--app-id") + 1]
        expected = f"tidemark-{'history' if component == 'migrate' else component}"
        wrong += [f"{component} is {app_id} to Dapr"] if app_id != expected else []
        wrong += [f"{component}: no mutual TLS"] if "--enable-mtls" not in words else []
        lines.append(f"{component}: {app_id}, {native[0]['image'].rsplit('/', 1)[-1]}")
    missing = set(ROLES) - {line.split(":")[0] for line in lines}
    expect(not wrong and not missing, "\n".join([*wrong, *(f"no sidecar: {role}" for role in sorted(missing))]))
    return "\n".join(sorted(set(lines)))


@step("rollouts-by-dapr", "A role that is a Rollout has its sidecars' Service, by which the others call it", ("dapr", "rollouts"), deep=True)
def rollouts_are_reached(run: Run) -> str:
    wanted = {"tidemark-tasks-dapr", "tidemark-gateway-dapr"}

    def made() -> set[str]:
        found = {each["metadata"]["name"] for each in run.plane.every("services", ROLLOUTS)} & wanted
        return found if found == wanted else set()

    wait_for("Dapr's operator has made the Services of the Rollouts", 60, made)
    ports = {port["name"]: port["port"] for port in run.plane.get("service", "tidemark-tasks-dapr", ROLLOUTS)["spec"]["ports"]}
    expect("dapr-internal" in ports, f"no port for sidecars: {ports}")
    return f"{', '.join(sorted(wanted))}; sidecars are called at port {ports['dapr-internal']}"
