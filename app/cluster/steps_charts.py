"""The charts: what the API server says of every rendering, and a life of installs, upgrades and rollbacks."""

import json
import re
from collections import Counter
from pathlib import Path

import definitions
import post_deploy
import tools
from plane import CommandFailed
from processes import wait_for
from suite import Run, expect, step
from volumes import offer_volumes

ENVIRONMENTS = ("dev", "staging", "production")
ROLES = ("accounts", "tasks", "history", "notifications", "gateway")
# One of each environment is installed; the platform chart is the others together.
INSTALLED = ("redis", "kafka", "database", "rabbitmq", "monitoring", "tidemark")


def charts(run: Run) -> list[str]:
    return sorted(path.parent.name for path in run.charts.glob("*/Chart.yaml"))


def renderings(run: Run) -> list[tuple[str, list[Path]]]:
    """Every chart with the values of every environment, and with a cloud's or an example's laid over them."""
    found = []
    for chart in charts(run):
        for environment in ENVIRONMENTS:
            values = [run.charts / chart / f"values-{environment}.yaml"]
            found.append((f"{chart} {environment}", values))
            for overlay in sorted([*(run.charts / chart / "clouds").glob("*.yaml"), *(run.charts / chart / "examples").glob("*.yaml")]):
                if environment != "dev":
                    found.append((f"{chart} {environment} {overlay.stem}", [*values, overlay]))
    return found


def with_values(values: list[Path]) -> list[str]:
    return [word for path in values for word in ("--values", str(path))]


@step("definitions", "The custom resource definitions that the charts use are accepted and served")
def definitions_are_served(run: Run) -> str:
    served = definitions.install(run.plane)
    stand_ins = ", ".join(kind for _, _, kind, _ in definitions.STAND_INS)
    return f"{served} definitions; open stand-ins, since no registry holds them: {stand_ins}"


@step("dry-run", "Every chart with every environment's values passes a strict dry run on the server", ("definitions",))
def dry_run(run: Run) -> str:
    run.plane.namespace("dry-run")
    kinds: Counter[str] = Counter()
    refused = []
    for name, values in renderings(run):
        chart = name.split()[0]
        rendered = run.plane.helm("template", chart, run.charts / chart, "--namespace", "dry-run", "--kube-version",
                                  run.plane.version(), "--is-upgrade=false", *with_values(values))  # fmt: skip
        kinds.update(re.findall(r"^kind: (\S+)", rendered, re.MULTILINE))
        try:
            run.plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts",
                              "--namespace", "dry-run", "-f", "-", stdin=rendered)  # fmt: skip
        except CommandFailed as problem:
            refused.append(f"{name}: {problem}")
    expect(not refused, "\n".join(refused))
    return f"{len(renderings(run))} renderings, {sum(kinds.values())} objects of {len(kinds)} kinds"


@step("strictness", "The same dry run refuses a misspelt field, in built-in kinds and in custom ones", ("definitions",))
def misspelt_fields_are_refused(run: Run) -> str:
    run.plane.namespace("dry-run")
    port = {"name": "http", "prot": 80}
    wrong = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "wrong"}, "spec": {"ports": [port]}},
        {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "wrong"},
         "spec": {"type": "state.redis", "version": "v1", "metadata": [], "initTimeOut": "5s"}},
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "wrong"},
         "spec": {"project": "x", "destination": {"nameSpace": "x"}, "source": {"repoURL": "x"}}},
    ]  # fmt: skip
    said = []
    for each in wrong:
        try:
            run.plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", "dry-run",
                              "-f", "-", stdin=json.dumps(each))  # fmt: skip
        except CommandFailed as problem:
            said.append(f"{each['kind']}: {str(problem).splitlines()[-1].rpartition('): ')[2]}")
    expect(len(said) == len(wrong), f"only these were refused: {said}")
    return "\n".join(said)


def namespace_of(environment: str) -> str:
    return f"tidemark-{environment}"


