#!/usr/bin/env python3
"""Checks the compose files without an engine: what they say, not what they do. `compose_test.py` runs them."""

import json
import pathlib
import re
import tempfile

from report import CACHE, COMPOSE_VERSION, PROJECT, Report, expect, run

PROFILES = ["observability", "elk", "tools", "load", "jobs", "replicas"]
SETS = [[], *([profile] for profile in PROFILES), PROFILES]
PRODUCTION = ["--file", "docker-compose.yml", "--file", "compose.production.yml"]

# Containers that end by themselves.
JOBS = {"topics", "schemas", "seed", "load", "elk-setup"}
# Images without any program that could ask, and what stands in for their own health check.
WITHOUT_HEALTH_CHECK = {
    r".+-sidecar": "its role's readiness contains it",
    r"nginx-exporter": "Prometheus' `up` of the job nginx",
    r"otel-collector": "Prometheus' `up` of the job otel-collector",
    r"dapr-dashboard": "a page to look at; nothing depends on it",
}
# Published by purpose to more than this machine.
PUBLIC = {("nginx", 3443), ("nginx", 3080)}


class Compose:
    """The compose program on these files, with made-up secrets."""

    def __init__(self, folder):
        self.program = CACHE / "tools" / f"docker-compose-{COMPOSE_VERSION}"
        self.settings = folder / "env"
        secrets = folder / "secrets"
        run("deploy/first-start.sh", self.settings, secrets)
        for name in ("tls-certificate.pem", "tls-key.pem"):
            (secrets / name).touch()
        with self.settings.open("a", encoding="utf-8") as file:
            file.write(f"SECRETS_DIR={secrets}\n")

    def run(self, *arguments, profiles=()):
        words = [word for profile in profiles for word in ("--profile", profile)]
        return run(self.program, "--env-file", self.settings, *words, *arguments).stdout

    def model(self, profiles, *files):
        return json.loads(self.run(*files, "config", "--format", "json", profiles=profiles))


def services_are_valid(compose):
    told = []
    for profiles in SETS:
        for name, files in (("", []), ("production, ", PRODUCTION)):
            words = [word for profile in profiles for word in ("--profile", profile)]
            run(compose.program, "--env-file", compose.settings, *files, *words, "config", "--quiet")
            told.append(f"{name}{'+'.join(profiles) or 'core'}: {len(compose.model(profiles, *files)['services'])}")
    return "services: " + "; ".join(told)


def files_follow_the_specification():
    checker = CACHE / "tools" / "check-jsonschema-0.39.0" / "bin" / "check-jsonschema"
    # Compose's own tags are no part of YAML's standard ones; the schema is asked without them.
    with tempfile.TemporaryDirectory() as folder:
        for name in ("docker-compose.yml", "compose.production.yml", "deploy/checks/compose.test.yml"):
            text = (PROJECT / name).read_text(encoding="utf-8")
            plain = pathlib.Path(folder) / pathlib.Path(name).name
            plain.write_text(re.sub(r"!(reset|override) ?", "", text), encoding="utf-8")
            run(checker, "--builtin-schema", "vendor.compose-spec", plain)
    return "three files against compose-spec's schema"


def published(model):
    for name, service in model["services"].items():
        for port in service.get("ports", []):
            yield name, port.get("host_ip", "0.0.0.0"), int(port["published"]), port["target"]


def ports_do_not_collide(everything):
    taken = {}
    for name, address, port, target in published(everything):
        expect(port not in taken, f"{name} and {taken.get(port)} both publish {port}")
        expect(address == "127.0.0.1", f"{name} publishes {port} at {address}, not on loopback alone")
        taken[port] = (name, target)
    rows = [f"| {port} | `{name}` | {target} |" for port, (name, target) in sorted(taken.items())]
    guide = (PROJECT / "deploy/README.md").read_text(encoding="utf-8")
    missing = [row for row in rows if row not in guide]
    expect(not missing, "deploy/README.md lacks these rows of the port table:\n" + "\n".join(missing))
    told = re.findall(r"^\| \d+ \| `[a-z0-9-]+` \| \d+ \|$", guide, re.MULTILINE)
    expect(len(told) == len(rows), "deploy/README.md has ports that nobody publishes")
    return f"{len(rows)} ports, all on 127.0.0.1, as in deploy/README.md"


def production_publishes_the_edge_alone(production):
    open_ports = {(name, target) for name, _, _, target in published(production)}
    expect(open_ports == PUBLIC, f"production publishes {open_ports}")
    return "nginx:3443, nginx:3080 for the way there, and nothing else"


def images_are_pinned(model):
    images = sorted({service["image"] for service in model["services"].values()})
    for image in images:
        tag = image.rpartition("@")[2] if "@" in image else image.rpartition(":")[2]
        digest = re.fullmatch(r"sha256:[0-9a-f]{64}", tag)
        version = re.fullmatch(r"v?\d+\.\d+\.\d+([.-][A-Za-z0-9.]+)?", tag)
        expect(digest or version, f"{image} has neither a digest nor a whole version")
    return "\n".join(images)


