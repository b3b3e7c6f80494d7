#!/usr/bin/env python3
"""Real log lines of a real stack in a real store, found again by what they say.

The lines lie in files as Docker writes them. A real Filebeat reads them by our filebeat.yml, which here writes into a file
what Logstash would get. Logstash is not run: its condition is read out of its file, and `handed_over` adds what it would
add. OpenSearch stands in for Elasticsearch: it reads our pipeline and our template, after the few changes that
`for_opensearch` makes.
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import tools

sys.path.insert(0, str(tools.python_packages()))

import yaml  # noqa: E402

import check  # noqa: E402
from logs import ELK  # noqa: E402
from real import LEDGER, Failure, Report, Stack, fetch, free_port, say, wait_for  # noqa: E402

STREAM = "logs-tidemark-default"
LEVELS = {"debug", "info", "warning", "error", "fatal"}
# A container that runs beside Tidemark's.
FOREIGN = "foreign"
# What no program of ours writes today, and one of others may write tomorrow.
ODD = [
    "words without any order",
    "[1, 2]",
    '{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","message":"cut in the mid',
    '{"timestamp":"yesterday","level":"INFO","message":"odd: a time that is none"}',
    '{"level":{"deep":1},"message":"odd: a level that is an object"}',
    '{"level":30,"message":"odd: a level that is a number"}',
    '{"message":{"deep":"odd: a message that is an object"}}',
    '{"upstream":"127.0.0.1:1","status":"none","message":"odd: a status that is a word"}',
    '{"upstream":"127.0.0.1:1","message":"odd: an edge without a status"}',
    '{"upstream":"127.0.0.1:1","status":200,"client":"unix:","method":"GET","message":"odd: a client without an address"}',
    '{"upstream":"127.0.0.1:1","status":99999,"bytes":"many","message":"odd: numbers that do not fit"}',
    '{"upstream":"127.0.0.1:1","status":200,"path":["/"],"request_id":{},"message":"odd: a path that is a list"}',
    '{"span":{"http.route":{"deep":1},"trace.id":7,"request.id":[]},"target":"tidemark::odd","message":"odd: a span of other types"}',
    '{"app_id":["a"],"ver":{"deep":1},"instance":{},"scope":{},"target":[],"message":"odd: names that are none"}',
    '{"target":"tidemark::odd","scope":"dapr.odd","level":"INFO","message":"odd: two loggers"}',
    '{"":"nothing","a..b":1," ":2,".":3,"message":"odd: labels without names"}',
    '{"number":123456789012345678901234567890,"message":"odd: a number beyond all"}',
]


def ask(url: str, body: object = None, method: str | None = None) -> dict:
    """Lines of a bulk come as text, everything else becomes JSON."""
    data = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        raise Failure(f"{method or ''} {url}: {refusal.code} {refusal.read().decode()[:600]}") from refusal


def for_opensearch(pipeline: dict, template: dict) -> list[str]:
    """Takes out what Elasticsearch alone has, and tells."""
    del template["template"]["settings"]["index.lifecycle.name"]
    copies = 0
    for index, step in enumerate(pipeline["processors"]):
        if "copy_from" in step.get("set", {}):
            settings = step["set"]
            source, target = settings.pop("copy_from"), settings.pop("field")
            pipeline["processors"][index] = {"copy": {"source_field": source, "target_field": target, "override_target": True, **settings}}
            copies += 1
    return [
        "OpenSearch has no life cycles: lifecycle.json is not read, template.json does not name it",
        f"OpenSearch's set has no copy_from: {copies} steps of pipeline.json are its copy instead",
    ]


@contextmanager
def store(folder: Path):
    """OpenSearch. Yields its address."""
    port = free_port()
    node = Path(__file__).parent / "opensearch" / "Node.java"
    with (folder / "opensearch.log").open("w") as log:
        child = subprocess.Popen(
            [tools.java(), "-Xmx512m", "-cp", f"{tools.opensearch()}/*", str(node), str(folder / "data"), str(port)],
            stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
    try:
        wait_for("OpenSearch answers", lambda: fetch(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


def probe_patterns() -> list[re.Pattern]:
    """What a line must match for Logstash to drop it."""
    condition = re.search(r"if (.+) \{\s*drop", (ELK / "logstash" / "tidemark.conf").read_text())[1]
    return [re.compile(pattern.replace('\\"', '"').replace("\\/", "/")) for pattern in re.findall(r'=~ "((?:[^"\\]|\\.)+)"', condition)]


class Shipper:
    """Filebeat, with our file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.containers, self.output = folder, folder / "containers", folder / "output"
        text = (ELK / "filebeat.yml").read_text().replace("/var/lib/docker/containers", str(self.containers))
        configuration = yaml.safe_load(text)
        del configuration["output.logstash"]
        configuration |= {"output.file": {"path": str(self.output), "filename": "documents", "rotate_every_kb": 1 << 20}, "path.home": str(folder)}
        self.file = folder / "filebeat.yml"
        self.file.write_text(yaml.safe_dump(configuration))

    def understands(self) -> list[str]:
        """Whether Filebeat takes the file as it stands in the repository."""
        done = subprocess.run([tools.filebeat(), "test", "config", "--strict.perms=false", "-c", str(ELK / "filebeat.yml"), "--path.home", str(self.folder)],
                              capture_output=True, text=True, check=False)  # fmt: skip
        return [] if done.returncode == 0 else [done.stdout + done.stderr]

    def write(self, part: str, lines: list[str], tag: str = "tidemark/tidemark-{part}-1") -> None:
        """As Docker does, with the tag of docker-compose.yml's logging options."""
        folder = self.containers / part
        folder.mkdir(parents=True)
        now = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        text = "".join(json.dumps({"log": f"{line}\n", "stream": "stderr", "attrs": {"tag": tag.format(part=part)}, "time": now}) + "\n" for line in lines)
        (folder / f"{part}-json.log").write_text(text)

    def read(self) -> list[dict]:
        """What Filebeat makes of all that was written, once it makes nothing more."""
        with (self.folder / "filebeat.log").open("w") as log:
            child = subprocess.Popen([tools.filebeat(), "--strict.perms=false", "-c", str(self.file), "-e"], stdout=log, stderr=log, cwd=self.folder)
        try:
            size, since, end = -1, time.monotonic(), time.monotonic() + 180
            # It looks for files every ten seconds.
            while time.monotonic() - since < 12:
                found = sum(file.stat().st_size for file in self.output.glob("documents*"))
                if found != size:
                    size, since = found, time.monotonic()
                if time.monotonic() > end:
                    raise Failure("Filebeat does not come to an end")
                time.sleep(0.5)
        finally:
            child.terminate()
            child.wait(30)
        return [json.loads(line) for file in sorted(self.output.glob("documents*")) for line in file.read_text().splitlines()]


