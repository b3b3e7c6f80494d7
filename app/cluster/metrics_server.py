"""Answers metrics.k8s.io with figures that a test feeds, in the place of metrics-server and running containers."""

import http.server
import json
import ssl
import threading
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

from plane import Plane

GROUP = "metrics.k8s.io"
VERSION = "v1beta1"


def parse_cpu(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


class MetricsServer:
    """Every container of a pod uses `load` times the processor that it asks for, by the pod's component."""

    def __init__(self, plane: Plane):
        self.plane = plane
        self.load: dict[str, float] = {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(plane.pki / "apiserver.crt", plane.pki / "apiserver.key")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def register(self) -> None:
        port = self.server.server_address[1]
        self.plane.apply([
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fed-metrics", "namespace": "kube-system"},
             "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}},
            {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{VERSION}.{GROUP}"},
             "spec": {"group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100,
                      "insecureSkipTLSVerify": True,
                      "service": {"name": "fed-metrics", "namespace": "kube-system", "port": port}}},
        ])  # fmt: skip

    def close(self) -> None:
        self.plane.kubectl("delete", "apiservice", f"{VERSION}.{GROUP}", "--ignore-not-found")
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str) -> dict:
        address = urlsplit(path)
        parts = address.path.strip("/").split("/")
        if parts == ["apis", GROUP, VERSION]:
            verbs = {"namespaced": True, "singularName": "", "kind": "PodMetrics", "verbs": ["get", "list"]}
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}",
                    "resources": [{"name": "pods", **verbs}]}  # fmt: skip
        selector = parse_qs(address.query).get("labelSelector", [""])[0]
        pods = self.plane.every("pods", parts[parts.index("namespaces") + 1], selector)
        return {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {},
                "items": [self.of(pod) for pod in pods if pod["status"].get("phase") == "Running"]}  # fmt: skip

    def of(self, pod: dict) -> dict:
        labels = pod["metadata"]["labels"]
        load = self.load.get(labels.get("app.kubernetes.io/component", ""), 0.2)
        usage = [
            {"name": each["name"], "usage": {
                "cpu": f"{parse_cpu(each['resources']['requests']['cpu']) * load * 1000:.0f}m", "memory": "32Mi"}}
            for each in pod["spec"]["containers"]
        ]  # fmt: skip
        name = {key: pod["metadata"][key] for key in ("name", "namespace")}
        moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"metadata": {**name, "labels": labels}, "timestamp": moment, "window": "15s", "containers": usage}


def handler(metrics: MetricsServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                body, status = json.dumps(metrics.answer(self.path)).encode(), 200
            except Exception as problem:  # noqa: BLE001  The API server shall hear of it, whatever it is.
                body, status = json.dumps({"error": str(problem)}).encode(), 500
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
