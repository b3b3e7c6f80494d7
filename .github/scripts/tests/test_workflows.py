"""The workflows as they are: what they keep, take over and leave out is what the tools behind their targets use."""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import yaml

PROJECT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT / ".github" / "scripts"))

import changes  # noqa: E402


def workflow(name: str) -> dict:
    return yaml.safe_load((PROJECT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def steps(job: dict, action: str) -> list[dict]:
    return [step["with"] for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


class Coverage(unittest.TestCase):
    """Programs that count are built in a folder of their own, and the result is written where it is told."""

    def setUp(self):
        self.job = workflow("pull-request")["jobs"]["coverage"]
        recipe = (PROJECT / ".github" / "pipelines.mk").read_text(encoding="utf-8")
        self.build = re.search(r"COVERAGE_ENVIRONMENT := CARGO_TARGET_DIR=\$\(TIDEMARK_CACHE_DIR\)/(\S+)", recipe)[1]
        self.folder = re.search(r"coverage\.sh (\S+)", recipe)[1]

    def test_keeps_the_build_and_the_tool(self):
        kept = steps(self.job, "actions/cache")[0]["path"].split()
        self.assertIn(f"~/.cache/tidemark/{self.build}", kept)
        self.assertIn("~/.cache/tidemark/tools", kept)

    def test_uploads_the_result_and_not_the_build(self):
        script = (PROJECT / ".github" / "scripts" / "coverage.sh").read_text(encoding="utf-8")
        written = {f"{self.folder}/{name}" for name in [*re.findall(r'--output-path "\$folder/(\S+)"', script), "html"]}
        self.assertEqual(set(steps(self.job, "actions/upload-artifact")[0]["path"].split()), written)


class PartsOfAPullRequest(unittest.TestCase):
    """A job is left out only by what the first one says, and that one knows no other areas."""

    def test_wait_for_what_the_change_concerns(self):
        jobs = workflow("pull-request")["jobs"]
        self.assertEqual(set(jobs["changes"]["outputs"]), changes.AREAS)
        conditions = {f"${{{{ needs.changes.outputs.{area} == 'true' }}}}" for area in changes.AREAS}
        # The first says it; the pipelines' own check reads every area and is quick.
        for name in jobs.keys() - {"changes", "pipelines"}:
            self.assertEqual((jobs[name]["needs"], jobs[name]["if"] in conditions), ("changes", True), name)
        self.assertNotIn("if", jobs["pipelines"])


class AChange(unittest.TestCase):
    def test_concerns_what_reads_it(self):
        for path, areas in {
            "app/tidemark/src/main.rs": {"program", "clusters"},
            "Makefile": {"program", "clusters"},
            "charts/charts.mk": {"program", "clusters"},
            "docs/configuration.md": {"program", "clusters"},
            "a-new-folder/file": {"program", "clusters"},
            "charts/tidemark/values-production.yaml": {"clusters"},
            "terraform/aws/main.tf": {"clusters"},
            "docs/runbooks/RoleDown.md": {"clusters"},
            "README.md": set(),
            "docs/evidence/image.txt": set(),
        }.items():
            with self.subTest(path):
                self.assertEqual(changes.concerned([path]), areas)

    def test_concerns_all_that_one_of_its_files_does(self):
        self.assertEqual(changes.concerned(["README.md", "charts/redis/Chart.yaml"]), {"clusters"})
        self.assertEqual(changes.concerned(["charts/redis/Chart.yaml", "Cargo.lock"]), {"program", "clusters"})

    def test_of_nothing_known_concerns_everything(self):
        with mock.patch.object(sys, "stdout", io.StringIO()) as said, mock.patch.dict(os.environ):
            os.environ.pop("GITHUB_OUTPUT", None)
            changes.main("")
        self.assertEqual(said.getvalue(), "clusters=true\nprogram=true\n")

    def test_is_read_from_git_with_both_places_of_what_moved(self):
        with tempfile.TemporaryDirectory() as folder:
            def git(*words: str) -> str:
                names = [f"{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
                environment = {"PATH": os.environ["PATH"], "HOME": folder, **{f"GIT_{name}": "somebody" for name in names}}
                return subprocess.run(["git", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout.strip()

            git("init", "--quiet")
            (Path(folder) / "app ä.rs").write_text("the same text\n", encoding="utf-8")
            git("add", "--all")
            git("commit", "--quiet", "--message", "before")
            base = git("rev-parse", "HEAD")
            (Path(folder) / "docs").mkdir()
            git("mv", "app ä.rs", "docs/page.md")
            git("commit", "--quiet", "--message", "after")
            with contextlib.chdir(folder):
                self.assertEqual(changes.changed(base), ["app ä.rs", "docs/page.md"])
            with self.assertRaises(SystemExit):
                changes.changed("--output=/tmp/x")

    def test_of_charts_and_clouds_reaches_no_check_of_the_program(self):
        listed = subprocess.run(
            ["git", "ls-files", "app", "deploy", "Dockerfile", "docker-compose.yml", ":!app/cluster", ":!deploy/local-cluster.sh", ":!*.md"],
            cwd=PROJECT, check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        read = re.compile(r"^[^#\n]*(?<![\w-])(charts|argocd|terraform)/.*", re.M)
        places = {name: found[0] for name in listed if (found := read.search((PROJECT / name).read_text(encoding="utf-8", errors="replace")))}
        self.assertEqual(places, {}, "changes.py leaves the program's jobs out when only charts and clouds change")


class Owners(unittest.TestCase):
    def setUp(self):
        lines = (PROJECT / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
        self.owners = [line.split() for line in lines if line and not line.startswith("#")]

    def test_own_what_exists(self):
        for pattern, *_ in self.owners:
            with self.subTest(pattern):
                self.assertTrue(pattern == "*" or list(PROJECT.glob(pattern.strip("/"))))

    def test_are_the_teams_that_argo_cd_knows(self):
        access = (PROJECT / "argocd" / "installation" / "access.yaml").read_text(encoding="utf-8")
        for pattern, *teams in self.owners:
            with self.subTest(pattern):
                self.assertTrue(teams)
                for team in teams:
                    self.assertRegex(access, rf"\bg, {team.removeprefix('@tidemark/')},")


if __name__ == "__main__":
    unittest.main()