def everything_has_a_health_check(model):
    exceptions = {}
    for name, service in model["services"].items():
        if name in JOBS or service.get("healthcheck", {}).get("test"):
            continue
        reason = next((why for what, why in WITHOUT_HEALTH_CHECK.items() if re.fullmatch(what, name)), None)
        expect(reason, f"{name} has no health check")
        exceptions.setdefault(reason, []).append(name)
    checked = sum(bool(s.get("healthcheck", {}).get("test")) for s in model["services"].values())
    told = [f"without, because of their images: {', '.join(names)} ({why})" for why, names in exceptions.items()]
    return "\n".join([f"{checked} services", *told])


def everything_is_bounded(model):
    total = 0
    for name, service in model["services"].items():
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        expect(limits.get("memory"), f"{name} has no limit of memory")
        expect(limits.get("pids"), f"{name} has no limit of processes")
        total += int(limits["memory"])
        options = service.get("logging", {}).get("options", {})
        expect(options.get("max-size") and options.get("max-file"), f"the logs of {name} are not rotated")
        expect(options.get("tag") == "tidemark/{{.Name}}", f"the lines of {name} do not say whose they are")
        expect(service.get("cap_drop") == ["ALL"], f"{name} keeps capabilities")
        expect("no-new-privileges:true" in service.get("security_opt", []), f"{name} may gain privileges")
        expect(service.get("restart"), f"{name} has no rule of restarts")
    return f"memory, processes, log files; no capabilities; {total / 2**30:.1f} GiB at most together"


