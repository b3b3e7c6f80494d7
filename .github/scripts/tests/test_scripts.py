"""What the pipelines do outside of Make's targets, tried on real repositories and a server on loopback."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SCRIPTS))

import argocd  # noqa: E402
import changelog  # noqa: E402
import image_digest  # noqa: E402

OLD, NEW, NEWER = (f"sha256:{digit * 64}" for digit in "abc")
VALUES = f"""# What staging runs.
image:
  repository: registry.example/tidemark  # a comment
  digest: "{OLD}"
roles:
  tasks:
    image: {{digest: not-this-one}}
"""


class ADigestInValues(unittest.TestCase):
    def test_is_changed_and_nothing_else(self):
        changed = image_digest.replaced(VALUES, NEW)
        self.assertEqual(changed, VALUES.replace(OLD, NEW))
        self.assertEqual(image_digest.read(changed), NEW)

    def test_is_written_where_none_was_yet(self):
        for empty in ['digest: ""', "digest:", "digest: ''  # none yet"]:
            with self.subTest(empty):
                changed = image_digest.replaced(f"image:\n  {empty}\n  tag: x\nother: 1\n", NEW)
                self.assertEqual(image_digest.read(changed), NEW)
                self.assertIn("\n  tag: x\nother: 1\n", changed)

    def test_is_refused_when_it_is_none(self):
        for wrong in ["latest", "sha256:abc", NEW.upper(), f"{NEW}\n", f"{NEW} ", f"x{NEW}"]:
            with self.subTest(wrong), self.assertRaises(image_digest.Refused):
                image_digest.replaced(VALUES, wrong)

    def test_is_not_guessed_at_where_the_file_has_no_place_for_it(self):
        for wrong in ["", "image: x\n", "image:\n  tag: x\n", "image:\n  digest: a\n  digest: b\n", "image:\n  digest: {}\n"]:
            with self.subTest(wrong), self.assertRaises(image_digest.Refused):
                image_digest.replaced(wrong, NEW)


class AChangelog(unittest.TestCase):
    def test_groups_by_area_with_the_general_first(self):
        written = changelog.written([
            changelog.Commit("1", "pages: seal the end"),
            changelog.Commit("2", "Read what a refused request still sends"),
            changelog.Commit("3", "pages: share saves"),
        ])  # fmt: skip
        self.assertEqual(
            written,
            "### In general\n\n- Read what a refused request still sends (`2`)\n\n"
            "### Pages\n\n- Seal the end (`1`)\n- Share saves (`3`)\n",
        )

    def test_shows_what_was_typed_and_notifies_nobody(self):
        written = changelog.written([changelog.Commit("1", "Thank @someone for <b>this</b> [link](x)")], "https://example.test/r")
        self.assertNotIn("@someone", written)
        self.assertNotIn("<b>", written.replace("\\<", ""))
        self.assertIn("[`1`](https://example.test/r/commit/1)", written)

    def test_takes_no_option_for_a_commit(self):
        with self.assertRaises(ValueError):
            changelog.commits("--output=/tmp/x", "HEAD")

    def test_says_so_when_nothing_changed(self):
        self.assertEqual(changelog.written([]), "No change.\n")


class Repository:
    """A bare repository and two clones of it, each with a first commit in common."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
        self.pipeline, self.person = self.clone("pipeline"), self.clone("person")
        (self.person / "values-staging.yaml").write_text(VALUES)
        (self.person / "values-production.yaml").write_text(VALUES.replace(OLD, ""))
        self.first = self.commit("Begin")
        self.git(self.pipeline, "pull", "--quiet", "origin", "main")

    def git(self, folder: Path, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @staticmethod
    def environment(**more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "GITHUB_", "GH_"))}
        names = {f"GIT_{who}_{what}": "Pipeline" if what == "NAME" else "pipeline@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {**kept, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PYTHON": sys.executable, **more}

    def clone(self, name: str) -> Path:
        self.git(self.folder, "clone", "--quiet", "origin.git", name)
        self.git(self.folder / name, "switch", "--quiet", "--create", "main") if name == "pipeline" else None
        return self.folder / name

    def commit(self, subject: str, **files: str) -> str:
        if subject != "Begin":
            self.git(self.person, "pull", "--quiet", "--rebase", "origin", "main")
        for name, text in files.items():
            (self.person / name).write_text(text)
        self.git(self.person, "add", "--all")
        self.git(self.person, "commit", "--quiet", "--allow-empty", "--message", subject)
        self.git(self.person, "push", "--quiet", "origin", "HEAD:main")
        return self.git(self.person, "rev-parse", "HEAD")

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(SCRIPTS / script), *arguments], cwd=self.pipeline, env=self.environment(**environment),
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def stage(self, digest: str, commit: str, **environment: str) -> subprocess.CompletedProcess:
        return self.run("stage.sh", "values-staging.yaml", "registry.example/tidemark", digest, commit, **environment)

    def there(self, file: str) -> str:
        return self.git(self.folder / "origin.git", "show", f"main:{file}")


