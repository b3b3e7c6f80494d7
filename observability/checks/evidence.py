#!/usr/bin/env python3
"""Writes docs/evidence/observability.txt: what was checked, with what, and what came of it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import tools

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / "docs" / "evidence" / "observability.txt"

NOT_RUN = """\
Not run here, and what stands in for it:
  Grafana                          its own model of dashboards reads each whole (grafana-foundation-sdk for 11.6);
                                   promtool reads every query; a real Prometheus has their metrics, as far as
                                   what exports them runs here
  kafka_exporter                   checks/kafka_exporter.py, with the same metrics, on the real Kafka
  RabbitMQ's plugin, and the cluster's kube-state-metrics, kubelet, CloudNativePG, cert-manager
                                   metrics/documented.yml, from their documentation; rules over them by promtool's tests
  OpenTelemetry collector          Jaeger's program, a collector with fewer components, runs its file; the image of
                                   compose (otel/opentelemetry-collector-contrib) was not pulled
  Elasticsearch                    OpenSearch runs its pipeline and template; the life cycle is read by nobody
  Logstash                         its condition is read out of its file and used; what it adds to a line is added by the
                                   check; names and ports of its file are compared with the others
  Kibana                           OpenSearch sums up the fields of its charts; its objects' references are compared
  Slack                            a receiver on loopback takes the messages Slack would get
"""


def run(title: str, *command: str) -> tuple[str, int]:
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    text = re.sub(r"(/[\w.-]+)*/tidemark-watch-\w+", "…", done.stdout.replace(str(ROOT), "."))
    return f"$ {title}\n{text}exit status {done.returncode}\n", done.returncode


def main() -> int:
    sections = [f"Observability, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC\n{tools.versions()}\n{tools.versions_for_traces_and_logs()}\n"]
    codes = []
    for title, script in (
        ("make observability-check", ["check.py"]),
        ("make observability-test", ["real.py", "test"]),
        ("make observability-traces", ["traces.py"]),
        ("make observability-logs", ["stored_logs.py"]),
    ):
        text, code = run(title, sys.executable, str(HERE / script[0]), *script[1:])
        sections.append(text)
        codes.append(code)
    sections.append(NOT_RUN)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("\n".join(sections))
    print("\n".join(sections))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
