"""Reads which metrics a query asks for, and by which labels it chooses them.

Whether a query is well-formed is promtool's business; this only has to understand what promtool accepts.
"""

import re

TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<range>\[[^\]]*\])
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<number>[0-9][0-9a-zA-Z.]*)
      | (?P<other>\S)""",
    re.X,
)
WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end"}
LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}


def selections(query: str) -> dict[str, set[str]]:
    """Each metric's name and the labels that it is chosen by."""
    tokens = [(match.lastgroup, match.group()) for match in TOKEN.finditer(query)]
    found: dict[str, set[str]] = {}
    index = 0
    while index < len(tokens):
        kind, text = tokens[index]
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in LABEL_LISTS:
            if following == "(":
                while tokens[index][1] != ")":
                    index += 1
        elif kind == "name" and following != "(" and following.lower() not in ("by", "without") and text.lower() not in WORDS:
            labels = found.setdefault(text, set())
            # A duration after "offset" is a number; a name here is a metric.
            if following == "{":
                index += 2
                while tokens[index][1] != "}":
                    if tokens[index][0] == "name" and tokens[index + 1][1] in "=!":
                        labels.add(tokens[index][1])
                    index += 1
        index += 1
    return found
