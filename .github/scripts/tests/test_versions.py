"""A version that Renovate raises stands in one place: else its pull request changes half of what must agree."""

import json
import re
import subprocess
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
RENOVATE = json.loads((PROJECT / ".github" / "renovate.json").read_text(encoding="utf-8"))
# Renovate's named groups are JavaScript's.
PATTERNS = [
    re.compile(pattern.replace("(?<", "(?P<")) for manager in RENOVATE["customManagers"] for pattern in manager["matchStrings"]
]  # fmt: skip


def tracked(*patterns: str) -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return {name: (PROJECT / name).read_text(encoding="utf-8") for name in listed.split() if (PROJECT / name).is_file()}


def raised(fragments: dict[str, str]) -> list[tuple[str, str]]:
    """Each name and version that Renovate finds in Make's fragments, as often as it finds it."""
    found = [match for text in fragments.values() for pattern in PATTERNS for match in pattern.finditer(text)]
    return [(match["depName"], match["currentValue"].removeprefix("v")) for match in found]


class AVersionThatRenovateRaises(unittest.TestCase):
    def test_is_found_by_its_patterns(self):
        names = {name for name, _ in raised(tracked("*.mk"))}
        for name in ["github.com/docker/compose/v2", "helm.sh/helm/v3/cmd/helm", "cargo-deny", "cargo-llvm-cov", "cargo-mutants"]:
            self.assertIn(name, names)

    def test_stands_nowhere_else(self):
        programs = tracked("*.mk", "Makefile", "*.py", "*.sh")
        for name, version in raised(tracked("*.mk")):
            tool = re.sub(r"/v\d+$", "", name).rsplit("/", 1)[-1]
            said = re.compile(rf"{re.escape(tool)}\b.*(?<![\d.]){re.escape(version)}(?![\d.])", re.I)
            places = [f"{file}: {line.strip()}" for file, text in programs.items() for line in text.splitlines() if said.search(line)]
            with self.subTest(name):
                self.assertEqual(len(places), 1, places)


if __name__ == "__main__":
    unittest.main()
