"""A workflow is broken once for each thing that check.py demands, and must be found out."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import check  # noqa: E402

COMMIT = "0123456789" * 4
GOOD = f"""name: Example
on:
  pull_request:
permissions: {{}}
concurrency:
  group: example
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
    container:
      image: debian:12@sha256:{"a" * 64}
    steps:
      - uses: actions/checkout@{COMMIT} # v1.2.3
        with:
          persist-credentials: false
      - run: make lint CARGO=cargo
"""
CHANGES = {
    "a tag instead of a commit": (f"@{COMMIT} # v1.2.3", "@v1"),
    "a commit without its version": (" # v1.2.3", ""),
    "a version too vague": ("# v1.2.3", "# v1"),
    "a checkout that leaves its token": ("persist-credentials: false", "fetch-depth: 0"),
    "rights for all jobs": ("permissions: {}\nconcurrency", "permissions:\n  contents: read\nconcurrency"),
    "rights that nobody declared": ("    permissions:\n      contents: read\n", ""),
    "all rights to read": ("    permissions:\n      contents: read\n", "    permissions: read-all\n"),
    "no time-out": ("    timeout-minutes: 5\n", ""),
    "no concurrency group": ("concurrency:\n  group: example\n", ""),
    "the latest runner": ("ubuntu-24.04", "ubuntu-latest"),
    "a container by tag": (f"@sha256:{'a' * 64}", ""),
    "a target that does not exist": ("make lint", "make lynt"),
    "a second target that does not exist": ("make lint", "make lint test"),
    "a command that is not Make's": ("make lint", "cargo clippy"),
    "a command behind Make's": ("make lint", "make lint && cargo clippy"),
    "two lines": ("run: make lint CARGO=cargo", "run: |\n          make lint\n          make lint"),
    "an expression in a command": ("make lint CARGO=cargo", "make lint NAME=${{ github.head_ref }}"),
    "an event that runs strangers' code": ("  pull_request:", "  pull_request_target:"),
}

STAGES = (
    GOOD.replace("  pull_request:\n", "  push:\n    paths-ignore: [charts/tidemark/values-staging.yaml]\n")
    .replace("      - run: make lint CARGO=cargo\n", "      - run: make stage\n        env:\n          GH_TOKEN: ${{ steps.app.outputs.token }}\n")
)  # fmt: skip
CHANGES_OF_STAGING = {
    "the run's own token, which may not push": ("steps.app.outputs.token", "github.token"),
    "the same by its other name": ("steps.app.outputs.token", "secrets.GITHUB_TOKEN"),
    "a push that starts it again": ("    paths-ignore: [charts/tidemark/values-staging.yaml]\n", "    branches: [main]\n"),
    "a push of anything that starts it again": ("  push:\n    paths-ignore: [charts/tidemark/values-staging.yaml]\n", "  push:\n"),
}


class AWorkflow(unittest.TestCase):
    def test_that_is_good_passes(self):
        self.assertEqual(check.problems("good", GOOD, {"lint"}), [])

    def test_that_breaks_one_demand_is_found_out(self):
        for name, (before, after) in CHANGES.items():
            with self.subTest(name):
                self.assertIn(before, GOOD)
                self.assertTrue(check.problems(name, GOOD.replace(before, after), {"lint"}))

    def test_that_stages_passes(self):
        self.assertEqual(check.problems("stages", STAGES, {"stage"}), [])

    def test_that_stages_and_cannot_is_found_out(self):
        for name, (before, after) in CHANGES_OF_STAGING.items():
            with self.subTest(name):
                self.assertIn(before, STAGES)
                self.assertTrue(check.problems(name, STAGES.replace(before, after), {"stage"}))


class TheMakefile(unittest.TestCase):
    def test_tells_its_targets(self):
        self.assertLessEqual({"test", "lint", "tf-check", "pipelines-check"}, check.targets())


if __name__ == "__main__":
    unittest.main()
