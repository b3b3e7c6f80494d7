"""deploy/local-cluster.sh with stand-ins for the programs that it calls: what it asks of them, in which order.

That kind, minikube and the operators then do what they are asked is not shown here.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent.parent.parent / "deploy" / "local-cluster.sh"
# Writes down what it was asked; `kind get clusters` tells of the cluster once it was made.
STAND_IN = """#!/bin/sh
name=${0##*/}
echo "$name $*" >> "$RECORD"
case "$name $1 $2" in
"kind create cluster") touch "$RECORD.kind" ;;
"kind get clusters") if [ -e "$RECORD.kind" ]; then echo tidemark; fi ;;
"kind delete cluster") rm -f "$RECORD.kind" ;;
"minikube start "*) touch "$RECORD.minikube" ;;
"minikube status "*) test -e "$RECORD.minikube" ;;
esac
"""


class TheLocalCluster(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "programs").mkdir()
        for program in ("docker", "helm", "kind", "kubectl", "minikube"):
            (self.folder / "programs" / program).write_text(STAND_IN)
            (self.folder / "programs" / program).chmod(0o755)

    def call(self, *arguments: str) -> tuple[int, list[str]]:
        record = self.folder / "record"
        record.write_text("")
        environment = {"PATH": f"{self.folder / 'programs'}:/usr/bin:/bin", "HOME": os.environ["HOME"], "RECORD": str(record)}
        done = subprocess.run([str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False, timeout=300)
        asked = [line for line in record.read_text().splitlines() if not line.startswith(("kind get", "minikube status"))]
        return done.returncode, asked

    def test_comes_up_in_order_data_before_roles(self):
        for maker in ("kind", "minikube"):
            with self.subTest(maker):
                self.setUp()
                code, asked = self.call("up", maker)
                self.assertEqual(code, 0)
                wanted = ["docker build", " load ", " dapr dapr ", "strimzi-kafka-operator", "cloudnative-pg", "charts/redis", "charts/kafka",
                          "charts/database", "wait kafka/kafka", "wait clusters.postgresql.cnpg.io/history", "charts/tidemark", " test tidemark"]  # fmt: skip
                places = [next((place for place, line in enumerate(asked) if part in line), -1) for part in wanted]
                self.assertNotIn(-1, places, dict(zip(wanted, places)))
                self.assertEqual(places, sorted(places))

    def test_lets_the_charts_pods_reach_the_api_server(self):
        _, asked = self.call("up", "minikube")
        port = re.search(r"--apiserver-port (\d+)", "\n".join(asked))
        self.assertIsNotNone(port)
        for chart in ("kafka", "database"):
            values = (SCRIPT.parent.parent / "charts" / chart / "values.yaml").read_text()
            ports = re.search(r"^  apiServer:.*?ports: \[(.*?)\]", values, re.DOTALL | re.MULTILINE)
            self.assertIn(port[1], ports[1].split(", "), chart)

    def test_never_speaks_to_the_context_that_happens_to_be_current(self):
        _, asked = self.call("up", "kind")
        for word in ("update", "status", "open"):
            asked += self.call(word)[1]
        spoken = [line for line in asked if line.startswith(("kubectl ", "helm "))]
        self.assertGreater(len(spoken), 10)
        self.assertEqual([line for line in spoken if "context kind-tidemark" not in line], [])

    def test_keeps_the_cluster_that_is_there(self):
        self.call("up")
        code, asked = self.call("up")
        self.assertEqual(code, 0)
        self.assertFalse([line for line in asked if line.startswith("kind create")])

    def test_removes_only_its_own_cluster(self):
        self.call("up")
        self.assertEqual(self.call("down"), (0, ["kind delete cluster --name tidemark"]))
        self.assertEqual(self.call("down"), (0, []))

    def test_needs_a_cluster_to_update_one(self):
        code, asked = self.call("status")
        self.assertNotEqual(code, 0)
        self.assertEqual(asked, [])


if __name__ == "__main__":
    unittest.main()
