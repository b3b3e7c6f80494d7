"""What argocd/ says, without Argo CD: every object is valid, agrees with the others, and allows what the charts bring."""

import json
import re
from collections.abc import Iterator

import tools
from steps_charts import ENVIRONMENTS, renderings
from suite import Run, expect, step

ARGO = tools.ROOT / "argocd"
ORIGIN = "https://github.com/tidemark/tidemark.git"
CLOUDS = ("none", "aws", "azure", "gcp")


def environment(run: Run, name: str, cloud: str) -> str:
    settings = {"environment": name, "cloud": cloud, "repository": ORIGIN, "revision": "main"}
    return run.plane.helm("template", name, ARGO / "environment", "--namespace", "argocd", "--kube-version", run.plane.version(),
                          "--values", ARGO / "environment" / f"values-{name}.yaml",
                          *[word for key, value in settings.items() for word in ("--set", f"{key}={value}")])  # fmt: skip


def objects(run: Run, text: str) -> list[dict]:
    """As the server would store them."""
    return json.loads(run.plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts",
                                        "--namespace", "argocd", "-o", "json", "-f", "-", stdin=text))["items"]  # fmt: skip


def group_and_kind(text: str) -> Iterator[tuple[str, str]]:
    for document in re.split(r"^---", text, flags=re.MULTILINE):
        version, kind = (re.search(rf"^{key}: (\S+)", document, re.MULTILINE) for key in ("apiVersion", "kind"))
        if version and kind:
            yield version[1].strip('"').rpartition("/")[0], kind[1]


@step("argo-definitions", "Argo CD's projects and applications are valid and allow exactly what the charts bring", ("definitions",))
def argo_definitions(run: Run) -> str:
    run.plane.namespace("argocd")
    strangers = [
        f"{file.relative_to(ARGO)}: {url}"
        for file in [ARGO / "root.yaml", *sorted((ARGO / "installation").glob("*.yaml"))]
        for url in re.findall(r"https://\S+\.git\b", file.read_text())
        if url != ORIGIN
    ]
    expect(not strangers, f"the repository has more than one address: {strangers}")
    count = 0
    for file in [ARGO / "root.yaml", *sorted((ARGO / "installation").glob("*.yaml"))]:
        run.plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file)
        count += 1
    allowed: dict[str, set[tuple[str, str]]] = {}
    for name in ENVIRONMENTS[1:]:
        for cloud in CLOUDS:
            made = objects(run, environment(run, name, cloud))
            count += len(made)
            projects = {each["metadata"]["name"]: each["spec"] for each in made if each["kind"] == "AppProject"}
            applications = {each["metadata"]["name"]: each for each in made if each["kind"] == "Application"}
            for application in applications.values():
                project, spec = projects[application["spec"]["project"]], application["spec"]
                expect(spec["source"]["repoURL"] in project["sourceRepos"], f"{application['metadata']['name']}: foreign source")
                expect(spec["destination"] in project["destinations"], f"{application['metadata']['name']}: foreign destination")
                automated = "automated" in spec["syncPolicy"]
                expect(automated == (name == "staging"), f"{application['metadata']['name']}: automated {automated}")
            # A window holds for its own project's applications alone.
            windows = [project.get("syncWindows", []) for project in projects.values()]
            expect(all(each == windows[0] for each in windows) and bool(windows[0]) == (name == "production"), f"hours differ: {windows}")
            waves = {each["metadata"]["name"].removeprefix(f"{name}-"): int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
                     for each in applications.values()}  # fmt: skip
            expect(waves["tidemark"] == max(waves.values()), f"the program does not come last: {waves}")
            expect(waves["monitoring"] == waves.get("gateway", waves["tidemark"]) == waves["tidemark"], f"the program waits for others: {waves}")
            expect(("kafka" in waves) == (cloud == "none"), f"{cloud}: {sorted(waves)}")
            for project in (name, f"{name}-gateway"):
                allowed[project] = {(each.get("group", ""), each["kind"]) for key in ("clusterResourceWhitelist", "namespaceResourceWhitelist")
                                    for each in projects[project][key]}  # fmt: skip
    unused, refused = {name: set(kinds) for name, kinds in allowed.items()}, set()
    for label, values in renderings(run):
        chart, name = label.split()[:2]
        name = f"{name}-gateway" if chart == "gateway" else name
        if name not in allowed or chart in ("monitoring", "platform"):
            continue
        words = [word for path in values for word in ("--values", str(path))]
        text = run.plane.helm("template", chart, run.charts / chart, "--kube-version", run.plane.version(), *words)
        found = set(group_and_kind(text))
        refused |= {(label, kind) for kind in found - allowed[name]}
        unused[name] -= found
    expect(not refused, f"not allowed by the project: {sorted(refused)}")
    # Rollouts and their analysis appear with a role's strategy, the Ingress with a route's kind, a Subscription with a
    # file in dapr/, the catalogue with an image of one's own; Namespace is Argo CD's.
    chosen = {("", "Namespace"), ("argoproj.io", "AnalysisTemplate"), ("argoproj.io", "Rollout"), ("networking.k8s.io", "Ingress"),
              ("elbv2.k8s.aws", "TargetGroupBinding"), ("dapr.io", "Subscription"), ("postgresql.cnpg.io", "ImageCatalog")}  # fmt: skip
    for project in ("staging", "staging-gateway"):
        left = unused[project] - chosen
        expect(not left, f"{project}: allowed, and no chart brings it: {sorted(left)}")
    return f"{count} objects for {len(CLOUDS)} kinds of clusters; {len(allowed['staging'])} kinds allowed in an environment"
