"""What is demanded of the workflows beyond what actionlint and zizmor look for.

    check.py

Every step runs one target of the Makefile that exists, so that a person can run what a pipeline runs. Nothing
is taken from elsewhere by a name that can be moved. No job has a right that it did not ask for, and none runs
for ever.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent.parent
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
# Renovate moves comment and commit together; a person reads the comment.
VERSIONED = re.compile(r"uses: *\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
STAGING_VALUES = "charts/tidemark/values-staging.yaml"
FORBIDDEN_EVENTS = {
    "pull_request_target": "it gives a stranger's code our secrets",
    "workflow_run": "it takes over what a stranger's run left",
    "issue_comment": "anybody may comment",
}


def problems(name: str, text: str, targets: set[str]) -> list[str]:
    """Returns what is wrong with a workflow or an action."""
    document = yaml.safe_load(text)
    found = [f"line {number}: not pinned by commit and version: {line.strip()}" for number, line in enumerate(text.splitlines(), 1)
             if re.match(r"\s*(- )?uses: +(?!\./| )", line) and not VERSIONED.search(line)]  # fmt: skip
    if "runs" in document:
        found += _of_steps("action", document["runs"].get("steps", []), targets)
    else:
        found += _of_workflow(document, targets)
    return [f"{name}: {words}" for words in found]


def _of_workflow(document: dict, targets: set[str]) -> list[str]:
    found = []
    # YAML 1.1 takes the word "on" for true.
    events = document.get("on", document.get(True, {}))
    events = events if isinstance(events, (dict, list)) else [events]
    found += [f"is started by {event}: {FORBIDDEN_EVENTS[event]}" for event in events if event in FORBIDDEN_EVENTS]
    if document.get("permissions") != {}:
        found.append("permissions at the top must be {}: each job asks for its own")
    if "concurrency" not in document:
        found.append("has no concurrency group")
    if any(_stages(step) for job in document.get("jobs", {}).values() for step in job.get("steps", [])):
        push = (events["push"] or {}) if isinstance(events, dict) and "push" in events else {}
        if "push" in events and STAGING_VALUES not in push.get("paths-ignore", []):
            found.append(f"`make stage` pushes {STAGING_VALUES}, which starts the workflow again (paths-ignore)")
    for job_name, job in document.get("jobs", {}).items():
        if "permissions" not in job:
            found.append(f"{job_name}: declares no permissions")
        elif isinstance(job["permissions"], str):
            found.append(f"{job_name}: permissions must be named one by one")
        if "uses" in job:
            continue
        if "timeout-minutes" not in job:
            found.append(f"{job_name}: has no timeout-minutes")
        if "latest" in str(job.get("runs-on", "")):
            found.append(f"{job_name}: runs on whatever is the latest")
        for container in [job.get("container"), *job.get("services", {}).values()]:
            image = container.get("image", "") if isinstance(container, dict) else container
            if image and not re.search(r"@sha256:[0-9a-f]{64}$", image):
                found.append(f"{job_name}: the container {image} is not pinned by its digest")
        found += _of_steps(job_name, job.get("steps", []), targets)
    return found


def _of_steps(job: str, steps: list[dict], targets: set[str]) -> list[str]:
    found = []
    for step in steps:
        if "uses" in step:
            if not step["uses"].startswith("./") and not PINNED.fullmatch(step["uses"]):
                found.append(f"{job}: {step['uses']} is not pinned by a commit")
            if step["uses"].startswith("actions/checkout@") and step.get("with", {}).get("persist-credentials") is not False:
                found.append(f"{job}: a checkout leaves its token behind (persist-credentials: false)")
        if "run" in step:
            found += [f"{job}: {words}" for words in _of_command(step["run"], targets)]
        if _stages(step) and re.search(r"github\.token|GITHUB_TOKEN", str(step.get("env", {}).get("GH_TOKEN"))):
            found.append(f"{job}: a ruleset lets no workflow's own token push; `make stage` needs an app's")
    return found


def _stages(step: dict) -> bool:
    return "stage" in step.get("run", "").split()


def _of_command(command: str, targets: set[str]) -> list[str]:
    lines = [line for line in command.splitlines() if line.strip()]
    if len(lines) != 1 or not re.match(r"make [^|;&<>$`]+$", lines[0]):
        return [f"a step runs one target of the Makefile and nothing else, not: {command.strip()}"]
    called = [word for word in lines[0].split()[1:] if "=" not in word and not word.startswith("-")]
    if not called:
        return [f"no target is named: {command}"]
    return [f"make {word}: there is no such target" for word in called if word not in targets]


def targets() -> set[str]:
    """The targets that are described, in the Makefile and all that it includes."""
    printed = subprocess.run(["make", "--silent", "help"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^ {2}([a-z0-9-]+) ", printed, re.M))


def main() -> int:
    known = targets()
    files = sorted([*PROJECT.glob(".github/workflows/*.yml"), *PROJECT.glob(".github/actions/*/action.yml")])
    wrong = [line for file in files for line in problems(str(file.relative_to(PROJECT)), file.read_text(encoding="utf-8"), known)]
    for line in wrong:
        print(line)
    print(f"{len(files)} files, {len(known)} targets known, {len(wrong)} problems")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
