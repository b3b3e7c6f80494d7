"""The digest of an image in a chart's values.

    image_digest.py VALUES            print it
    image_digest.py VALUES DIGEST     change it, and nothing else in the file

A cluster gets an image by its digest: a tag can be moved, a digest cannot. The file is changed in place of
being written anew, so that comments and order stay and a review shows one line.
"""

import re
import sys
from pathlib import Path

import yaml

PLACE = ("image", "digest")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Refused(Exception):
    """The file or the digest is not what a digest can be put into."""


def _place(text: str, name: str) -> yaml.ScalarNode:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in PLACE:
        if not isinstance(node, yaml.MappingNode):
            raise Refused(f"{name} has no {'.'.join(PLACE)}")
        values = [value for found, value in node.value if found.value == key]
        if len(values) != 1:
            raise Refused(f"{name} has {len(values)} times {key} where {'.'.join(PLACE)} needs it once")
        node = values[0]
    if not isinstance(node, yaml.ScalarNode):
        raise Refused(f"{'.'.join(PLACE)} of {name} is not a text")
    return node


def read(text: str, name: str = "the file") -> str:
    """Returns the digest, or nothing if the place is still empty."""
    return _place(text, name).value


def replaced(text: str, digest: str, name: str = "the file") -> str:
    """Returns the text with another digest."""
    if not DIGEST.fullmatch(digest):
        raise Refused(f"{digest!r} is not sha256: and 64 hexadecimal digits in lower case")
    node = _place(text, name)
    # An empty value begins right behind its colon.
    space = "" if text[node.start_mark.index - 1].isspace() else " "
    changed = f'{text[: node.start_mark.index]}{space}"{digest}"{text[node.end_mark.index :]}'
    if read(changed, name) != digest:
        raise Refused(f"{name} could not be changed")
    return changed


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        text = path.read_text(encoding="utf-8")
        if len(arguments) == 1:
            print(read(text, str(path)))
        else:
            path.write_text(replaced(text, arguments[1], str(path)), encoding="utf-8")
    except (OSError, Refused, yaml.YAMLError) as fault:
        print(f"image_digest: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
