"""app/contract/contract.py on a small document."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "app" / "contract"))

import contract  # noqa: E402

DOCUMENT = {"paths": {"/api/groups": {"get": {}, "post": {}, "parameters": []}}}
COUNTS = "  calls  operation\n     12  GET /api/groups  (200: 12)\n     12  in all\n"


class Operations(unittest.TestCase):
    def test_that_were_never_called_are_told(self):
        self.assertEqual(contract.never_called(DOCUMENT, COUNTS), ["POST /api/groups"])

    def test_can_be_run_alone_and_again(self):
        environment = {"CONTRACT_TOKEN": "t", "CONTRACT_SECONDS": "1", "CONTRACT_EXAMPLES": "1", "CONTRACT_SEED": "7", "CONTRACT_OPERATION": "listGroups"}
        command = contract.command("openapi.json", "http://localhost:1", environment)
        self.assertEqual(command[-4:], ["--seed", "7", "--include-operation-id", "listGroups"])


if __name__ == "__main__":
    unittest.main()
