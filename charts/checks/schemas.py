"""Schemas of Kubernetes and of every custom resource that the charts use, from where their makers publish them:
Kubernetes' own description of its API and the definitions in the operators' Go modules. Fetched once, and kept by
version outside the checkout. Nothing of them is part of this repository.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from charts import CHARTS, KUBERNETES, objects, tool

CACHE = Path(os.environ.get("TIDEMARK_CACHE_DIR", Path.home() / ".cache" / "tidemark")) / "charts"

# Module, version, and where in it the definitions stand.
CLOUDNATIVE_PG = ("github.com/cloudnative-pg/cloudnative-pg", "v1.27.0")
DEFINITIONS = [
    ("github.com/dapr/dapr", "v1.18.1", "charts/dapr/crds/*.yaml"),
    (*CLOUDNATIVE_PG, "config/crd/bases/*.yaml"),
    ("github.com/cloudnative-pg/plugin-barman-cloud", "v0.13.0", "config/crd/bases/*.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0", "example/prometheus-operator-crd/*.yaml"),
    ("sigs.k8s.io/gateway-api", "v1.3.0", "config/crd/standard/*.yaml"),
    ("github.com/argoproj/argo-rollouts", "v1.8.3", "manifests/crds/*.yaml"),
    ("github.com/cert-manager/cert-manager", "v1.18.2", "deploy/crds/*.yaml"),
    ("k8s.io/autoscaler/vertical-pod-autoscaler", "v1.8.1", "deploy/vpa-v1-crd-gen.yaml"),
    ("github.com/elastic/cloud-on-k8s/v2", "v2.16.1", "config/crds/v1/resources/*.yaml"),
]
# Checked by Strimzi's own model, which is stricter than definitions made of it.
STRIMZI = CHARTS / "checks" / "strimzi"
# Asks CloudNativePG's webhooks, which refuse more than their definitions do.
WEBHOOKS = CHARTS / "checks" / "cloudnative-pg" / "main.go"
# Whose definitions are on no registry.
UNKNOWN = {"GCPGatewayPolicy", "RabbitmqCluster", "TargetGroupBinding"}


def run(*command: str, directory: Path | None = None) -> str:
    done = subprocess.run(["nice", "-n", "19", *command], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def installed(name: str, make) -> Path:
    """The folder of this name in the cache, made elsewhere and moved into place when it is whole."""
    folder = CACHE / name
    if folder.exists():
        return folder
    print(f"  making {name}", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError:
        # Another run finished the same folder first; any other failure is a real one.
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def module(name: str, version: str) -> Path:
    with tempfile.TemporaryDirectory() as empty:
        answer = run("go", "mod", "download", "-json", f"{name}@{version}", directory=Path(empty))
    return Path(json.loads(answer[answer.index("{") :])["Dir"])


def closed(schema):
    """The same schema, but refusing fields that it does not name, as the server does in strict mode."""
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer", "null"]}
    made = {
        # Conditions name only the fields that they speak of; all fields stand beside them.
        key: value if key in {"allOf", "anyOf", "oneOf", "not"} else closed(value)
        for key, value in schema.items()
        if not key.startswith("x-kubernetes") and key != "description"
    }
    if "properties" in schema and isinstance(schema["properties"], dict):
        made["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made


def write(folder: Path, group: str, kind: str, version: str, schema: dict) -> None:
    # kubeconform calls the core group by its version.
    group = group or version
    (folder / group).mkdir(exist_ok=True)
    (folder / group / f"{kind.lower()}_{version}.json").write_text(json.dumps(schema))


def kubernetes(folder: Path) -> None:
    document = json.loads((module("k8s.io/kubernetes", f"v{KUBERNETES}") / "api" / "openapi-spec" / "swagger.json").read_text())
    definitions = {name: closed(schema) for name, schema in document["definitions"].items()}
    for name, schema in document["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            if "properties" in schema:
                write(folder, kind["group"], kind["kind"], kind["version"], standalone(name, definitions))


def standalone(name: str, definitions: dict) -> dict:
    needed, waiting = {}, [name]
    while waiting:
        current = waiting.pop()
        if current in needed:
            continue
        needed[current] = definitions[current]
        text = json.dumps(definitions[current])
        waiting += [part.split('"')[0] for part in text.split('"#/definitions/')[1:]]
    return {**definitions[name], "definitions": needed}


def custom(folder: Path) -> None:
    for name, version, pattern in DEFINITIONS:
        for file in sorted(module(name, version).glob(pattern)):
            for document in objects(file.read_text()):
                if document.get("kind") == "CustomResourceDefinition":
                    definition(folder, document["spec"])


def definition(folder: Path, spec: dict) -> None:
    for version in spec["versions"]:
        schema = closed(version["schema"]["openAPIV3Schema"])
        schema.setdefault("properties", {}).update({"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}})
        write(folder, spec["group"], spec["names"]["kind"], version["name"], schema)


def schemas() -> Path:
    def make(folder: Path) -> None:
        kubernetes(folder)
        custom(folder)

    key = hashlib.sha256((KUBERNETES + repr(DEFINITIONS) + Path(__file__).read_text()).encode()).hexdigest()[:12]
    return installed(f"schemas-{key}", make)


def strimzi() -> Path:
    def make(folder: Path) -> None:
        run("mvn", "--quiet", "--batch-mode", "--file", str(STRIMZI / "pom.xml"), "dependency:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={folder}/libraries")  # fmt: skip
        run("javac", "-cp", f"{folder}/libraries/*", "-d", str(folder / "classes"), str(STRIMZI / "Strimzi.java"))

    key = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(STRIMZI.iterdir()))).hexdigest()[:12]
    return installed(f"strimzi-{key}", make)


def webhooks() -> Path:
    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as work:
            # What is internal to a module can be used inside it alone.
            for part in ["go.mod", "go.sum", "api", "internal", "pkg"]:
                run("cp", "--recursive", "--no-preserve=mode", str(module(*CLOUDNATIVE_PG) / part), work)
            (Path(work) / "cmd" / "check").mkdir(parents=True)
            shutil.copy(WEBHOOKS, Path(work) / "cmd" / "check")
            build = ["env", "CGO_ENABLED=0", "go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w"]
            run(*build, "-o", f"{folder}/check", "./cmd/check", directory=Path(work))

    key = hashlib.sha256(repr(CLOUDNATIVE_PG).encode() + WEBHOOKS.read_bytes()).hexdigest()[:12]
    return installed(f"cloudnative-pg-{key}", make)


def valid(files: list[Path]) -> tuple[str, list[str]]:
    """Every object is one that the API server would take."""
    location = f"{schemas()}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
    kinds = ",".join(["Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser", *sorted(UNKNOWN)])
    done = subprocess.run(
        [tool("KUBECONFORM"), "-strict", "-summary", "-output", "json", "-n", "2", "-schema-location", location, "-skip", kinds,
         *map(str, files)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout.startswith("{"):
        return "", [done.stderr.strip()]
    answer = json.loads(done.stdout)
    wrong = [f"{Path(one['filename']).name}: {one['kind']}/{one['name']}: {one['msg']}" for one in answer.get("resources") or []]
    summary = answer["summary"]
    return f"{summary['valid']} objects, {summary['skipped']} left to others", wrong


def valid_for_strimzi(files: list[Path]) -> tuple[str, list[str]]:
    folder = strimzi()
    return asked("java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}/classes:{folder}/libraries/*", "Strimzi", "check", *map(str, files))


def valid_for_cloudnative_pg(files: list[Path]) -> tuple[str, list[str]]:
    return asked(f"{webhooks()}/check", *map(str, files))


def asked(*command: str) -> tuple[str, list[str]]:
    """Runs a program that names what is wrong, line by line, and ends with how much it read."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode not in (0, 1) or not lines:
        return "", [done.stderr.strip()]
    return lines[-1], lines[:-1]
