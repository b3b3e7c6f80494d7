"""What deploy/checks does on a machine that is not a developer's."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "deploy" / "checks"))

import report  # noqa: E402


class AProcessOfAContainer(unittest.TestCase):
    """GitHub's runner is a common user who may use sudo; a container's process belongs to somebody else."""

    def kill_as(self, user: int, *, sudo: str) -> subprocess.Popen:
        process = subprocess.Popen(["sleep", "60"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "sudo"
            program.write_text(f"#!/bin/sh\n{sudo}\n", encoding="utf-8")
            program.chmod(0o755)
            path = f"{folder}:{os.environ['PATH']}"
            with mock.patch.object(os, "geteuid", return_value=user), mock.patch.dict(os.environ, PATH=path):
                report.kill(process.pid)
        return process

    def test_is_killed_by_root_itself(self):
        self.assertEqual(self.kill_as(0, sudo="exit 1").wait(10), -9)

    def test_is_killed_with_roots_rights_by_another(self):
        self.assertEqual(self.kill_as(1001, sudo='[ "$1" = --non-interactive ] && shift && exec "$@"').wait(10), -9)

    def test_that_may_not_be_killed_is_told(self):
        with self.assertRaises(report.Failed):
            self.kill_as(1001, sudo="echo not allowed >&2; exit 1")


if __name__ == "__main__":
    unittest.main()
