#!/usr/bin/env python3
"""Breaks code in small ways and sees whether a unit or property test notices: mutants.py SHARD PATH…

SHARD is K/N, the Kth of N shares of all mutants. A mutant that no test notices must stand in
docs/evidence/mutants/survivors.txt with the reason; any other fails, and so does one that is listed and was caught.
The share's result is written to docs/evidence/mutants, under the names of the paths and K-of-N. CARGO_MUTANTS is the
tool, CARGO_TARGET_DIR where the copy that it breaks is built.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
EVIDENCE = PROJECT / "docs" / "evidence" / "mutants"
OUTCOMES = ["caught", "missed", "timeout", "unviable"]
# What the tool says when all went well, when mutants were missed, and when some ran too long.
JUDGED = {0, 2, 3}


def without_lines(mutant: str) -> str:
    """A mutant by its file and change alone: lines move."""
    return re.sub(r"^([^:]+\.rs):\d+:\d+: ", r"\1: ", mutant)


def explained(text: str) -> dict[str, str]:
    """Survivors and why: a line for the mutant, and below it, indented, the reason."""
    reasons, mutant = {}, None
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith(" "):
            if mutant is None:
                raise SystemExit(f"mutants: a reason without a mutant: {line}")
            reasons[mutant] = f"{reasons[mutant]} {line.strip()}".strip()
        else:
            mutant = line.strip()
            reasons[mutant] = ""
    if bare := [mutant for mutant, reason in reasons.items() if not reason]:
        raise SystemExit(f"mutants: no reason is given for {bare[0]}")
    return reasons


def problems(outcomes: dict[str, list[str]], reasons: dict[str, str]) -> list[str]:
    """What a run must not end with."""
    missed = {without_lines(mutant) for mutant in outcomes["missed"]}
    # One change may be made at two places of a file, of which only one is noticed.
    caught = {without_lines(mutant) for mutant in outcomes["caught"]} - missed
    found = [f"no test notices: {mutant}" for mutant in outcomes["missed"] if without_lines(mutant) not in reasons]
    return found + [f"is listed as a survivor, but a test notices: {mutant}" for mutant in sorted(caught & reasons.keys())]


def run(share: int, shares: int, paths: list[str]) -> dict[str, list[str]]:
    output = PROJECT / "target" / "mutants"
    packages = {"app/domain": "tidemark-domain", "app/pages": "tidemark-pages"}
    files = [word for path in paths for word in ("--file", f"{path}/**/*.rs")]
    files += [word for path in paths if (PROJECT / f"{path}.rs").exists() for word in ("--file", f"{path}.rs")]
    named = [word for path in paths for word in ("--package", packages.get(path, "tidemark"))]
    # A break that leaves a variable unused is one like any other, not an error: no lints.
    # Five times the time that the tests take without a break is enough, also where they take a second.
    command = [os.environ["CARGO_MUTANTS"], "mutants", "--dir", str(PROJECT), "--output", str(output), "--no-times",
               "--profile", "mutants", "--timeout-multiplier", "5", "--minimum-test-timeout", "5",
               "--cap-lints", "true", "--shard", f"{share - 1}/{shares}", "--colors", "never",
               "--cargo-arg=--lib", "--cargo-arg=--bins", *files, *named]  # fmt: skip
    # Builds go elsewhere: nothing else makes this folder.
    output.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(command, check=False)
    if result.returncode not in JUDGED:
        raise SystemExit(f"mutants: cargo-mutants ended with {result.returncode}")
    return {outcome: (output / "mutants.out" / f"{outcome}.txt").read_text(encoding="utf-8").splitlines() for outcome in OUTCOMES}


def main(shard: str, paths: list[str]) -> int:
    share, shares = (int(number) for number in shard.split("/"))
    if not 1 <= share <= shares:
        raise SystemExit(f"mutants: there is no share {shard}: the first is 1/{shares}")
    reasons = explained((EVIDENCE / "survivors.txt").read_text(encoding="utf-8"))
    outcomes = run(share, shares, paths)
    found = problems(outcomes, reasons)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout.strip()
    lines = [f"Mutants, share {shard}, of {' and '.join(paths)}", "", f"commit   {commit}"]
    lines += [f"{outcome:8} {len(outcomes[outcome])}" for outcome in OUTCOMES]
    lines += [f"missed   {mutant}\n         {reasons.get(without_lines(mutant), 'NOT EXPLAINED')}" for mutant in outcomes["missed"]]
    lines += [f"timeout  {mutant}" for mutant in outcomes["timeout"]]
    name = "-".join(Path(path).name for path in paths)
    (EVIDENCE / f"{name}-{share}-of-{shares}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    for line in found:
        print(f"mutants: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
