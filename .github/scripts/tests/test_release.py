"""publish.sh and release.sh with stand-ins for docker, cosign, helm and gh: what is asked of them, and what stops it."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
DIGEST = f"sha256:{'d' * 64}"
# Writes down what it was asked, and answers what the variables say.
STAND_IN = r"""#!/bin/bash
name=${0##*/}
echo "$name $*" >> "$RECORD"
case "$name $1 $2" in
"docker buildx build")
    while (($#)); do
        if [[ $1 == --metadata-file ]]; then echo "{\"containerimage.digest\": \"$BUILT\"}" > "$2"; fi
        shift
    done ;;
"docker buildx imagetools") if [[ $3 == inspect ]]; then echo "$BUILT"; fi ;;
"cosign verify "*) exit "${UNSIGNED:-0}" ;;
"helm show "*) exit "${NEW_CHART:-1}" ;;
"helm push "*) echo "Digest: $BUILT" ;;
"gh release "*) cp "${!#}" "$RECORD.notes" ;;
esac
"""


class WithStandIns(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "programs").mkdir()
        for program in ("cosign", "docker", "gh", "helm"):
            (self.folder / "programs" / program).write_text(STAND_IN)
            (self.folder / "programs" / program).chmod(0o755)
        (self.folder / "Cargo.toml").write_text('[workspace]\n\n[workspace.package]\nversion = "1.2.3"\n\n[profile.x]\nversion = "9"\n')
        (self.folder / "chart").mkdir()
        (self.folder / "chart" / "Chart.yaml").write_text("name: tidemark\nversion: 0.4.0\n")
        for arguments in (["init", "--quiet", "--initial-branch=main"], ["add", "Cargo.toml", "chart"], ["commit", "--quiet", "-m", "history: answer faster"], ["tag", "v1.2.3"], ["tag", "v1.2.4"]):
            subprocess.run(["git", *arguments], cwd=self.folder, env=self.environment(), check=True)
        self.commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=self.folder, capture_output=True, text=True, check=True).stdout.strip()

    def environment(self, **more: str) -> dict[str, str]:
        names = {f"GIT_{who}_{what}": "pipeline@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {
            "PATH": f"{self.folder / 'programs'}:{os.environ['PATH']}", "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1",
            "RECORD": str(self.folder / "record"), "BUILT": DIGEST, **names, **more,
        }  # fmt: skip

    def call(self, script: str, *arguments: str, **more: str) -> tuple[int, list[str]]:
        record = self.folder / "record"
        record.write_text("")
        done = subprocess.run([str(SCRIPTS / script), *arguments], cwd=self.folder, env=self.environment(**more), capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, record.read_text().splitlines()


class Publishing(WithStandIns):
    def test_says_the_digest_and_pushes_with_bill_of_materials_and_provenance(self):
        output = self.folder / "output"
        code, asked = self.call("publish.sh", "push", "registry.example/tidemark", GITHUB_OUTPUT=str(output))
        self.assertEqual(code, 0)
        self.assertEqual(output.read_text(), f"digest={DIGEST}\n")
        self.assertEqual(len(asked), 1)
        for part in ("--sbom=true", "--provenance=mode=max", "push=true", "rewrite-timestamp=true", f"--tag registry.example/tidemark:{self.commit}", "VERSION=1.2.3", f"REVISION={self.commit}"):
            self.assertIn(part, asked[0])

    def test_shows_nobody_what_was_only_built_to_be_looked_at(self):
        code, asked = self.call("publish.sh", "load", "tidemark:candidate")
        self.assertEqual(code, 0)
        self.assertNotIn("push", asked[0])

    def test_fails_when_the_builder_tells_no_digest(self):
        self.assertNotEqual(self.call("publish.sh", "push", "registry.example/tidemark", BUILT="")[0], 0)


class Releasing(WithStandIns):
    def release(self, tag="v1.2.3", **more: str) -> tuple[int, list[str]]:
        return self.call("release.sh", "registry.example/tidemark", tag, "owner/name", "chart", **more)

    def test_names_the_image_that_was_built_before_and_builds_none(self):
        code, asked = self.release()
        self.assertEqual(code, 0)
        self.assertIn(f"docker buildx imagetools create --tag registry.example/tidemark:1.2.3 registry.example/tidemark@{DIGEST}", asked)
        self.assertFalse([line for line in asked if line.startswith("docker buildx build")])
        self.assertIn(f"cosign sign --yes registry.example/charts/tidemark@{DIGEST}", asked)
        notes = (self.folder / "record.notes").read_text()
        self.assertIn("### History", notes)
        self.assertIn(DIGEST, notes)

    def test_stops_before_anything_is_named_when_the_image_is_not_ours(self):
        code, asked = self.release(UNSIGNED="1")
        self.assertNotEqual(code, 0)
        self.assertFalse([line for line in asked if "create" in line or line.startswith("gh")])

    def test_asks_for_the_very_workflow_and_branch_that_sign(self):
        _, asked = self.release()
        verify = next(line for line in asked if line.startswith("cosign verify"))
        self.assertIn("--certificate-identity https://github.com/owner/name/.github/workflows/main.yml@refs/heads/main", verify)
        self.assertIn("--certificate-oidc-issuer https://token.actions.githubusercontent.com", verify)

    def test_refuses_a_tag_that_says_another_version_than_the_source(self):
        code, asked = self.release("v1.2.4")
        self.assertNotEqual(code, 0)
        self.assertEqual(asked, [])

    def test_leaves_a_chart_that_is_there_already(self):
        code, asked = self.release(NEW_CHART="0")
        self.assertEqual(code, 0)
        self.assertFalse([line for line in asked if line.startswith("helm p")])


if __name__ == "__main__":
    unittest.main()
