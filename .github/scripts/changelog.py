"""What changed between two commits, for a person who uses Tidemark.

    changelog.py FROM TO [--repository URL]

Subjects follow no grammar of types here: they name their area in front of a colon ("history: …"), or none.
Commits are grouped by area; merges are left out, for what they merged is listed. FROM may be empty: then it is
everything up to TO.
"""

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass

SEPARATOR, END = "\x1f", "\x1e"
AREA = re.compile(r"(?P<area>[a-z][a-z0-9 -]{1,20}): (?P<rest>\S.*)")
# GitHub takes no longer text for a release or a pull request than about this many lines.
LONGEST = 400
# What the pipelines commit themselves tells nobody anything.
OWN = ("Stage ", "Promote ")


@dataclass(frozen=True)
class Commit:
    """One line of the history."""

    id: str
    subject: str

    @property
    def area(self) -> str:
        found = AREA.fullmatch(self.subject)
        return found["area"] if found else ""

    @property
    def text(self) -> str:
        found = AREA.fullmatch(self.subject)
        words = found["rest"] if found else self.subject
        return words[:1].upper() + words[1:]


def commits(since: str, until: str) -> list[Commit]:
    """Returns the commits after `since`, newest first."""
    for end in filter(None, (since, until)):
        # A name such as "--output=x" is a commit to nobody but an attacker.
        if end.startswith("-"):
            raise ValueError(f"{end!r} is not the name of a commit")
    span = f"{since}..{until}" if since else until
    printed = subprocess.run(
        ["git", "log", "--no-merges", f"--max-count={LONGEST}", f"--format=%h{SEPARATOR}%s{END}", span, "--"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    lines = (line.strip("\n") for line in printed.split(END))
    found = [Commit(*line.split(SEPARATOR, 1)) for line in lines if line]
    return [commit for commit in found if not commit.subject.startswith(OWN)]


def written(found: list[Commit], repository: str = "") -> str:
    """Returns the list as Markdown."""
    if not found:
        return "No change.\n"
    areas = defaultdict(list)
    for commit in found:
        areas[commit.area].append(commit)
    sections = [f"Only the newest {LONGEST} changes are listed."] if len(found) >= LONGEST else []
    # What belongs to no single area concerns everybody: it comes first.
    for area in sorted(areas):
        title = f"### {area[:1].upper() + area[1:]}" if area else "### In general"
        lines = [f"- {_escaped(commit.text)} ({_link(commit.id, repository)})" for commit in areas[area]]
        sections.append("\n".join([title, "", *lines]))
    return "\n\n".join(sections) + "\n"


def _escaped(text: str) -> str:
    """Markdown shows the text as it is, and nobody is notified by it."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text).replace("@", "@\u200b")


def _link(id: str, repository: str) -> str:
    return f"[`{id}`]({repository}/commit/{id})" if repository else f"`{id}`"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("since")
    parser.add_argument("until")
    parser.add_argument("--repository", default="")
    wanted = parser.parse_args()
    try:
        print(written(commits(wanted.since, wanted.until), wanted.repository), end="")
    except (ValueError, subprocess.CalledProcessError) as fault:
        print(f"changelog: {getattr(fault, 'stderr', None) or fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
