"""What the three clouds share: one set of inputs, one set of outputs, environments that differ in values only."""

import re
from pathlib import Path

CLOUDS = ["aws", "gcp", "azure"]
ENVIRONMENTS = ["staging", "production"]
BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.M | re.S)
DESCRIPTION = re.compile(r'^  description = "(.*)"$', re.M)


def described(file: Path) -> dict[str, str]:
    return {name: DESCRIPTION.search(body).group(1) for _, name, body in BLOCK.findall(file.read_text())}


def breaches(stacks: Path) -> list[str]:
    found = []
    first = stacks / CLOUDS[0]
    for cloud in CLOUDS[1:]:
        if (stacks / cloud / "inputs.tf").read_text() != (first / "inputs.tf").read_text():
            found.append(f"{cloud}/inputs.tf differs from {CLOUDS[0]}/inputs.tf")
        if described(stacks / cloud / "outputs.tf") != described(first / "outputs.tf"):
            found.append(f"{cloud}/outputs.tf has other outputs than {CLOUDS[0]}/outputs.tf")
    for cloud in CLOUDS:
        environments = stacks / cloud / "environments"
        for name in ["variables.tf", "outputs.tf", "versions.tf"]:
            for folder in ["", "gitops"]:
                files = {(environments / e / folder / name).read_text() for e in ENVIRONMENTS}
                if len(files) != 1:
                    found.append(f"{cloud}: {folder}/{name} differs between staging and production")
        for environment in ENVIRONMENTS:
            for folder in [environments / environment, environments / environment / "gitops"]:
                needed = set(described(folder / "variables.tf"))
                example = (folder / "terraform.tfvars.example").read_text()
                given = set(re.findall(r"^(\w+)\s*=", example, re.M))
                if not given <= needed or needed - given - {"labels"}:
                    found.append(f"{folder.relative_to(stacks)}: terraform.tfvars.example and variables.tf differ")
    moved = [str(file.relative_to(stacks)) for file in stacks.rglob("*.tf") if file.name == "moved.tf" and not file.read_text().lstrip().startswith("#")]
    found += [f"{file} must begin with the date and the reason of its moves" for file in moved]
    return found


def false_locks(stacks: Path) -> list[str]:
    """A lock file made by the checks would name hashes of the schema-only provider: refuse one without `zh:`."""
    return [
        f"{lock.relative_to(stacks)} has no hash of a released provider (zh:)"
        for lock in stacks.rglob(".terraform.lock.hcl")
        if '"zh:' not in lock.read_text()
    ]