def workloads_are_out(run: Run, namespace: str) -> str:
    """Every Deployment and StatefulSet has all its replicas, updated and ready."""

    def settled() -> str:
        found = [*run.plane.every("deployments", namespace), *run.plane.every("statefulsets", namespace)]
        missing = [
            each["metadata"]["name"] for each in found
            if each["status"].get("observedGeneration") != each["metadata"]["generation"]
            or each["status"].get("updatedReplicas", 0) != each["spec"]["replicas"]
            or each["status"].get("readyReplicas", 0) != each["spec"]["replicas"]
            or each["status"].get("replicas", 0) != each["spec"]["replicas"]
        ]  # fmt: skip
        # A Deployment without a number of replicas begins with one, and its autoscaler brings it to its least.
        replicas = {each["metadata"]["name"]: each["spec"]["replicas"] for each in found}
        missing += [
            each["metadata"]["name"] for each in run.plane.every("hpa", namespace)
            if replicas.get(each["spec"]["scaleTargetRef"]["name"], 0) < each["spec"]["minReplicas"]
        ]  # fmt: skip
        if missing or not found:
            raise CommandFailed(f"not yet: {', '.join(missing) or 'nothing there'}")
        return ", ".join(f"{each['metadata']['name'].removeprefix('tidemark-')} {each['spec']['replicas']}" for each in found)

    return str(wait_for(f"all workloads of {namespace} are out", 180, settled, 0.5))


@step(
    "install",
    "Every chart installs with the values of every environment, into namespaces that enforce the restricted profile",
    ("definitions",),
)
def install(run: Run) -> str:
    lines = []
    offer_volumes(run.plane)
    for environment in ENVIRONMENTS:
        namespace = namespace_of(environment)
        run.plane.namespace(namespace, **{"pod-security.kubernetes.io/enforce": "restricted"})
        # Node exporters read their node, which the restricted profile rightly forbids.
        run.plane.namespace(f"monitoring-{environment}")
        for chart in INSTALLED:
            where = f"monitoring-{environment}" if chart == "monitoring" else namespace
            values = with_values([run.charts / chart / f"values-{environment}.yaml"])
            # What operators would make of their resources is not there to be waited for.
            patience = ["--wait", "--timeout", "4m"] if chart == "tidemark" else []
            run.plane.helm("install", chart, run.charts / chart, "--namespace", where, *values, *patience)
        workloads_of_the_program(run, namespace)
        lines.append(f"{environment}: {workloads_are_out(run, namespace)}")
    return "\n".join(lines)


def workloads_of_the_program(run: Run, namespace: str) -> None:
    found = run.plane.every("deployments", namespace, "app.kubernetes.io/name=tidemark")
    names = {each["metadata"]["name"] for each in found}
    expect({f"tidemark-{role}" for role in ROLES} <= names, f"roles are missing among {sorted(names)}")
    short = [each["metadata"]["name"] for each in found if each["status"].get("readyReplicas") != each["spec"]["replicas"]]
    expect(not short, f"not rolled out: {short}")


@step("helm-test", "`helm test` passes in every environment", ("install",))
def helm_test(run: Run) -> str:
    for environment in ENVIRONMENTS:
        run.plane.helm("test", "tidemark", "--namespace", namespace_of(environment), "--timeout", "2m")
    return "hooks complete; that the containers would answer is shown by the acceptance suite, not here"


def post_deploy_check(run: Run, namespace: str) -> dict[str, str]:
    """What the part of `make post-deploy-check` that looks at a namespace says to each of its sentences."""
    cluster = post_deploy.Cluster(namespace, (str(tools.program("kubectl")), f"--kubeconfig={run.plane.kubeconfig}"))
    said = {}
    for sentence, check in cluster.checks():
        try:
            said[sentence] = check()
        except post_deploy.NotAsDeployed as problem:
            said[sentence] = f"FAILED {problem}"
    return said


@step("post-deploy", "`make post-deploy-check` is content with a namespace that is as it must be, and says what is not", ("helm-test",))
def post_deploy_step(run: Run) -> str:
    namespace = namespace_of("staging")
    said = post_deploy_check(run, namespace)
    failed = [sentence for sentence, answer in said.items() if answer.startswith("FAILED")]
    expect(failed == ["every Kafka topic is ready"], f"without Strimzi only the topics were expected not to be ready: {said}")
    # What Strimzi says once it has made them.
    ready = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    for topic in run.plane.every("kafkatopics", namespace):
        run.plane.kubectl("patch", "kafkatopic", topic["metadata"]["name"], "-n", namespace, "--subresource=status", "--type=merge",
                          "--patch", ready)  # fmt: skip
    said = post_deploy_check(run, namespace)
    expect(not [answer for answer in said.values() if answer.startswith("FAILED")], str(said))
    return "\n".join(f"{sentence}: {answer}" for sentence, answer in said.items())


