"""The workflows as they are: what they keep, take over and leave out is what the tools behind their targets use."""

import tomllib
import unittest
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[3]


def workflow(name: str) -> dict:
    return yaml.safe_load((PROJECT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def steps(job: dict, action: str) -> list[dict]:
    return [step["with"] for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


class Coverage(unittest.TestCase):
    """Tarpaulin builds everything once more, in a folder of its own, and writes its result where it is told."""

    def setUp(self):
        self.job = workflow("pull-request")["jobs"]["coverage"]
        self.tests = tomllib.loads((PROJECT / ".github" / "tarpaulin.toml").read_text(encoding="utf-8"))["tests"]

    def test_keeps_the_build_and_the_tool(self):
        kept = steps(self.job, "actions/cache")[0]["path"].split()
        self.assertIn(self.tests["target-dir"], kept)
        self.assertIn("~/.cache/tidemark/tools", kept)

    def test_uploads_the_result_and_not_the_build(self):
        files = {"Html": "tarpaulin-report.html", "Lcov": "lcov.info"}
        written = {f"{self.tests['output-dir']}/{files[kind]}" for kind in self.tests["out"] if kind in files}
        self.assertEqual(set(steps(self.job, "actions/upload-artifact")[0]["path"].split()), written)


if __name__ == "__main__":
    unittest.main()
