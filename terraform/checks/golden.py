"""A plan as a page of text: what would be made, and the values that cost money or protect something.

The pages are kept in golden/ and compared, so that a change of the stacks shows in review what it changes in
each environment.
"""

import difflib
import re
from collections import defaultdict
from pathlib import Path

from findings import Resource

GOLDEN = Path(__file__).resolve().parent / "golden"

# Arguments worth a line, wherever they stand in a resource.
TELLING = {
    "allocated_storage", "availability_type", "backup_retention_days", "backup_retention_period", "capacity",
    "cidr_block", "default_action", "deletion_protection", "disk_size", "engine", "engine_version",
    "high_availability_enabled", "host_instance_type", "immutability", "instance_class", "instance_type",
    "instance_types", "is_locked", "kafka_version", "kubernetes_version", "limit_amount", "locked", "machine_type",
    "max_size", "memory_size_gb", "message_retention_duration", "min_master_version", "min_size", "mode",
    "multi_az", "multi_az_enabled", "node_type", "num_cache_clusters", "number_of_broker_nodes", "partition_count",
    "public_network_access_enabled", "publicly_accessible", "recovery_window_in_days", "redis_version", "replication_factor",
    "retention_days", "retention_in_days", "retention_period", "sku", "sku_name", "sku_tier", "ssl_policy",
    "storage_mb", "tier", "total_max_node_count", "total_min_node_count", "transit_encryption_mode", "vcpu_count", "version",
    "vm_size", "volume_size",
}  # fmt: skip


def _telling(value, path: str = "") -> dict[str, str]:
    found = {}
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in TELLING and isinstance(inner, (str, int, float, bool)):
                found[f"{path}{key}"] = str(inner).lower() if isinstance(inner, bool) else str(inner)
            elif key in TELLING and isinstance(inner, list) and inner and isinstance(inner[0], str):
                found[f"{path}{key}"] = ",".join(inner)
            else:
                found.update(_telling(inner, f"{path}{key}."))
    elif isinstance(value, list):
        for inner in value:
            found.update(_telling(inner, path))
    return found


def summary(plan: list[Resource]) -> str:
    groups = defaultdict(list)
    for resource in plan:
        address = resource.address.removeprefix("module.tidemark.")
        match = re.fullmatch(r"(.*?)(?:\[(.*)\])?", address)
        groups[match.group(1)].append((match.group(2), resource))
    lines = [f"{len(plan)} resources of {len({resource.kind for resource in plan})} kinds", ""]
    for address, members in sorted(groups.items()):
        keys = sorted(key.strip('"') for key, _ in members if key is not None)
        lines.append(f"{address} [{', '.join(keys)}]" if keys else address)
        told = sorted({f"  {name} = {value}" for _, member in members for name, value in _telling(member.values).items()})
        lines.extend(told)
    return "\n".join(lines) + "\n"


def differs(name: str, plan: list[Resource], update: bool) -> str | None:
    file, now = GOLDEN / f"{name}.txt", summary(plan)
    before = file.read_text() if file.exists() else ""
    if before == now:
        return None
    if update:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(now)
        return None
    shown = difflib.unified_diff(before.splitlines(), now.splitlines(), str(file), "plan", lineterm="", n=1)
    return "\n".join(list(shown)[:60])
