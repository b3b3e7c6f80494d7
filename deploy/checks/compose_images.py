#!/usr/bin/env python3
"""Names the images of others that the compose files run, as a list in JSON: what the nightly scan looks into.

In a pipeline, the list is also the step's output `images`."""

import json
import os
import pathlib
import tempfile

from compose_check import PRODUCTION, PROFILES, Compose

OWN = "ghcr.io/tidemark/tidemark:"


def others(listed):
    """The images of what `docker compose config --images` lists that are not our own, each once."""
    return sorted({image for image in listed.split() if not image.startswith(OWN)})


def main():
    with tempfile.TemporaryDirectory() as folder:
        compose = Compose(pathlib.Path(folder))
        listed = [compose.run(*files, "config", "--images", profiles=PROFILES) for files in ([], PRODUCTION)]
    images = json.dumps(others("\n".join(listed)))
    print(images)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with open(output, "a", encoding="utf-8") as file:
            file.write(f"images={images}\n")


if __name__ == "__main__":
    main()
