"""Waits until Argo CD runs an image, and is content with it.

    argocd.py APPLICATION DIGEST [--commit ID] [--deadline SECONDS]

The server and a token that may read this application come from ARGOCD_SERVER and ARGOCD_TOKEN. What counts is
the digest among the images that run, not the commit that was deployed: other commits may follow ours, and the
image is what a user meets. Only a failed sync of the very commit given ends the waiting early: any other failure
may be of the state that this commit mends.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

PAUSE_SECONDS = 5.0
# An answer that takes longer than this is asked for again.
ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Judgement:
    """What an application's status means for us."""

    reached: bool
    hopeless: bool
    words: str


def judged(application: dict, digest: str, commit: str = "") -> Judgement:
    """Reads an answer of Argo CD's API."""
    status = application.get("status", {})
    sync = status.get("sync", {}).get("status", "Unknown")
    health = status.get("health", {}).get("status", "Unknown")
    operation = status.get("operationState", {})
    phase = operation.get("phase", "none")
    runs = any(image.endswith(f"@{digest}") for image in status.get("summary", {}).get("images", []))
    words = f"sync {sync}, health {health}, last operation {phase}, image {'runs' if runs else 'not there yet'}"
    result = operation.get("syncResult", {})
    if phase in ("Failed", "Error") and commit and commit in [result.get("revision"), *result.get("revisions", [])]:
        return Judgement(False, True, f"{words}: {operation.get('message', 'no reason given')}")
    return Judgement(runs and sync == "Synced" and health == "Healthy" and phase != "Running", False, words)


def asked(server: str, token: str, application: str) -> dict:
    # `refresh` makes Argo CD look at Git now instead of within its three minutes.
    address = f"{server.rstrip('/')}/api/v1/applications/{urllib.parse.quote(application, safe='')}?refresh=normal"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def wait(server: str, token: str, application: str, digest: str, commit: str, deadline: float, pause: float) -> bool:
    """Asks until the image runs in health (true), or hope or time is gone (false)."""
    until = time.monotonic() + deadline
    said = ""
    while True:
        try:
            judgement = judged(asked(server, token, application), digest, commit)
        except urllib.error.HTTPError as fault:
            # A token that is refused will not be accepted later.
            refused = fault.code in (401, 403, 404)
            judgement = Judgement(False, refused, f"the server answered {fault.code} {fault.reason}")
        except (OSError, ValueError) as fault:
            judgement = Judgement(False, False, f"no answer: {fault}")
        if judgement.words != said:
            said = judgement.words
            print(f"{application}: {said}", flush=True)
        if judgement.reached or judgement.hopeless:
            return judgement.reached
        if time.monotonic() + pause > until:
            print(f"{application}: not reached within {deadline:.0f} s", flush=True)
            return False
        time.sleep(pause)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("application")
    parser.add_argument("digest")
    parser.add_argument("--commit", default="")
    parser.add_argument("--deadline", type=float, default=900.0)
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS)
    wanted = parser.parse_args()
    server, token = os.environ.get("ARGOCD_SERVER", ""), os.environ.get("ARGOCD_TOKEN", "")
    if not server.startswith(("https://", "http://127.0.0.1:")) or not token:
        print("argocd: set ARGOCD_SERVER (https://…) and ARGOCD_TOKEN", file=sys.stderr)
        return 2
    reached = wait(server, token, wanted.application, wanted.digest, wanted.commit, wanted.deadline, wanted.pause)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
