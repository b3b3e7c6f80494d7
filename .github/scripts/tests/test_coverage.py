"""coverage.py on a small report."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import coverage  # noqa: E402

REPORT = """TN:
SF:/somewhere/app/pages/writer.rs
DA:1,3
DA:2,0
DA:3,1
DA:4,1
end_of_record
SF:/somewhere/app/serve.rs
DA:1,0
end_of_record
"""


class Bounds(unittest.TestCase):
    def judged(self, *bounds: str) -> int:
        with tempfile.NamedTemporaryFile("w", suffix=".info") as report, contextlib.redirect_stdout(io.StringIO()):
            report.write(REPORT)
            report.flush()
            return coverage.main(report.name, list(bounds))

    def test_counts_the_lines_of_a_path_alone(self):
        self.assertEqual(coverage.lines(REPORT, "app/pages"), (3, 4))
        self.assertEqual(coverage.lines(REPORT, "app/"), (3, 5))

    def test_refuses_what_is_below_its_bound(self):
        self.assertEqual(self.judged("app/pages", "75"), 0)
        self.assertEqual(self.judged("app/pages", "76"), 1)
        self.assertEqual(self.judged("app/pages", "75", "app/", "75"), 1)

    def test_refuses_a_path_of_which_nothing_was_measured(self):
        self.assertEqual(self.judged("app/moved", "0.1"), 1)
