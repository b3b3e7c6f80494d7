#!/usr/bin/env python3
"""Checks the Terraform stacks without an account, without a network and without the real providers.

    check.py            all checks
    check.py install    only install the tools
    check.py golden     write the plan summaries anew
    check.py docs       write the READMEs anew
    check.py mutations  break every rule once and see it noticed

What the result is worth is said in README.md beside this file.
"""

import json
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import components
import contract
import documents
import findings
import golden
import rules
import tools
from scratch import STACKS, Scratch

HERE = Path(__file__).resolve().parent
ROOTS = [f"{cloud}/environments/{environment}" for cloud in contract.CLOUDS for environment in contract.ENVIRONMENTS]
BOOTSTRAPS = [f"{cloud}/bootstrap" for cloud in contract.CLOUDS]
GITOPS = [f"{root}/gitops" for root in ROOTS]

Outcome = tuple[str, list[str]]


def formatting(scratch: Scratch) -> Outcome:
    result = scratch.terraform(".", "fmt", "-check", "-recursive", "-no-color")
    return f"{len(list(STACKS.rglob('*.tf')))} files", [] if result.passed else result.output.splitlines()


def validation(scratch: Scratch) -> Outcome:
    roots = [*contract.CLOUDS, *ROOTS, *BOOTSTRAPS, *GITOPS, "modules/gitops"]

    def run(root: str) -> list[str]:
        started = scratch.initialise(root)
        result = scratch.terraform(root, "validate", "-no-color") if started.passed else started
        return [] if result.passed else [f"{root}: {result.output}"]

    with ThreadPoolExecutor(2) as pool:
        return f"{len(roots)} roots", [problem for found in pool.map(run, roots) for problem in found]


def inputs(scratch: Scratch) -> Outcome:
    """Every rule on an input refuses what it should; 24 to 25 runs a cloud."""
    passed, wrong = 0, []
    for cloud in contract.CLOUDS:
        root = scratch.inputs_root(cloud)
        scratch.initialise(root)
        report = findings.read(scratch.terraform(root, "test", "-json").output)
        passed += report.passed
        wrong += [f"{cloud}: {error}" for error in report.errors]
        if report.passed == 0:
            wrong.append(f"{cloud}: no test ran")
    return f"{passed} tests", wrong


def stacks(scratch: Scratch, update_golden: bool) -> Outcome:
    """Tests with mocked providers, the rules on every resource, and the plan summaries."""

    def run(root: str) -> tuple[str, findings.TestReport]:
        scratch.initialise(root)
        return root, findings.read(scratch.terraform(root, "test", "-json", "-verbose").output)

    with ThreadPoolExecutor(2) as pool:
        reports = dict(pool.map(run, [*ROOTS, *BOOTSTRAPS, "modules/gitops", "gcp"]))

    wrong, judged = [], 0
    for root, report in reports.items():
        wrong += [f"{root}: {error}" for error in report.errors]
        if report.passed == 0:
            wrong.append(f"{root}: no test ran")
        environment = root.rsplit("/", 1)[-1]
        applied, broken = rules.judge(report, environment)
        judged += applied
        wrong += [f"{root}: {line}" for line in broken]
        if root in ROOTS:
            difference = golden.differs(root.replace("/environments/", "-"), report.plan, update_golden)
            wrong += [f"{root}: the plan differs from its summary (make tf-golden accepts it)\n{difference}"] if difference else []
    wrong += [f"rule {name} found nothing to judge" for name in rules.without_a_subject(reports)]
    wrong += rules.unguarded(STACKS)
    passed = sum(report.passed for report in reports.values())
    return f"{passed} tests, {len(rules.RULES)} rules applied {judged} times, {len(ROOTS)} plan summaries", wrong


def shared_contract(_: Scratch) -> Outcome:
    return "3 clouds, 2 environments", contract.breaches(STACKS) + contract.false_locks(STACKS)


def lint(_: Scratch) -> Outcome:
    done = subprocess.run(
        [tools.tflint(), "--recursive", f"--config={STACKS / '.tflint.hcl'}", "--format=compact", "--no-color"],
        cwd=STACKS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "tflint", [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def skips() -> list[tuple[str, str, str]]:
    lines = (HERE / "checkov_skips.txt").read_text().splitlines()
    entries = [tuple(part.strip() for part in line.split("|", 2)) for line in lines if line and not line.startswith("#")]
    return [entry for entry in entries if len(entry) == 3]


def policies(_: Scratch) -> Outcome:
    done = subprocess.run(
        ["nice", "-n", "10", sys.executable, "-m", "checkov.main", "--directory", str(STACKS), "--framework", "terraform",
         "--compact", "--quiet", "--output", "json", "--download-external-modules", "false", "--skip-path", "checks"],
        capture_output=True, text=True, check=False, env={**tools.environment(), "PYTHONPATH": tools.checkov()},
    )  # fmt: skip
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return "checkov", [f"no report: {done.stderr[-500:]}"]
    known, used, wrong, skipped = skips(), set(), [], 0
    for failed in report["results"]["failed_checks"]:
        reasons = [entry for entry in known if entry[0] == failed["check_id"] and entry[1] in failed["resource"]]
        if reasons:
            used.update(reasons)
            skipped += 1
        else:
            wrong.append(f"{failed['check_id']} {failed['resource']}: {failed['check_name']}")
    wrong += [f"checkov_skips.txt: nothing to skip for {entry[0]} {entry[1]}" for entry in known if entry not in used]
    return f"checkov: {report['summary']['passed']} passed, {skipped} skipped for {len(known)} reasons", wrong


def pages(_: Scratch) -> Outcome:
    count, wrong = documents.stale(STACKS, update=False)
    return f"{count} READMEs", wrong


def dapr(_: Scratch) -> Outcome:
    return components.judged()


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else "check"
    tools.install()
    if wanted == "install":
        return 0
    if wanted == "docs":
        documents.stale(STACKS, update=True)
        return 0
    if wanted == "mutations":
        import mutations

        return mutations.run()

    steps: list[tuple[str, Callable[[Scratch], Outcome]]] = [
        ("fmt", formatting),
        ("contract", shared_contract),
        ("tflint", lint),
        ("terraform-docs", pages),
        ("components", dapr),
        ("validate", validation),
        ("inputs", inputs),
        ("stacks", lambda scratch: stacks(scratch, update_golden=wanted == "golden")),
    ]
    passed = failed = 0
    began = time.monotonic()
    with Scratch() as scratch, ThreadPoolExecutor(1) as beside:
        # Checkov takes a third of the time and needs nothing of the rest.
        background: Future[Outcome] = beside.submit(policies, scratch)
        for name, step in [*steps, ("checkov", lambda _: background.result())]:
            said, wrong = step(scratch)
            passed, failed = (passed, failed + 1) if wrong else (passed + 1, failed)
            print(f"{'FAIL' if wrong else 'ok  '} {name:<15} {said}", flush=True)
            for line in wrong:
                print(f"     {line}")
    print(f"schemas rebuilt from published bindings: no real plan was made ({time.monotonic() - began:.0f} s)")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
