#!/usr/bin/env python3
"""A real Kubernetes control plane on this machine, and tests of the charts and of Argo CD's setup on it.

    cluster.py up                 start one that stays, with the custom resource definitions
    cluster.py down               end it and remove its data
    cluster.py status             show what runs
    cluster.py steps              list the steps of the tests
    cluster.py test [STEP…]       run steps on a control plane of their own; all quick ones without a name
    cluster.py deep [STEP…]       the same with Dapr's and Argo's own controllers
    cluster.py post-deploy URL    check a deployment that is said to be done

What the control plane does and does not show is said in README.md beside this file.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import definitions
import post_deploy
import tools
from plane import STATE, CommandFailed, Plane, command
from processes import NotReached
from suite import STEPS, Run, chosen, perform

# Their steps register themselves, in this order.
import steps_charts  # noqa: F401  # isort: skip
import steps_network  # noqa: F401  # isort: skip
import steps_operations  # noqa: F401  # isort: skip
import steps_argo  # noqa: F401  # isort: skip
import steps_rollouts  # noqa: F401  # isort: skip
import steps_dapr  # noqa: F401  # isort: skip
import steps_gitops  # noqa: F401  # isort: skip

EVIDENCE = tools.ROOT / "docs" / "evidence"


def standing() -> Plane:
    return Plane(STATE / "standing", detached=True)


def up() -> int:
    plane = standing()
    if plane.processes.runs("kube-apiserver"):
        print("it is up already")
    else:
        began = time.monotonic()
        plane.remove()
        plane = standing()
        plane.up()
        served = definitions.install(plane)
        print(f"up in {time.monotonic() - began:.0f} s with {served} definitions")
    print(f"export KUBECONFIG={plane.kubeconfig}")
    return 0


def down() -> int:
    standing().remove()
    return 0


def status() -> int:
    plane = standing()
    for name in plane.processes.known():
        print(f"{name:26} {'runs' if plane.processes.runs(name) else 'has ended'}")
    return 0 if plane.processes.runs("kube-apiserver") else 1


def versions(deep: bool) -> list[str]:
    lines = [f"Kubernetes {tools.KUBERNETES}, etcd {tools.ETCD}, kwok {tools.KWOK}, Helm {tools.HELM}"]
    if deep:
        lines.append(f"Dapr {tools.DAPR}, Argo CD {tools.ARGO_CD}, Argo Rollouts {tools.ARGO_ROLLOUTS}")
    commit = subprocess.run(["git", "log", "-1", "--format=%h of %cs"], cwd=tools.ROOT, capture_output=True, text=True, check=False)
    return [*lines, f"at commit {commit.stdout.strip() or 'unknown'}"]


def test(names: list[str], deep: bool, evidence: str | None) -> int:
    steps = chosen(names, deep)
    deep = deep or any(each.deep for each in steps)
    lines: list[str] = []

    def say(text: str) -> None:
        print(text, flush=True)
        lines.append(text)

    # What has to be built is built before the clock of a step runs.
    for name in [*tools.CONTROL_PLANE, *(program for each in steps for program in each.programs)]:
        tools.program(name)
    tools.helm()

    STATE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=STATE))
    plane = Plane(folder / "plane")
    charts = folder / "charts"
    shutil.copytree(tools.ROOT / "charts", charts, ignore=shutil.ignore_patterns("__pycache__"))
    # What `platform` consists of is packed from this copy: a fresh checkout has no packages, an old one stale ones.
    shutil.rmtree(charts / "platform" / "charts", ignore_errors=True)
    command(tools.helm(), "dependency", "build", charts / "platform", "--skip-refresh")
    run = Run(plane, folder, charts)
    say(f"# {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, `make cluster-test{'-deep' if deep else ''}`")
    for line in versions(deep):
        say(f"# {line}")
    began = time.monotonic()
    # As an interruption by hand, so that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        plane.up()
        say(f"the control plane is up with {len(plane.ready_nodes())} nodes in {time.monotonic() - began:.1f} s")
        failed = perform(steps, run, say)
    finally:
        # Not always the one that it began with.
        run.plane.down()
    say(f"\n{len(steps) - len(failed)} passed, {len(failed)} failed in {time.monotonic() - began:.0f} s")
    if failed:
        print(f"logs are kept in {folder}")
    else:
        shutil.rmtree(folder)
    if evidence:
        EVIDENCE.mkdir(parents=True, exist_ok=True)
        # Ports and folders differ from run to run and machine to machine.
        text = "\n".join(lines).replace(str(folder), "FOLDER").replace(str(Path.home()), "~")
        (EVIDENCE / evidence).write_text(text + "\n")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status", "steps"):
        commands.add_parser(name)
    for name in ("test", "deep"):
        each = commands.add_parser(name)
        each.add_argument("steps", nargs="*")
        each.add_argument("--evidence", help="write what is said to this file of docs/evidence too")
    post_deploy.arguments(commands.add_parser("post-deploy"))
    given = parser.parse_args()
    try:
        match given.command:
            case "up":
                return up()
            case "down":
                return down()
            case "status":
                return status()
            case "steps":
                for each in STEPS.values():
                    print(f"{each.name:20} {'deep ' if each.deep else '     '} {each.sentence}")
                return 0
            case "post-deploy":
                return post_deploy.check(given)
            case _:
                return test(given.steps, given.command == "deep", given.evidence)
    except (tools.BuildFailed, CommandFailed, NotReached) as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
