"""mutants.py on what the tool writes."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mutants  # noqa: E402

MISSED = "app/domain/src/rank.rs:45:9: replace Rank::next -> Rank with Default::default()"
LISTED = "app/domain/src/rank.rs: replace Rank::next -> Rank with Default::default()"


def outcomes(**named: list[str]) -> dict[str, list[str]]:
    return dict.fromkeys(mutants.OUTCOMES, []) | named


class Survivors(unittest.TestCase):
    def test_are_named_without_their_line(self):
        self.assertEqual(mutants.without_lines(MISSED), LISTED)

    def test_have_a_reason_of_one_line_or_more(self):
        reasons = mutants.explained(f"# why\n{LISTED}\n  it is the same\n  for every rank\n")
        self.assertEqual(reasons, {LISTED: "it is the same for every rank"})

    def test_without_a_reason_are_refused(self):
        with self.assertRaises(SystemExit):
            mutants.explained(f"{LISTED}\n")

    def test_fail_unless_they_are_listed(self):
        self.assertEqual(len(mutants.problems(outcomes(missed=[MISSED]), {})), 1)
        self.assertEqual(mutants.problems(outcomes(missed=[MISSED]), {LISTED: "reason"}), [])

    def test_that_a_test_notices_are_struck_off_the_list(self):
        self.assertEqual(len(mutants.problems(outcomes(caught=[MISSED]), {LISTED: "reason"})), 1)


if __name__ == "__main__":
    unittest.main()