def starting_ends_well(model):
    """`up --wait` takes a container that has ended for one that failed, unless something waits for its end."""
    awaited = {
        other
        for service in model["services"].values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    ending = JOBS & set(model["services"]) - awaited
    expect(not ending, f"nothing waits for the end of {sorted(ending)}, which `up --wait` starts")


def production_comes_back(production):
    """After a start of the machine the engine leaves alone what has a number of attempts."""
    for name, service in production["services"].items():
        if name not in JOBS:
            expect(service["restart"] in ("always", "unless-stopped"), f"{name} restarts by {service['restart']}")


def bytes_of(text):
    number, unit = re.fullmatch(r"(\d+)([kmg])b", text).groups()
    return int(number) * {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[unit]


def redis_refuses_before_it_is_killed(model):
    command = " ".join(model["services"]["redis"]["command"])
    found = re.search(r"--maxmemory (\w+)", command)
    expect(found, "Redis has no maximum")
    share = bytes_of(found[1]) / int(model["services"]["redis"]["deploy"]["resources"]["limits"]["memory"])
    expect(share <= 0.75, f"Redis may fill {share:.0%} of its memory, and its copies need a quarter")
    expect("--maxmemory-policy noeviction" in command, "Redis may forget what it was told to keep")
    return f"{found[1]}, {share:.0%} of the container's memory"


def passwords_are_in_files(model):
    """Variables and arguments are shown to whoever may ask the engine or list processes."""
    for name, service in model["services"].items():
        for variable in service.get("environment", {}):
            expect(not re.search(r"PASS(WORD)?$", variable), f"{name} has its password in {variable}")
        words = " ".join((service.get("entrypoint") or []) + (service.get("command") or []))
        expect(not re.search(r"--\S*pass\S*[ =]", words), f"{name} has its password among its arguments")


def the_application_has_nothing_it_does_not_need(model):
    for name, service in model["services"].items():
        ours = "tidemark" in service["image"] or "daprd" in service["image"]
        if ours:
            expect(service.get("read_only"), f"{name} may write to its root")
            expect(service.get("user") == "65532:65532", f"{name} runs as {service.get('user')}")


def waiting_has_a_condition(model):
    names = set(model["services"])
    for name, service in model["services"].items():
        for other, how in service.get("depends_on", {}).items():
            expect(other in names, f"{name} waits for {other}, which is not part of its profiles")
            has_check = bool(model["services"][other].get("healthcheck", {}).get("test"))
            wanted = "service_completed_successfully" if other in JOBS else "service_healthy"
            if name.endswith("-sidecar") and other == name.removesuffix("-sidecar"):
                wanted = "service_started"
            expect(how["condition"] == wanted, f"{name} waits for {other} by {how['condition']}, not {wanted}")
            expect(wanted != "service_healthy" or has_check, f"{other} has no health to wait for")


def what_is_mounted_exists(model):
    missing = []
    for name, service in model["services"].items():
        for volume in service.get("volumes", []):
            source = pathlib.Path(volume.get("source", ""))
            if volume["type"] == "bind" and source.is_relative_to(PROJECT) and not source.exists():
                missing.append(f"{name}: {source.relative_to(PROJECT)}")
    expect(not missing, "missing:\n" + "\n".join(missing))


def stateful_services_have_volumes(model):
    kept = {
        "redis", "kafka-1", "kafka-2", "kafka-3", "timescaledb", "rabbitmq", "schema-registry", "prometheus",
        "alertmanager", "grafana", "elasticsearch", "filebeat",
    }
    for name in kept:
        volumes = model["services"][name].get("volumes", [])
        expect(any(volume["type"] == "volume" for volume in volumes), f"{name} keeps nothing")


def settings_are_all_documented():
    sources = "".join(
        (PROJECT / name).read_text(encoding="utf-8") for name in ("docker-compose.yml", "compose.production.yml")
    )
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", sources))
    # Handed through as they are: a name without a value.
    used |= set(re.findall(r"^ +(?:- )?([A-Z][A-Z0-9_]+):?$", sources, re.MULTILINE))
    templates = {
        name: set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (PROJECT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in (".env.example", ".env.production.example")
    }
    told = set().union(*templates.values())
    expect(used <= told, f"in no template: {sorted(used - told)}")
    expect(told <= used, f"in a template, and nobody reads it: {sorted(told - used)}")
    for name, text in ((n, (PROJECT / n).read_text(encoding="utf-8")) for n in templates):
        for secret in re.findall(r"^([A-Z_]*(?:TOKEN|PASSWORD))=(.*)$", text, re.MULTILINE):
            expect(secret[1] == "", f"{name} has a value for {secret[0]}")
    return f"{len(used)} variables"


def the_applications_settings_reach_it(model):
    page = (PROJECT / "docs/configuration.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", page, re.MULTILINE))
    given = set(model["services"]["tasks"]["environment"])
    expect(known == given, f"differ from docs/configuration.md: {sorted(known ^ given)}")
    return f"{len(known)} variables of docs/configuration.md"


def replicas_are_the_edges(production):
    text = (PROJECT / "deploy/edge/upstreams-production.conf").read_text(encoding="utf-8")
    servers = set(re.findall(r"server ([a-z0-9-]+):3001", text))
    instances = {
        service["environment"]["INSTANCE"]
        for service in production["services"].values()
        if "INSTANCE" in service.get("environment", {})
    }
    expect(servers == instances, f"only in one of the two: {sorted(servers ^ instances)}")
    for name, service in production["services"].items():
        if name.split("-")[0] in {"accounts", "tasks", "history", "notifications", "gateway"}:
            resources = service["deploy"]["resources"]
            expect(resources.get("reservations"), f"{name} reserves nothing")
    return f"{len(instances)} replicas behind the edge"


def main():
    report = Report("The compose files, checked without an engine (make compose-check)", "compose-check.txt")
    with tempfile.TemporaryDirectory() as folder:
        compose = Compose(pathlib.Path(folder))
        report.say(f"docker compose {COMPOSE_VERSION}, check-jsonschema 0.39.0\n")
        if report.step("every set of profiles is valid", services_are_valid, compose) is None:
            report.finish()
        everything = compose.model(PROFILES)
        production = compose.model([], *PRODUCTION)
        report.step("the files follow the specification", files_follow_the_specification)
        report.step("ports are on loopback and do not collide", ports_do_not_collide, everything)
        report.step("production publishes the edge alone", production_publishes_the_edge_alone, production)
        report.step("images are pinned by version or digest", images_are_pinned, everything)
        report.step("everything has a health check", everything_has_a_health_check, everything)
        report.step("everything is bounded", everything_is_bounded, everything)
        report.step("everything is bounded in production, too", everything_is_bounded, production)
        report.step("Redis refuses writes before the kernel ends it", redis_refuses_before_it_is_killed, everything)
        report.step("passwords are in files", passwords_are_in_files, everything)
        report.step("production comes back with its machine", production_comes_back, production)
        for profiles in ([], ["observability", "elk", "tools"]):
            for name, files in (("", []), ("production, ", PRODUCTION)):
                told = f"{name}{'+'.join(profiles) or 'core'}"
                report.step(f"`up --wait` ends well ({told})", starting_ends_well, compose.model(profiles, *files))
        report.step("roles and sidecars write nothing and are not root", the_application_has_nothing_it_does_not_need, everything)
        for profiles in SETS:
            model = compose.model(profiles)
            report.step(f"waiting is for health or an end ({'+'.join(profiles) or 'core'})", waiting_has_a_condition, model)
        report.step("what is mounted exists", what_is_mounted_exists, everything)
        report.step("what keeps data has a volume", stateful_services_have_volumes, everything)
        report.step("every variable is in a template, and none is more", settings_are_all_documented)
        report.step("every setting of the application can be set", the_applications_settings_reach_it, everything)
        report.step("the edge knows the replicas of production", replicas_are_the_edges, production)
    report.finish()


if __name__ == "__main__":
    main()