def handed_over(document: dict) -> dict:
    """What Logstash makes of what Filebeat brings, if it does not drop it."""
    return {name: value for name, value in document.items() if name != "@metadata"} | {
        "@version": "1",
        "event": {"original": document["message"]},
        "tags": ["beats_input_codec_plain_applied"],
        "data_stream": {"type": "logs", "dataset": "tidemark", "namespace": "default"},
    }


def carry(address: str, documents: list[dict]) -> list[str]:
    """Hands what Filebeat brought to the store. Returns what was refused."""
    refused = []
    for start in range(0, len(documents), 1000):
        chunk = documents[start : start + 1000]
        text = "".join(f'{{"create":{{}}}}\n{json.dumps(handed_over(document))}\n' for document in chunk)
        answer = ask(f"{address}/{STREAM}/_bulk?pipeline=tidemark-logs&refresh=true", text)
        for item, document in zip(answer["items"], chunk, strict=True):
            if "error" in item["create"]:
                fault = item["create"]["error"]
                refused.append(f"{document['container']['id']}: {document['message'][:150]}: {fault.get('reason')} {fault.get('caused_by', {}).get('reason', '')}")
    return refused


class Search:
    def __init__(self, address: str) -> None:
        self.address = address

    def find(self, *filters: dict, size: int = 100) -> list[dict]:
        found = ask(f"{self.address}/{STREAM}/_search", {"size": size, "query": {"bool": {"filter": list(filters)}}})
        return [hit["_source"] for hit in found["hits"]["hits"]]

    def count(self, *filters: dict) -> int:
        return ask(f"{self.address}/{STREAM}/_count", {"query": {"bool": {"filter": list(filters)}}})["count"]

    def values(self, field: str, *filters: dict) -> dict[str, int]:
        body = {"size": 0, "query": {"bool": {"filter": list(filters)}}, "aggs": {"values": {"terms": {"field": field, "size": 100}}}}
        return {bucket["key"]: bucket["doc_count"] for bucket in ask(f"{self.address}/{STREAM}/_search", body)["aggregations"]["values"]["buckets"]}


