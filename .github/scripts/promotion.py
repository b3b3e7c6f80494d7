"""What a promotion to production brings: the text of its pull request.

    promotion.py IMAGE STAGING_VALUES PRODUCTION_VALUES [--repository URL]

Which commit an image was built from is told by the commit that brought its digest into staging's values.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import changelog
import image_digest

TRAILER = "Built-from"


def built_from(digest: str, values: str) -> str:
    """Returns the commit that the image was built from, or nothing if nobody wrote it down."""
    if not digest:
        return ""
    # The oldest commit that touches the digest is the one that brought it.
    printed = _git("log", "--reverse", f"-S{digest}", f"--format=%(trailers:key={TRAILER},valueonly,separator=%x2C)", "--", values)
    found = [line.strip() for line in printed.splitlines() if line.strip()]
    return found[0].split(",")[-1] if found else ""


def text(image: str, old: str, new: str, since: str, until: str, repository: str) -> str:
    """Returns the pull request's text, in Markdown."""
    image_lines = f"| image | `{image}` |\n| from | `{old or 'nothing yet'}`{_of(since)} |\n| to | `{new}`{_of(until)} |"
    if until:
        changes = changelog.written(changelog.commits(since, until), repository)
    else:
        changes = "Unknown: no commit says what the image was built from.\n"
    return f"""Production gets what staging runs.

| | |
|---|---|
{image_lines}

## Before approving

- [ ] Staging has run this digest without an alert, and its smoke test passed.
- [ ] Migrations of the history in the list below can be read by the version that runs now: a roll-back meets them.
- [ ] The sync window is open, or somebody on call agrees.

After the merge nothing happens by itself: sync `production-tidemark` in Argo CD. The way back is to revert this
pull request and sync again.

## Changes

{changes}"""


def _of(commit: str) -> str:
    return f", built from {commit[:12]}" if commit else ""


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("staging")
    parser.add_argument("production")
    parser.add_argument("--repository", default="")
    wanted = parser.parse_args()
    try:
        new = image_digest.read(Path(wanted.staging).read_text(encoding="utf-8"), wanted.staging)
        old = image_digest.read(Path(wanted.production).read_text(encoding="utf-8"), wanted.production)
        if not image_digest.DIGEST.fullmatch(new):
            raise image_digest.Refused("staging runs no digest yet")
        if new == old:
            raise image_digest.Refused("production's values have staging's digest already")
        since, until = built_from(old, wanted.staging), built_from(new, wanted.staging)
        print(text(wanted.image, old, new, since, until, wanted.repository), end="")
    except (OSError, image_digest.Refused, subprocess.CalledProcessError) as fault:
        print(f"promotion: {getattr(fault, 'stderr', None) or fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
