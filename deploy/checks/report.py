"""What the checks of this folder share: running programs, and evidence that says what ran and what came of it."""

import datetime
import os
import pathlib
import re
import subprocess
import sys
import time

PROJECT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(
    os.environ.get("TIDEMARK_CACHE_DIR")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tidemark"
)
COMPOSE_VERSION = re.search(
    r"^COMPOSE_MODULE := .*@v([\d.]+)$", (PROJECT / "deploy" / "deploy.mk").read_text(encoding="utf-8"), re.M
).group(1)


class Failed(Exception):
    """A check that did not hold."""


def expect(holds, message):
    """Fails with `message` unless it holds."""
    if not holds:
        raise Failed(message)


def run(*command, check=True, timeout=600, **options):
    """Runs a program and returns what it printed and how it ended."""
    options.setdefault("cwd", PROJECT)
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=timeout, **options
    )
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(str(word) for word in command)}\n{done.stdout}{done.stderr}".strip())
    return done


def kill(pid):
    """Kills a process whoever it belongs to: a container's is not that of the user who runs the checks."""
    run(*([] if os.geteuid() == 0 else ["sudo", "--non-interactive"]), "kill", "-9", pid)


def docker():
    """Docker's own client. The one of Debian builds without a plugin, which newer ones want."""
    for program in ("docker", "/usr/bin/docker"):
        if subprocess.run([program, "buildx", "version"], capture_output=True).returncode == 0:
            return program
    return "/usr/bin/docker"


def stand_ins(program, *of):
    """Says which of the images that are used were made on this machine."""
    listed = run(program, "image", "ls", "--filter", "label=local.stand-in=true", "--format", "{{.Repository}}:{{.Tag}}")
    made = sorted(name for name in listed.stdout.split() if any(part in name for part in of))
    if not made:
        return "All images are those of their registries.\n"
    return (
        "This machine reaches no container registry. Made on it from Debian's packages, Maven's jars and Go modules, under\n"
        "the names of the real images, with Debian 12's versions (deploy/stand-ins):\n"
        + "".join(f"  {name}\n" for name in made)
        + ("PostgreSQL 15 stands in for TimescaleDB.\n" if any("timescale" in name for name in made) else "")
    )


class Report:
    """Steps with their times, on standard output and, at the end, as a file of evidence."""

    def __init__(self, title, file):
        self.lines = []
        self.failed = 0
        self.passed = 0
        self.file = PROJECT / "docs" / "evidence" / file
        self.say(title)
        self.say(f"on {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {self.commit()}")

    @staticmethod
    def commit():
        return run("git", "rev-parse", "--short", "HEAD").stdout.strip()

    def say(self, text=""):
        self.lines.append(text)
        print(text, flush=True)

    def step(self, name, action, *arguments):
        """Runs one step, and goes on whatever comes of it."""
        started = time.monotonic()
        try:
            detail = action(*arguments)
        except Exception as failure:  # whatever it is, the other steps are worth knowing
            self.failed += 1
            self.say(f"FAILED  {name} ({time.monotonic() - started:.1f} s)\n{type(failure).__name__}: {failure}")
            return None
        self.passed += 1
        self.say(f"ok      {name} ({time.monotonic() - started:.1f} s)")
        for line in (detail or "").splitlines():
            self.say(f"        {line}".rstrip())
        return detail

    def finish(self):
        """Ends the program; with EVIDENCE=1 it keeps the record of a run in which all went well."""
        self.say(f"\n{self.passed} passed, {self.failed} failed")
        if self.failed == 0 and os.environ.get("EVIDENCE") == "1":
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        sys.exit(1 if self.failed else 0)