def images(run: Run, namespace: str) -> set[str]:
    pods = run.plane.every("pods", namespace, "app.kubernetes.io/name=tidemark")
    return {
        container["image"] for pod in pods for container in pod["spec"]["containers"]
        if container["name"] == "tidemark" and pod["metadata"]["labels"]["app.kubernetes.io/component"] in ROLES
        and "deletionTimestamp" not in pod["metadata"]
    }  # fmt: skip


def upgrade(run: Run, environment: str, *words: str) -> None:
    values = with_values([run.charts / "tidemark" / f"values-{environment}.yaml"])
    run.plane.helm("upgrade", "tidemark", run.charts / "tidemark", "--namespace", namespace_of(environment), *values,
                   "--wait", *words)  # fmt: skip


@step("upgrade", "`helm upgrade` brings a new image to every role, `helm rollback` the old one back", ("install",))
def upgrade_and_rollback(run: Run) -> str:
    namespace = namespace_of("staging")
    before = images(run, namespace)
    expect(len(before) == 1, f"one image was expected: {before}")
    upgrade(run, "staging", "--set", "image.tag=0.1.1", "--timeout", "4m")
    # Helm is content with all replicas but the one that may be missing.
    workloads_are_out(run, namespace)
    after = images(run, namespace)
    expect(len(after) == 1 and after != before, f"the new image was expected everywhere: {after}")
    run.plane.helm("rollback", "tidemark", "1", "--namespace", namespace, "--wait", "--timeout", "4m")
    workloads_are_out(run, namespace)
    expect(images(run, namespace) == before, f"the first image was expected again: {images(run, namespace)}")
    history = json.loads(run.plane.helm("history", "tidemark", "--namespace", namespace, "-o", "json"))
    return "\n".join(f"revision {each['revision']}: {each['description']}" for each in history)


@step("bad-upgrade", "An image that cannot be pulled takes no replica away, and `--atomic` goes back by itself", ("install",))
def bad_upgrade(run: Run) -> str:
    namespace = namespace_of("staging")
    before = images(run, namespace)

    def roles() -> list[dict]:
        return run.plane.every("deployments", namespace, "app.kubernetes.io/name=tidemark")

    def failed(reasons: tuple[str, ...], *words: str) -> None:
        try:
            upgrade(run, "staging", "--set", "image.tag=cannot-be-pulled", *words)
        except CommandFailed as problem:
            expect(any(reason in str(problem) for reason in reasons), f"failed for another reason: {problem}")
        else:
            expect(False, "the upgrade was taken for a success")

    # The migration runs the same image before any role does.
    failed(("pre-upgrade hooks failed",), "--timeout", "20s")
    workloads_are_out(run, namespace)
    expect(images(run, namespace) == before, f"a role was changed before the migration was done: {images(run, namespace)}")
    # What if the image was lost after it.
    failed(("timed out", "deadline exceeded"), "--timeout", "25s", "--no-hooks")
    waiting = [pod for pod in run.plane.every("pods", namespace, "app.kubernetes.io/name=tidemark") if pod["status"].get("phase") == "Pending"]
    expect(waiting, "no pod of the bad version was tried")
    lost = {
        each["metadata"]["name"]: f"{each['status'].get('readyReplicas', 0)} of {each['spec']['replicas']}"
        for each in roles() if each["status"].get("readyReplicas", 0) < each["spec"]["replicas"] - 1
    }  # fmt: skip
    expect(not lost, f"too few replicas serve: {lost}")
    failed(("rolled back due to atomic being set",), "--timeout", "20s", "--no-hooks", "--atomic")
    workloads_are_out(run, namespace)
    expect(images(run, namespace) == before, f"the old image was expected: {images(run, namespace)}")
    return (f"the migration fails first and no role is touched; without it {len(waiting)} pods wait for the image, with all replicas "
            "but one of every role serving; then rolled back")  # fmt: skip
