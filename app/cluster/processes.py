"""Child processes with a log and a place on record, ended in the reverse order of their start.

A process is known by its id and the time at which it started, so that a record that outlives its process never
leads to the end of a stranger that got the same id.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 15


def started_at(pid: int) -> str | None:
    """The start time of a running process, in the kernel's ticks; nothing for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def send(pid: int, number: signal.Signals) -> None:
    # It may end by itself between the look and the signal.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Processes:
    """The processes of one cluster, on record in its folder."""

    def __init__(self, folder: Path, detached: bool):
        self.folder = folder
        self.detached = detached
        self.record = folder / "processes.json"
        self.children: dict[int, subprocess.Popen] = {}
        (folder / "log").mkdir(parents=True, exist_ok=True)

    def known(self) -> dict[str, dict]:
        return json.loads(self.record.read_text()) if self.record.exists() else {}

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def start(self, name: str, *command: str | Path, environment: dict[str, str] | None = None) -> None:
        with self.log(name).open("ab") as output:
            child = subprocess.Popen(
                [str(part) for part in command], env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, cwd=self.folder, start_new_session=True,
                preexec_fn=None if self.detached else die_with_parent,
            )  # fmt: skip
        self.children[child.pid] = child
        self.write({**self.known(), name: {"pid": child.pid, "started": started_at(child.pid)}})

    def write(self, known: dict[str, dict]) -> None:
        fresh = self.record.with_suffix(".new")
        fresh.write_text(json.dumps(known, indent=1))
        fresh.rename(self.record)

    def runs(self, name: str) -> bool:
        entry = self.known().get(name)
        return entry is not None and started_at(entry["pid"]) == entry["started"]

    def stop(self, name: str) -> None:
        known = self.known()
        entry = known.pop(name, None)
        if entry and started_at(entry["pid"]) == entry["started"]:
            pid = entry["pid"]
            send(pid, signal.SIGTERM)
            limit = time.monotonic() + GRACE_SECONDS
            while started_at(pid) == entry["started"] and time.monotonic() < limit:
                self.reap(pid)
                time.sleep(0.05)
            if started_at(pid) == entry["started"]:
                send(pid, signal.SIGKILL)
                self.reap(pid)
        self.write(known)

    def reap(self, pid: int) -> None:
        if pid in self.children:
            self.children[pid].poll()

    def stop_all(self) -> None:
        for name in reversed(self.known()):
            self.stop(name)

    def tail(self, name: str, lines: int = 15) -> str:
        log = self.log(name)
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "no log"


class NotReached(Exception):
    """A state that was waited for did not come."""


def wait_for(what: str, seconds: float, probe: Callable[[], object], pause: float = 0.2) -> object:
    """Asks until the answer is true and returns it; tells the last answer or error if it never is."""
    limit = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except Exception as problem:  # noqa: BLE001  What is not there yet may fail in any way.
            last = problem
        if time.monotonic() > limit:
            raise NotReached(f"{what}: not within {seconds:.0f} s; last: {last}")
        time.sleep(pause)
