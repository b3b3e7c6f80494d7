"""Checks how logs are carried, kept and shown, as far as files can tell."""

import json
import re
from pathlib import Path

ELK = Path(__file__).resolve().parent.parent / "elk"
ROOT = ELK.parent.parent


def fields(properties: dict, path: str = "") -> dict[str, dict]:
    """Every field of a mapping by its full name."""
    found: dict[str, dict] = {}
    for name, field in properties.items():
        found[path + name] = field
        found |= fields(field.get("properties", {}), f"{path}{name}.")
    return found


def check() -> tuple[str, list[str]]:
    import yaml

    wrong = []
    template, pipeline, lifecycle = (json.loads((ELK / "elasticsearch" / f"{name}.json").read_text()) for name in ("template", "pipeline", "lifecycle"))
    known = fields(template["template"]["mappings"]["properties"])
    settings = template["template"]["settings"]
    written = {value for step in pipeline["processors"] for kind in step.values() for value in [kind.get("target_field"), kind.get("field")] if value}
    wrong += [f"pipeline.json writes {name}, which template.json does not map" for name in sorted(written) if not mapped(name, known) and not name.startswith("line")]
    if "delete" not in lifecycle["policy"]["phases"]:
        wrong.append("lifecycle.json keeps logs for ever")

    setup = (ELK / "setup.sh").read_text()
    for what, name in (("_ilm/policy", settings["index.lifecycle.name"]), ("_ingest/pipeline", settings["index.default_pipeline"])):
        if f"{what}/{name} " not in setup:
            wrong.append(f"template.json names {name}, which setup.sh does not put into {what}")

    objects = [json.loads(line) for line in (ELK / "kibana" / "tidemark.ndjson").read_text().splitlines()]
    there = {(entry["type"], entry["id"]) for entry in objects}
    for entry in objects:
        name = f"{entry['type']} {entry['id']}"
        wrong += [f"Kibana's {name} refers to {one['type']} {one['id']}, which is not there" for one in entry["references"] if (one["type"], one["id"]) not in there]
        wrong += [f"Kibana's {name} shows {field}, which is not mapped" for field in sorted(shown(entry)) if not mapped(field, known)]
    if len(there) != len(objects):
        wrong.append("two of Kibana's objects have one id")

    logstash = (ELK / "logstash" / "tidemark.conf").read_text()
    code = re.sub(r'"(?:[^"\\]|\\.)*"|#[^\n]*', "", logstash)
    if code.count("{") != code.count("}"):
        wrong.append("tidemark.conf: braces do not match")
    if f'pipeline => "{settings["index.default_pipeline"]}"' not in logstash:
        wrong.append("tidemark.conf names another pipeline than template.json")
    port = re.search(r"port => (\d+)", logstash)
    hosts = yaml.safe_load((ELK / "filebeat.yml").read_text())["output.logstash"]["hosts"]
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for host in hosts:
        name, _, number = host.partition(":")
        if name not in services or not port or number != port[1]:
            wrong.append(f"filebeat.yml sends to {host}, where nothing listens")
    return f"{len(known)} fields, {len(pipeline['processors'])} steps, {len(objects)} objects of Kibana", wrong


def mapped(name: str, known: dict[str, dict]) -> bool:
    return name in known or name.startswith("labels.") or name.removesuffix(".keyword") in known


def shown(entry: dict) -> set[str]:
    attributes = entry["attributes"]
    found = set(attributes.get("columns", []))
    if "visState" in attributes:
        found |= {one["params"]["field"] for one in json.loads(attributes["visState"])["aggs"] if "field" in one["params"]}
    source = attributes.get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}")
    query = json.loads(source).get("query", {}).get("query", "")
    return found | set(re.findall(r"([\w.@]+): ", query))
