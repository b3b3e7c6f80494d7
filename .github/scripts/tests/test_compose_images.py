"""What the nightly scan takes from `docker compose config --images`."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "deploy" / "checks"))

import compose_images  # noqa: E402


class ImagesOfOthers(unittest.TestCase):
    def test_are_named_once_without_our_own(self):
        listed = "redis:7\nghcr.io/tidemark/tidemark:0.1.0\nghcr.io/kafbat/kafka-ui:v1\nredis:7\napache/kafka:4\n"
        self.assertEqual(compose_images.others(listed), ["apache/kafka:4", "ghcr.io/kafbat/kafka-ui:v1", "redis:7"])


if __name__ == "__main__":
    unittest.main()
