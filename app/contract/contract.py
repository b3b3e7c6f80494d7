#!/usr/bin/env python3
"""Holds a running system to its OpenAPI document: contract.py DOCUMENT URL

CONTRACT_TOKEN is somebody's token. Optional: CONTRACT_SECONDS (the time for all), CONTRACT_EXAMPLES (most random
cases an operation and round), CONTRACT_SEED (repeats a run), CONTRACT_OPERATION (one operationId only). All checks of
schemathesis, all phases: examples, limits of each schema, random cases, and chains of calls by the document's links.

target/contract gets the reports: operations.txt with the answers of each operation, junit.xml, and schemathesis.json
with the seed and the faults in short. An operation that was never called fails the run, too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORTS = HERE.parent.parent / "target" / "contract"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
# Beyond the time that the run is given, it shrinks what failed and writes its reports.
GRACE_SECONDS = 180


def command(document: str, url: str, environment: dict) -> list[str]:
    """The call of schemathesis."""
    words = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml"), "run", document, "--url", url,
        "--header", f"Authorization: Bearer {environment['CONTRACT_TOKEN']}",
        "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--workers", "2",
        "--max-time", environment["CONTRACT_SECONDS"], "--max-examples", environment["CONTRACT_EXAMPLES"],
        "--request-timeout", "15", "--continue-on-failure", "--no-color", "--generation-database", "none",
        "--report", "junit,json", "--report-junit-path", str(REPORTS / "junit.xml"),
        "--report-json-path", str(REPORTS / "schemathesis.json"),
    ]  # fmt: skip
    if seed := environment.get("CONTRACT_SEED"):
        words += ["--seed", seed]
    if operation := environment.get("CONTRACT_OPERATION"):
        words += ["--include-operation-id", operation]
    return words


def operations(document: dict) -> set[str]:
    """Every operation of a document, as the counts name it."""
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item if method in METHODS}


def never_called(document: dict, counts: str) -> list[str]:
    """The operations that have no line in the counts."""
    called = {" ".join(line.split()[1:3]) for line in counts.splitlines()}
    return sorted(operations(document) - called)


def main(document: str, url: str) -> int:
    REPORTS.mkdir(parents=True, exist_ok=True)
    counts = REPORTS / "operations.txt"
    counts.unlink(missing_ok=True)
    environment = {"CONTRACT_SECONDS": "300", "CONTRACT_EXAMPLES": "300"}
    environment |= {name: value for name, value in os.environ.items() if value}
    environment |= {"CONTRACT_COUNTS": str(counts), "SCHEMATHESIS_HOOKS": "counts", "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    limit = int(environment["CONTRACT_SECONDS"]) + GRACE_SECONDS
    try:
        result = subprocess.run(command(document, url, environment), check=False, cwd=REPORTS, env=environment, timeout=limit)
    except subprocess.TimeoutExpired:
        print(f"contract: schemathesis did not end within {limit} s", file=sys.stderr)
        return 1
    print(counts.read_text(encoding="utf-8") if counts.exists() else "contract: nothing was called")
    if result.returncode:
        seed = json.loads((REPORTS / "schemathesis.json").read_text(encoding="utf-8"))["seed"] if (REPORTS / "schemathesis.json").exists() else "?"
        print(f"contract: again with: make contract CONTRACT_SEED={seed} (and CONTRACT_OPERATION=<operationId> for one operation)")
        return 1
    if environment.get("CONTRACT_OPERATION"):
        return 0
    missed = never_called(json.loads(Path(document).read_text(encoding="utf-8")), counts.read_text(encoding="utf-8"))
    for operation in missed:
        print(f"contract: {operation} was never called")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
