"""What a run of `terraform test -json -verbose` says: counts, the plan and the state behind it."""

import json
from dataclasses import dataclass, field
from typing import Any, Iterator


@dataclass
class Resource:
    address: str
    kind: str
    values: dict[str, Any]

    def at(self, path: str) -> Any:
        """The value at a dotted path; a block that occurs once is entered without an index."""
        value: Any = self.values
        for step in path.split("."):
            while isinstance(value, list):
                value = value[0] if value else None
            value = value.get(step) if isinstance(value, dict) else None
        return value


@dataclass
class TestReport:
    passed: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)
    plan: list[Resource] = field(default_factory=list)
    state: list[Resource] = field(default_factory=list)


def _state_resources(module: dict) -> Iterator[Resource]:
    for resource in module.get("resources", []):
        if resource["mode"] == "managed":
            yield Resource(resource["address"], resource["type"], resource["values"])
    for child in module.get("child_modules", []):
        yield from _state_resources(child)


def read(output: str) -> TestReport:
    report = TestReport()
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        message = json.loads(line)
        match message["type"]:
            case "test_run" if message["test_run"].get("progress") == "complete":
                if message["test_run"]["status"] == "pass":
                    report.passed += 1
                else:
                    report.failed += 1
                    report.errors.append(f"{message['@testfile']}: run {message['@testrun']}")
            case "diagnostic" if message["diagnostic"]["severity"] == "error":
                diagnostic = message["diagnostic"]
                report.errors.append(f"{diagnostic['summary']}: {diagnostic.get('detail', '')}".strip())
            # Only the run of this name plans from nothing; later ones see what an apply made up.
            case "test_plan" if message["@testrun"] == "plan":
                report.plan = [
                    Resource(change["address"], change["type"], change["change"]["after"])
                    for change in message["test_plan"].get("resource_changes", [])
                    if change["mode"] == "managed" and change["change"]["after"] is not None
                ]
            case "test_state":
                report.state = list(_state_resources(message["test_state"]["root_module"]))
    return report