def at(document: dict, path: str) -> object:
    for name in path.split("."):
        document = document.get(name, {}) if isinstance(document, dict) else {}
    return document or None


def prepared(address: str, report: Report) -> list[str]:
    pipeline, template = (json.loads((ELK / "elasticsearch" / f"{name}.json").read_text()) for name in ("pipeline", "template"))
    differences = for_opensearch(pipeline, template)
    ask(f"{address}/_ingest/pipeline/tidemark-logs", pipeline, "PUT")
    ask(f"{address}/_index_template/tidemark-logs", template, "PUT")
    ask(f"{address}/_data_stream/{STREAM}", method="PUT")
    report.step(f"OpenSearch takes the pipeline ({len(pipeline['processors'])} steps), the template and the data stream", [])
    return differences


def odd_lines_stay(address: str, documents: list[dict], report: Report) -> None:
    refused = carry(address, [one for one in documents if one["container"]["id"] == "odd"])
    search = Search(address)
    kept = {str(at(one, "event.original")).rstrip() for one in search.find({"term": {"container.id": "odd"}})}
    wrong = [f"refused: {line}" for line in refused] + [f"changed: {line}" for line in ODD if line not in kept and not refused]
    report.step(f"{len(ODD)} odd lines are kept, each as it was", wrong)


def seen_by_users(stack: Stack) -> tuple[str, str]:
    """Traffic that leaves a mark in the logs. Returns the id and the trace of a request that failed."""
    request_id, trace = f"watched-{time.time_ns()}", f"{time.time_ns():032x}"
    login = json.loads(fetch(f"{stack.url}/api/auth/login", {"username": "Avinash", "password": "Avinash123"}))
    token = login["data"]["token"]
    group = json.loads(fetch(f"{stack.url}/api/groups", {"name": f"Kept {time.time_ns()}"}, token))
    group_id = re.search(r'"(?:_id|id)":\s*"([^"]+)"', json.dumps(group))[1]
    for number in range(5):
        fetch(f"{stack.url}/api/groups/{group_id}/tasks", {"name": f"Task {number}"}, token)
    wait_for("the log shows the last task", lambda: "Task 4" in fetch(f"{stack.url}/api/logs/group/{group_id}", None, token), 60)
    for path in ("/health/live", "/health/ready", "/edge/health"):
        fetch(f"{stack.url}{path}")

    def fails(**headers: str) -> bool:
        names = {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            urllib.request.urlopen(urllib.request.Request(f"{stack.url}/api/logs/group/{group_id}", headers=names), timeout=20)
            return False
        except urllib.error.HTTPError as refusal:
            return refusal.code == 503

    with stack.held():
        stack.kill("postgres")
        # Its processes outlive the first of them for a moment.
        wait_for("the log is without its database", fails)
        if not fails(X_Request_Id=request_id, traceparent=f"00-{trace}-00000000000000aa-00"):
            raise Failure("the log answers without its database")
    wait_for("the log answers again", lambda: fetch(f"{stack.url}/api/logs/group/{group_id}", None, token))

    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=f"127.0.0.1:{stack.ports['kafka']}")
    producer.send(LEDGER, b"no event at all").get(timeout=20)
    producer.close()
    history = stack.state / "logs" / "history.log"
    wait_for("the history tells of the dead letter", lambda: "dead-letter topic" in history.read_text(), 60)
    return request_id, trace


