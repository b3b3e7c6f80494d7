"""fuzz.sh with a cargo that only says what the real one would."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "fuzz.sh"
CARGO = """#!/bin/sh
echo "cases=$PROPTEST_CASES $*" >> "$CALLS"
case "$*" in
    *--list*) [ "$NONE_IN" = "$3" ] || echo 'tests::any_bytes_are_read_or_refused: test' ;;
    *) exec $RUN ;;
esac
"""


class Fuzzing(unittest.TestCase):
    def fuzz(self, seconds: str, *, run: str = "true", none_in: str = "") -> tuple[subprocess.CompletedProcess, list[str]]:
        with tempfile.TemporaryDirectory() as folder:
            cargo, calls = Path(folder) / "cargo", Path(folder) / "calls"
            cargo.write_text(CARGO, encoding="utf-8")
            cargo.chmod(0o755)
            environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(calls), "RUN": run, "NONE_IN": none_in}
            done = subprocess.run([str(SCRIPT), seconds, "a", "b"], env=environment, capture_output=True, text=True, timeout=60)
            return done, calls.read_text(encoding="utf-8").splitlines()

    def test_goes_on_until_the_time_is_over(self):
        done, calls = self.fuzz("2", run="sleep 0.6")
        self.assertEqual(done.returncode, 0, done.stderr)
        rounds = [call for call in calls if "--list" not in call]
        self.assertGreater(len(rounds), 1)
        self.assertIn("cases=20000 test --quiet --package=a --package=b", rounds[0])
        self.assertTrue(rounds[0].endswith("-- read_or_refused"))

    def test_fails_when_a_test_does(self):
        done, calls = self.fuzz("30", run="false")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len([call for call in calls if "--list" not in call]), 1)

    def test_of_nothing_is_a_failure(self):
        done, _ = self.fuzz("30", none_in="--package=b")
        self.assertEqual(done.returncode, 1)
        self.assertIn("b has no test", done.stderr)


if __name__ == "__main__":
    unittest.main()
