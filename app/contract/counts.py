"""A hook of schemathesis: counts each operation's answers, and writes them down when the run is over."""

import atexit
import collections
import os
import threading
from pathlib import Path

import schemathesis

lock = threading.Lock()
answers = collections.defaultdict(collections.Counter)


@schemathesis.hook
def after_call(_context, case, response):
    operation = f"{case.operation.method.upper()} {case.operation.path}"
    with lock:
        answers[operation][response.status_code] += 1


@atexit.register
def write():
    lines = [f"{'calls':>7}  operation, and how often each status came back"]
    for operation, statuses in sorted(answers.items()):
        each = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        lines.append(f"{sum(statuses.values()):7}  {operation}  ({each})")
    lines.append(f"{sum(sum(statuses.values()) for statuses in answers.values()):7}  in all")
    Path(os.environ["CONTRACT_COUNTS"]).write_text("\n".join(lines) + "\n", encoding="utf-8")