def found_again(search: Search, request_id: str, trace: str, report: Report) -> None:
    lines = search.find({"term": {"request.id": request_id}})
    edge = next((one for one in lines if at(one, "service.name") == "edge"), {})
    program = next((one for one in lines if at(one, "service.name") == "tidemark"), {})
    wanted = [
        (edge, "http.status", 503), (edge, "log.level", "error"), (edge, "http.method", "GET"), (edge, "client.ip", "127.0.0.1"),
        (program, "log.level", "warning"), (program, "trace.id", trace), (program, "http.method", "GET"), (program, "http.route", "/api/logs/group/{id}"),
    ]  # fmt: skip
    wrong = [f"{name} is {at(line, name)!r}, not {value!r}" for line, name, value in wanted if at(line, name) != value]
    report.step(f"by its request id, a failed request is found at the edge and in the program ({len(lines)} lines)", wrong)
    for line in (edge, program):
        fields = {name: at(line, name) for name in ("service.name", "log.level", "http.method", "http.route", "http.path", "http.status", "trace.id", "request.id", "message", "error.message")}
        say("         | " + "  ".join(f"{name}={value}" for name, value in fields.items() if value is not None))
    of_trace = search.find({"term": {"trace.id": trace}})
    report.step(f"by its trace id too ({len(of_trace)} lines)", [] if any(at(one, "request.id") == request_id for one in of_trace) else ["it is not there"])
    failed = search.count({"term": {"service.name": "edge"}}, {"range": {"http.status": {"gte": 500}}})
    report.step(f"statuses are numbers: {failed} answers from 500 on", [] if failed else ["the failed request is not among them"])
    own = at(program, "event.original")
    written = json.loads(own)["timestamp"] if own else None
    same = written and datetime.fromisoformat(written.replace("Z", "+00:00")) - datetime.fromisoformat(str(program["@timestamp"]).replace("Z", "+00:00"))
    report.step("a line has the time at which it was written", [] if written and abs(same.total_seconds()) < 0.001 else [f"{written} became {program.get('@timestamp')}"])


def sorted_by_fields(search: Search, report: Report) -> None:
    real = {"bool": {"must_not": {"term": {"container.id": "odd"}}}}
    services, levels = search.values("service.name", real), search.values("log.level", real)
    report.step(f"services: {', '.join(f'{name} {count}' for name, count in services.items())}", [f"none of {name}" for name in ("tidemark", "daprd", "edge") if name not in services])
    report.step(f"levels: {', '.join(f'{name} {count}' for name, count in levels.items())}", [f"{name} is none" for name in levels if name not in LEVELS])
    failed = search.find(real, {"match_phrase": {"error.message": "the pipeline tidemark-logs failed"}})
    report.step("the pipeline fails for no line that our parts write", [at(one, "message") for one in failed][:5])
    letters = search.find({"match_phrase": {"message": "event went to the dead-letter topic"}})
    report.step(f"a dead letter is found with its reason: {at(letters[0], 'labels.reason') if letters else ''}", [] if letters and at(letters[0], "labels.reason") else ["it is not"])


def kibana_can_show(address: str, report: Report) -> None:
    """What Kibana's charts sum up can be summed up."""
    wrong, charts = [], 0
    for entry in map(json.loads, (ELK / "kibana" / "tidemark.ndjson").read_text().splitlines()):
        if "visState" not in entry["attributes"]:
            continue
        charts += 1
        for part in json.loads(entry["attributes"]["visState"])["aggs"]:
            field = part["params"].get("field")
            if not field:
                continue
            settings = {"field": field, **({"fixed_interval": "1h"} if part["type"] == "date_histogram" else {})}
            answer = ask(f"{address}/{STREAM}/_search", {"size": 0, "aggs": {"it": {part["type"]: settings}}})["aggregations"]["it"]
            values = answer.get("buckets") or [value for value in answer.get("values", {}).values() if value not in (None, "NaN")]
            if not values:
                wrong.append(f"{entry['id']}: {part['type']} of {field} is empty")
    report.step(f"every field that {charts} charts of Kibana sum up has something to sum up", wrong)


