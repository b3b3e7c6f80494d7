#!/usr/bin/env python3
"""Judges what coverage measured: coverage.py LCOV PATH LEAST [PATH LEAST]…

LEAST is the share in per cent of a path's lines that must have been reached. A path of which nothing was measured
fails, since it was moved or left out.
"""

import sys
from pathlib import Path


def lines(report: str, path: str) -> tuple[int, int]:
    """How many lines of the files at this path were reached, and how many there are."""
    reached = found = 0
    inside = False
    for line in report.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            inside = f"/{path}" in value
        elif key == "DA" and inside:
            found += 1
            reached += value.split(",")[1] != "0"
    return reached, found


def main(report: str, bounds: list[str]) -> int:
    text = Path(report).read_text(encoding="utf-8")
    failed = 0
    for path, least in zip(bounds[::2], bounds[1::2], strict=True):
        reached, found = lines(text, path)
        share = 100 * reached / found if found else 0.0
        enough = share >= float(least)
        failed += not enough
        print(f"{'ok    ' if enough else 'FAILED'}  {path}: {share:.1f} % of {found} lines, at least {least} % are wanted")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
