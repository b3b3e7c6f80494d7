"""Hooks of schemathesis: count each operation's answers, and leave out cases that show nothing."""

import atexit
import collections
import os
import re
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


# Rules on texts that JSON Schema cannot say, or not in every dialect of regular expressions: something must be
# visible, names of users follow RFC 8265, passwords must not be common, days must be in the calendar, and a cursor
# must have been given out. What names another entity must name one that is there, and what nobody sets must be what
# is there: the acceptance suite sends such requests. A request that breaks one is refused, as it must be: it shows nothing when it was meant
# to be right.
VISIBLE = {"name", "text", "username", "password"}
CREDENTIALS = {"username", "password"}
BOUND = {"cursor", "after", "before", "_id", "rank", "createdBy", "createdAt", "updatedAt", "version"}
DAYS = {"startDate", "endDate"}


def says_what_the_schema_cannot(members):
    for name, value in members.items():
        if name in BOUND and value is not None:
            return True
        if not isinstance(value, str):
            continue
        if any(not character.isprintable() and character not in "\n\t" for character in value):
            return True
        if name in VISIBLE and not any(character.isalnum() for character in value):
            return True
        if name in CREDENTIALS and not (value.isascii() and value.isalnum() and len(value) >= 8):
            return True
        if name in DAYS and value and not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])", value):
            return True
    return False


def is_meant_to_be_right(case):
    meta = getattr(case, "meta", None)
    return meta is not None and meta.generation.mode == schemathesis.GenerationMode.POSITIVE


@schemathesis.hook
def filter_case(_context, case):
    if not is_meant_to_be_right(case):
        return True
    # The pattern of this header is not kept to by what is generated for it.
    if case.headers and case.headers.get("If-Match") == "":
        return False
    parts = [part for part in (case.query, case.body) if isinstance(part, dict)]
    # In the query a group that is not there is told as such, in a change as a member that cannot be changed.
    if case.method == "PUT" and isinstance(case.body, dict) and case.body.get("groupId") is not None:
        return False
    return not any(says_what_the_schema_cannot(part) for part in parts)
