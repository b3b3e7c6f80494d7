"""Hooks of schemathesis: count each operation's answers, and leave out cases that show nothing."""

import atexit
import collections
import os
import string
import threading
import unicodedata
from pathlib import Path

import schemathesis
from hypothesis import strategies
from schemathesis.specs.openapi.checks import ensure_resource_availability, use_after_free

lock = threading.Lock()
answers = collections.defaultdict(collections.Counter)


@schemathesis.hook
def after_call(_context, case, response):
    operation = f"{case.operation.method.upper()} {case.operation.path}"
    with lock:
        answers[operation][response.status_code] += 1
        remember(case, response)


@atexit.register
def write():
    lines = [f"{'calls':>7}  operation, and how often each status came back"]
    for operation, statuses in sorted(answers.items()):
        each = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        lines.append(f"{sum(statuses.values()):7}  {operation}  ({each})")
    lines.append(f"{sum(sum(statuses.values()) for statuses in answers.values()):7}  in all")
    Path(os.environ["CONTRACT_COUNTS"]).write_text("\n".join(lines) + "\n", encoding="utf-8")


# Names of users follow RFC 8265, and passwords must not be common: no schema says so. Their formats say what is
# meant, and this is what it looks like.
word = strategies.text(string.ascii_letters + string.digits, min_size=8, max_size=40)
schemathesis.openapi.format("username", word)
schemathesis.openapi.format("password", word.map(lambda word: word + "!"))

# Rules on texts that JSON Schema cannot say, or not in every dialect of regular expressions: something must be
# visible, a name is one line, days must be in the calendar and in their order, and a cursor must have been given out by
# the same list. A neighbour on the board must be another task of the same group. What changes many tasks must change or
# delete them, and not both. The acceptance suite sends what breaks them. A request that does is refused, as it must be:
# it shows nothing when it was meant to be right.
ONE_LINE = {"name", "username", "displayName", "password"}
VISIBLE = {"name", "text", "username", "password"}
NEIGHBOURS = {"after", "before"}
DAYS = {"startDate", "endDate"}


def says_what_the_schema_cannot(members, cursors):
    for name, value in members.items():
        if name in NEIGHBOURS and value is not None:
            return True
        if name == "cursor" and value not in cursors:
            return True
        if not isinstance(value, str):
            continue
        breaks = "" if name in ONE_LINE else "\n\t"
        if any(not character.isprintable() and character not in breaks for character in value):
            return True
        if name in VISIBLE and not any(character.isalnum() for character in value):
            return True
        if name in DAYS and value:
            return True
    changes = {name for name in members if name not in {"ids", "delete"} | NEIGHBOURS}
    return "ids" in members and bool(changes) == bool(members.get("delete"))


# What nobody sets is declared as `readOnly`: by JSON Schema it "may be ignored or rejected", and is, so that what was
# read can be sent back. And texts are measured as they are kept: composed, without the blanks around them. What only
# looks wrong by these two may be accepted.
READ_ONLY = {"_id", "groupId", "rank", "taskCount", "commentCount", "createdBy", "createdAt", "updatedAt", "version", "tasks", "comments"}


def only_looks_wrong(method, members):
    if method == "PUT" and not READ_ONLY.isdisjoint(members):
        return True
    return any(isinstance(value, str) and len(kept(value)) < len(value) for value in members.values())


def kept(text):
    return unicodedata.normalize("NFC", text.strip())


@schemathesis.hook
def filter_case(_context, case):
    meta = getattr(case, "meta", None)
    if meta is None:
        return True
    # The pattern of this header is not kept to by what is generated for it.
    if case.headers and "" in (case.headers.get("If-Match"), case.headers.get("If-None-Match")):
        return False
    parts = [part for part in (case.query, case.body) if isinstance(part, dict)]
    if meta.generation.mode == schemathesis.GenerationMode.POSITIVE:
        cursors = given_cursors[case.operation.path]
        return not any(says_what_the_schema_cannot(part, cursors) for part in parts)
    # A format tells what is meant, and forbids nothing.
    if any("format" in mutation.keywords for mutation in getattr(meta.phase.data, "mutations", ())):
        return False
    return not any(only_looks_wrong(case.method, part) for part in parts)


# A group takes its tasks along when it is deleted, and a task can be reached by two paths. Schemathesis knows of what
# lies below the deleted path alone.
group_of_task = {}
deleted = set()
given_cursors = collections.defaultdict(set)


def remember(case, response):
    # A repeated answer tells of what was, and may be no more.
    if "idempotency-replayed" in response.headers:
        return
    if response.status_code == 204 and case.method == "DELETE":
        deleted.add(case.path_parameters["id"])
    if response.headers.get("content-type") != ["application/json"]:
        return
    body = response.json()
    if "next" in body:
        given_cursors[case.operation.path].add(body["next"])
    if task := body.get("task"):
        group_of_task[task["_id"]] = task["groupId"]
    if case.operation.path.endswith("/restore"):
        deleted.discard(case.path_parameters["id"])
    if case.operation.path.endswith("/bulk") and case.body.get("delete"):
        deleted.update(case.body["ids"])


@schemathesis.check
def what_was_created_is_there(context, response, case):
    task = (case.path_parameters or {}).get("id")
    if not deleted.isdisjoint({task, group_of_task.get(task)}):
        return None
    return ensure_resource_availability(context, response, case)


@schemathesis.check
def what_was_deleted_is_gone(context, response, case):
    named = (case.path_parameters or {}).get("id")
    if named not in deleted:
        return None
    return use_after_free(context, response, case)