class WithRepository(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.repository = Repository(self.folder)


class Staging(WithRepository):
    def test_pushes_one_changed_line_and_says_the_commit(self):
        output = self.folder / "output"
        done = self.repository.stage(NEW, self.repository.first, GITHUB_OUTPUT=str(output))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(image_digest.read(self.repository.there("values-staging.yaml")), NEW)
        origin = self.folder / "origin.git"
        self.assertEqual(output.read_text(), f"commit={self.repository.git(origin, 'rev-parse', 'main')}\n")
        self.assertEqual(self.repository.git(origin, "show", "--format=", "--numstat", "main").split("\t")[:2], ["1", "1"])

    def test_lands_on_top_of_what_others_pushed_in_between(self):
        theirs = self.repository.commit("Somebody else", other="1")
        done = self.repository.stage(NEW, self.repository.first)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.repository.git(self.folder / "origin.git", "rev-parse", "main^"), theirs)

    def test_tries_again_when_a_push_is_refused_once(self):
        # The hook stands for somebody who was faster by a moment.
        hook = self.folder / "origin.git" / "hooks" / "pre-receive"
        hook.write_text('#!/bin/sh\n[ -e refused ] || { touch refused; exit 1; }\n')
        hook.chmod(0o755)
        done = self.repository.stage(NEW, self.repository.first)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(image_digest.read(self.repository.there("values-staging.yaml")), NEW)

    def test_gives_up_and_fails_when_pushes_stay_refused(self):
        hook = self.folder / "origin.git" / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        self.assertEqual(self.repository.stage(NEW, self.repository.first, PUSH_ATTEMPTS="2").returncode, 1)
        self.assertEqual(image_digest.read(self.repository.there("values-staging.yaml")), OLD)

    def test_twice_is_once(self):
        self.repository.stage(NEW, self.repository.first)
        head = self.repository.git(self.folder / "origin.git", "rev-parse", "main")
        self.assertEqual(self.repository.stage(NEW, self.repository.first).returncode, 0)
        self.assertEqual(self.repository.git(self.folder / "origin.git", "rev-parse", "main"), head)

    def test_never_puts_an_older_image_over_a_newer_one(self):
        later = self.repository.commit("Later", other="1")
        self.assertEqual(self.repository.stage(NEWER, later).returncode, 0)
        self.repository.commit("Much later", other="2")
        done = self.repository.stage(NEW, self.repository.first)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("newer", done.stdout)
        self.assertEqual(image_digest.read(self.repository.there("values-staging.yaml")), NEWER)

    def test_leaves_the_checkout_as_it_was(self):
        (self.repository.pipeline / "values-staging.yaml").write_text("being edited")
        self.assertEqual(self.repository.stage(NEW, self.repository.first).returncode, 0)
        self.assertEqual((self.repository.pipeline / "values-staging.yaml").read_text(), "being edited")
        self.assertEqual(len(self.repository.git(self.repository.pipeline, "worktree", "list").splitlines()), 1)

    def test_refuses_what_is_no_commit(self):
        self.assertEqual(self.repository.stage(NEW, "main; rm -rf /").returncode, 2)