def logstash_drops(documents: list[dict], report: Report) -> list[dict]:
    """What Logstash's condition, read out of its file, leaves. Only healthy probes may go."""
    patterns = probe_patterns()

    def drops(line: str) -> bool:
        return all(pattern.search(line) for pattern in patterns)

    gone = [one["message"] for one in documents if drops(one["message"])]
    wrong = [f"dropped: {line[:200]}" for line in gone if not (json.loads(line)["status"] == 200 and "health" in json.loads(line)["path"])]
    if not gone:
        wrong.append("no probe was among the lines")
    elif drops(gone[0].replace('"status":200', '"status":503')):
        wrong.append("a probe that failed is dropped too")
    report.step(f"Logstash's condition drops {len(gone)} of {len(documents)} lines, all of them healthy probes", wrong)
    return [one for one in documents if not drops(one["message"])]


def filebeat_reads(shipper: Shipper, lines: dict[str, list[str]], report: Report) -> list[dict]:
    documents = shipper.read()
    brought: dict[str, str] = {}
    named: dict[str, str] = {}
    for one in documents:
        part = at(one, "container.id")
        brought[part] = brought.get(part, "") + one["message"]
        named[part] = at(one, "container.name")
    if FOREIGN in named:
        raise Failure("Filebeat brings the lines of a container that is not Tidemark's")
    # Where lines were joined, the ends of lines are doubled.
    wrong = [f"of {part} something is missing" for part, own in lines.items() if re.sub(r"\n+", "", brought.get(part, "")) != "".join(own)]
    wrong += [f"a container of {part} is called {name}" for part, name in named.items() if name != f"tidemark-{part}-1"]
    joined = sum("multiline" in (at(one, "log.flags") or []) for one in documents)
    count = sum(len(own) for own in lines.values())
    report.step(f"Filebeat brings {count} lines of {len(lines)} containers as {len(documents)}, {joined} of them joined, none lost", wrong)
    return documents


def examine(stack: Stack, address: str, shipper: Shipper, report: Report) -> None:
    request_id, trace = seen_by_users(stack)
    lines = {file.stem: [line for line in file.read_text(errors="replace").splitlines() if line] for file in sorted((stack.state / "logs").glob("*.log"))}
    lines = {"odd": ODD} | {part: own for part, own in lines.items() if own}
    for part, own in lines.items():
        shipper.write(part, own)
    shipper.write(FOREIGN, ["a line of somebody else's"], tag="{part}")
    documents = filebeat_reads(shipper, lines, report)
    odd_lines_stay(address, documents, report)
    left = logstash_drops([one for one in documents if one["container"]["id"] != "odd"], report)
    refused = carry(address, left)
    search = Search(address)
    kept = search.count({"bool": {"must_not": {"term": {"container.id": "odd"}}}})
    report.step(f"{kept} lines of {len(lines) - 1} parts are kept", refused[:5] or ([] if kept == len(left) else [f"{len(left)} were handed over"]))
    found_again(search, request_id, trace, report)
    sorted_by_fields(search, report)
    kibana_can_show(address, report)
    hidden = {name: value for name, value in stack.secrets.items() if isinstance(value, str)} | {"the password": "Avinash123"}
    wrong = [f"{name} is in {part}.log" for name, value in hidden.items() for part, own in lines.items() if any(value in line for line in own)]
    report.step(f"none of {len(hidden)} secrets is in a line", wrong)


def main() -> int:
    report, stack = Report(), Stack()
    with tempfile.TemporaryDirectory(prefix="tidemark-watch-") as name:
        folder = Path(name)
        differences: list[str] = []
        try:
            with store(folder) as address:
                differences = prepared(address, report)
                shipper = Shipper(folder)
                report.step("Filebeat takes filebeat.yml as it is", shipper.understands())
                with stack.running(free_port()):
                    examine(stack, address, shipper, report)
        except (Failure, KeyboardInterrupt) as fault:
            report.step(str(fault) or "interrupted", ["stopped here"])
            log = folder / "opensearch.log"
            say(f"  {' / '.join(log.read_text().splitlines()[-3:])[:900]}" if log.exists() else "")
        for line in differences:
            say(f"not as in production: {line}")
        say(f"not as in production: Filebeat is {tools.FILEBEAT}; the folder of its containers is another, and it writes into a file")
        say("not as in production: Logstash is not run; lines are dropped by the condition in its file")
    say(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
