"""Steps of a run: sentences that must come true, each with the time that it took."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plane import CommandFailed, Plane
from processes import NotReached
from tools import BuildFailed


class Broken(Exception):
    """A sentence did not come true."""


@dataclass
class Run:
    """What the steps of one run share."""

    plane: Plane
    folder: Path
    # Charts under test, as they lie in the work tree.
    charts: Path


Action = Callable[[Run], str]


@dataclass(frozen=True)
class Step:
    name: str
    sentence: str
    action: Action
    needs: tuple[str, ...] = ()
    deep: bool = False
    # What it starts besides the control plane.
    programs: tuple[str, ...] = ()


STEPS: dict[str, Step] = {}


def step(
    name: str, sentence: str, needs: tuple[str, ...] = (), deep: bool = False, programs: tuple[str, ...] = ()
) -> Callable[[Action], Action]:
    def register(action: Action) -> Action:
        STEPS[name] = Step(name, sentence, action, needs, deep, programs)
        return action

    return register


def chosen(names: list[str], deep: bool) -> list[Step]:
    """The named steps with all they need, otherwise all of this depth, in the order of their registration."""
    wanted = set(names) or {each.name for each in STEPS.values() if deep or not each.deep}
    unknown = wanted - STEPS.keys()
    if unknown:
        raise SystemExit(f"no such step: {', '.join(sorted(unknown))}; there are: {', '.join(STEPS)}")
    while missing := {need for name in wanted for need in STEPS[name].needs} - wanted:
        wanted |= missing
    return [each for each in STEPS.values() if each.name in wanted]


def expect(truth: object, otherwise: str) -> None:
    if not truth:
        raise Broken(otherwise)


def perform(steps: list[Step], run: Run, say: Callable[[str], None]) -> list[str]:
    """Performs the steps in order and returns the names of those that failed."""
    failed: list[str] = []
    for number, each in enumerate(steps, 1):
        label = f"{number}/{len(steps)} {each.name}: {each.sentence}"
        lost = [need for need in each.needs if need in failed]
        if lost:
            say(f"{label}\n    skipped: {', '.join(lost)} failed")
            failed.append(each.name)
            continue
        began = time.monotonic()
        try:
            detail, verdict = each.action(run), "ok"
        except (Broken, NotReached, CommandFailed, BuildFailed) as problem:
            detail, verdict = str(problem), "FAILED"
        except Exception:  # noqa: BLE001  A fault of a step must not keep the others from being tried.
            detail, verdict = traceback.format_exc(), "FAILED"
        if verdict != "ok":
            failed.append(each.name)
        say(f"{label}\n    {verdict} in {time.monotonic() - began:.1f} s")
        if detail:
            say("\n".join(f"    {line}" for line in detail.splitlines()))
    return failed