class Promotion(WithRepository):
    def setUp(self):
        super().setUp()
        # `gh` writes down what it was asked for: the only part that needs the real service.
        programs = self.folder / "programs"
        programs.mkdir()
        (programs / "gh").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.folder}/asked\ncat "${{11}}" > {self.folder}/body\n')
        (programs / "gh").chmod(0o755)
        self.path = f"{programs}:{os.environ['PATH']}"

    def promote(self) -> subprocess.CompletedProcess:
        return self.repository.run(
            "promote.sh", "registry.example/tidemark", "values-staging.yaml", "values-production.yaml",
            "https://example.test/r", PATH=self.path,
        )  # fmt: skip

    def test_opens_a_draft_with_stagings_digest_and_what_changed_since_the_last(self):
        self.repository.stage(NEW, self.repository.first)
        self.assertEqual(self.promote().returncode, 0)
        branch = f"promote/{NEW[7:19]}"
        origin = self.folder / "origin.git"
        values = self.repository.git(origin, "show", f"{branch}:values-production.yaml")
        self.assertEqual(image_digest.read(values), NEW)
        self.assertIn("--draft", (self.folder / "asked").read_text().splitlines())
        # Merged; then staging moves on.
        self.repository.git(origin, "update-ref", "refs/heads/main", branch)
        later = self.repository.commit("history: answer faster", other="1")
        self.repository.stage(NEWER, later)
        done = self.promote()
        self.assertEqual(done.returncode, 0, done.stderr)
        body = (self.folder / "body").read_text()
        self.assertIn("### History\n\n- Answer faster", body)
        self.assertNotIn("Begin", body)
        self.assertNotIn("Stage ", body)
        self.assertIn(f"`{NEW}`, built from {self.repository.first[:12]}", body)

    def test_of_the_same_digest_again_changes_nothing(self):
        self.repository.stage(NEW, self.repository.first)
        self.promote()
        done = self.promote()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("there already", done.stdout)

    def test_of_nothing_fails(self):
        self.repository.commit("No digest", **{"values-staging.yaml": VALUES.replace(OLD, "")})
        done = self.promote()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no digest yet", done.stderr)


class Server(BaseHTTPRequestHandler):
    answers: list
    asked: list

    def do_GET(self):
        self.asked.append((self.path, self.headers["Authorization"]))
        code, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


def status(sync="Synced", health="Healthy", phase="Succeeded", image=NEW, revision="") -> dict:
    return {"status": {
        "sync": {"status": sync}, "health": {"status": health}, "summary": {"images": ["redis:7", f"registry.example/tidemark@{image}"]},
        "operationState": {"phase": phase, "message": "why", "syncResult": {"revision": revision}},
    }}  # fmt: skip


class WaitingForArgoCd(unittest.TestCase):
    def wait(self, *answers, deadline=20.0, commit="") -> bool:
        handler = type("Handler", (Server,), {"answers": list(answers), "asked": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.asked = handler.asked
        return argocd.wait(f"http://127.0.0.1:{server.server_port}", "token", "a/b", NEW, commit, deadline, 0.01)

    def test_ends_when_the_image_runs_in_health(self):
        self.assertTrue(self.wait(
            (502, {}), (200, status(image=OLD)), (200, status("OutOfSync", image=OLD)),
            (200, status(health="Progressing")), (200, status(phase="Running")), (200, status()),
        ))  # fmt: skip
        self.assertEqual(len(self.asked), 6)
        self.assertEqual(self.asked[0], ("/api/v1/applications/a%2Fb?refresh=normal", "Bearer token"))

    def test_ends_at_once_when_our_own_sync_failed(self):
        self.assertFalse(self.wait((200, status("OutOfSync", phase="Failed", revision="c0ffee")), commit="c0ffee"))
        self.assertEqual(len(self.asked), 1)

    def test_goes_on_when_an_earlier_sync_failed_which_this_one_mends(self):
        self.assertTrue(self.wait((200, status("OutOfSync", phase="Failed", revision="old")), (200, status()), commit="c0ffee"))

    def test_ends_at_once_when_the_token_is_refused(self):
        self.assertFalse(self.wait((403, {})))
        self.assertEqual(len(self.asked), 1)

    def test_ends_at_its_deadline(self):
        self.assertFalse(self.wait((200, status(image=OLD)), deadline=0.05))

    def test_does_not_take_another_image_for_ours(self):
        self.assertFalse(self.wait((200, status(image=NEWER)), deadline=0.03))


if __name__ == "__main__":
    unittest.main()
