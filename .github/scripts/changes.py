"""Says which jobs of a pull request a change can make fail, so that the others need not run.

    changes.py [BASE]

Compares HEAD with the commit BASE and writes, for each area, whether its jobs must run; also as outputs of the step.
Without BASE, as on main, all must. Whatever no rule below speaks of concerns everything: a rule is only there where
no check of the other area reads the file.
"""

import os
import re
import subprocess
import sys

# The program with its image and compose file; clusters and clouds with their rules and dashboards.
AREAS = {"program", "clusters"}
# The first rule that fits a path holds. Fragments of Make are never left out: every target is read through them.
RULES = [
    (r".*\.mk", AREAS),
    (r"docs/evidence/.*|[A-Z]+\.md", set()),
    (r"docs/configuration\.md", AREAS),
    (r"docs/.*|(charts|argocd|terraform)/.*", {"clusters"}),
]


def concerned(paths: list[str]) -> set[str]:
    """The areas whose checks read one of the paths."""
    return {area for path in paths for area in next((areas for rule, areas in RULES if re.fullmatch(rule, path)), AREAS)}


def changed(base: str) -> list[str]:
    """What differs between a commit and HEAD; of what was moved, both places."""
    if not re.fullmatch(r"[0-9a-f]{40}", base):
        raise SystemExit(f"changes: '{base}' is not the id of a commit")
    command = ["git", "diff", "--name-only", "--no-renames", "-z", base, "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")[:-1]


def main(base: str) -> None:
    areas = concerned(changed(base)) if base else AREAS
    lines = "".join(f"{area}={str(area in areas).lower()}\n" for area in sorted(AREAS))
    sys.stdout.write(lines)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with open(output, "a", encoding="utf-8") as file:
            file.write(lines)


if __name__ == "__main__":
    main("".join(sys.argv[1:2]))
