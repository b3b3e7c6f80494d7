"""The README of each stack and module: what main.tf says of itself, and terraform-docs' tables."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tools

NOTICE = "<!-- Made by `make tf-docs` from the Terraform files; change those. -->\n"


def folders(stacks: Path) -> list[Path]:
    return sorted(
        file.parent
        for file in stacks.rglob("versions.tf")
        if not {"environments", "checks"} & set(file.relative_to(stacks).parts)
    )


def _page(folder: Path, stacks: Path) -> str:
    said = []
    for line in (folder / "main.tf").read_text().splitlines():
        if not line.startswith("#"):
            break
        said.append(line.removeprefix("#").strip())
    tables = subprocess.run(
        [tools.terraform_docs(), "markdown", "table", "--anchor=false", "--escape=false", "--show", "requirements", "--show", "inputs", "--show", "outputs", str(folder)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return f"# {folder.relative_to(stacks)}\n\n{NOTICE}\n{chr(10).join(said)}\n\n{tables.strip()}\n"


def stale(stacks: Path, update: bool) -> tuple[int, list[str]]:
    chosen, found = folders(stacks), []
    tools.terraform_docs()
    with ThreadPoolExecutor(2) as pool:
        pages = pool.map(lambda folder: _page(folder, stacks), chosen)
    for folder, page in zip(chosen, pages):
        readme = folder / "README.md"
        if readme.exists() and readme.read_text() == page:
            continue
        if update:
            readme.write_text(page)
        else:
            found.append(f"{readme.relative_to(stacks)} is stale: run make tf-docs")
    return len(chosen), found
