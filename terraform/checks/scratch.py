"""A copy of the stacks to work in, with providers that serve the rebuilt schemas.

Nothing is initialised in the checkout: the lock file that `terraform init` writes here would carry the
hashes of the schema-only provider, and a lock file is worth something only with the real ones.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import schemas
import tools

STACKS = Path(__file__).resolve().parent.parent
USES = re.compile(r'^(?:resource|data) "([a-z0-9_]+)"', re.M)
REGISTRIES = ["registry.terraform.io", "registry.opentofu.org"]
PLATFORM = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}[os.uname().machine]


@dataclass
class Result:
    code: int
    output: str

    @property
    def passed(self) -> bool:
        return self.code == 0


class Scratch:
    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="tidemark-terraform-"))
        self.stacks = self.directory / "terraform"
        shutil.copytree(
            STACKS, self.stacks, ignore=shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "checks")
        )
        # A test destroys what it has made, which these guards are there to refuse. That each of them
        # stands in the sources is a rule of its own (rules.py).
        for source in self.stacks.rglob("*.tf"):
            source.write_text(source.read_text().replace("prevent_destroy = true", "prevent_destroy = false"))
        self.environment = {
            **os.environ,
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(self.directory / "terraform.rc"),
            "TF_IN_AUTOMATION": "1",
        }
        self.environment.pop("TF_PLUGIN_CACHE_DIR", None)
        (self.directory / "terraform.rc").write_text(
            f'provider_installation {{\n  filesystem_mirror {{ path = "{self.directory}/mirror" }}\n}}\n'
            "disable_checkpoint = true\n"
        )
        self._build_mirror()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory)

    def _build_mirror(self) -> None:
        used = set()
        for source in self.stacks.rglob("*.tf"):
            used.update(USES.findall(source.read_text()))
        binary = tools.provider()
        for provider, schema in tools.schemas().items():
            pruned = json.dumps(schemas.prune(schema, used))
            version = schema["provider_version"]
            for registry in REGISTRIES:
                folder = self.directory / "mirror" / registry / "hashicorp" / provider / version / PLATFORM
                folder.mkdir(parents=True)
                executable = folder / f"terraform-provider-{provider}_v{version}"
                shutil.copy(binary, executable)
                Path(f"{executable}.schema.json").write_text(pruned)

    def terraform(self, root: str, *arguments: str) -> Result:
        done = subprocess.run(
            [tools.terraform(), *arguments],
            cwd=self.stacks / root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Result(done.returncode, done.stdout)

    def initialise(self, root: str) -> Result:
        return self.terraform(root, "init", "-backend=false", "-input=false", "-no-color")

    def inputs_root(self, cloud: str) -> str:
        """A root with nothing but a stack's variables and the negative tests for them."""
        root = self.stacks / f"{cloud}-inputs"
        if not root.exists():
            (root / "tests").mkdir(parents=True)
            for name in ["inputs.tf", "variables.tf"]:
                shutil.copy(self.stacks / cloud / name, root)
            for tests in [self.stacks / "tests", self.stacks / cloud / "tests" / "inputs"]:
                shutil.copytree(tests, root / "tests", dirs_exist_ok=True)
        return root.name
