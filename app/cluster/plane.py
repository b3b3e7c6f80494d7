"""A Kubernetes control plane on loopback: etcd, API server, controllers, scheduler, and nodes by kwok.

It judges and keeps objects exactly as a cluster does. It runs no containers: kwok reports pods as running, so
images, probes, volumes and network policies are not put to work by it.
"""

import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from ssl import create_default_context

import tools
from processes import Processes, wait_for

HERE = Path(__file__).resolve().parent
STATE = Path(os.environ.get("TIDEMARK_CACHE_DIR", Path.home() / ".cache" / "tidemark")) / "cluster"
NODES = 3
ZONES = "abc"


class CommandFailed(Exception):
    """A command ended with an error; the message is what it said."""


def free_ports(count: int) -> list[int]:
    # All are held until all are known, so that none is handed out twice.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def command(*words: str | Path, stdin: str | None = None, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words], input=stdin, env={**os.environ, **(environment or {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise CommandFailed((done.stderr or done.stdout).strip())
    return done.stdout


class Plane:
    """One control plane with a folder of its own."""

    def __init__(self, folder: Path, detached: bool = False):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.processes = Processes(folder, detached)
        self.pki = folder / "pki"
        self.kubeconfig = self.pki / "admin.kubeconfig"
        self.addresses = folder / "ports.json"

    @property
    def ports(self) -> dict[str, int]:
        if not self.addresses.exists():
            names = ["api", "etcd", "etcd-peer", "controllers", "scheduler", "kwok"]
            self.addresses.write_text(json.dumps(dict(zip(names, free_ports(len(names)), strict=True))))
        return json.loads(self.addresses.read_text())

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.ports['api']}"

    def make_pki(self) -> None:
        """A certificate authority for this one cluster, made anew with it."""
        if self.kubeconfig.exists():
            return
        self.pki.mkdir(mode=0o700, exist_ok=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                "-subj", "/CN=tidemark-cluster-test", "-keyout", self.pki / "ca.key", "-out", self.pki / "ca.crt")  # fmt: skip
        names = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1"
        self.certify("apiserver", "/CN=kube-apiserver", names)
        self.certify("kubelet", "/O=system:masters/CN=kubelet-client")
        self.certify("aggregator", "/CN=aggregator")
        openssl("genrsa", "-out", self.pki / "accounts.key", "2048")
        openssl("rsa", "-in", self.pki / "accounts.key", "-pubout", "-out", self.pki / "accounts.pub")
        self.account("kube-controller-manager", "/CN=system:kube-controller-manager")
        self.account("kube-scheduler", "/CN=system:kube-scheduler")
        self.account("admin", "/O=system:masters/CN=admin")

    def certify(self, name: str, subject: str, alternatives: str = "") -> None:
        extensions = self.pki / f"{name}.ext"
        lines = ["keyUsage=digitalSignature,keyEncipherment", "extendedKeyUsage=serverAuth,clientAuth"]
        lines += [f"subjectAltName={alternatives}"] if alternatives else []
        extensions.write_text("\n".join(lines))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
                "-keyout", self.pki / f"{name}.key", "-out", self.pki / f"{name}.csr")  # fmt: skip
        openssl("x509", "-req", "-in", self.pki / f"{name}.csr", "-CA", self.pki / "ca.crt", "-CAkey",
                self.pki / "ca.key", "-CAcreateserial", "-days", "30", "-extfile", extensions,
                "-out", self.pki / f"{name}.crt")  # fmt: skip

    def account(self, name: str, subject: str) -> None:
        self.certify(name, subject)
        self.write_kubeconfig(self.pki / f"{name}.kubeconfig", self.user(name))

    def user(self, name: str) -> dict[str, str]:
        return {"client-certificate": str(self.pki / f"{name}.crt"), "client-key": str(self.pki / f"{name}.key")}

    def write_kubeconfig(self, path: Path, user: dict[str, str], namespace: str = "default") -> None:
        cluster = {"server": self.server, "certificate-authority": str(self.pki / "ca.crt")}
        path.write_text(
            json.dumps({
                "apiVersion": "v1", "kind": "Config", "current-context": "tidemark",
                "clusters": [{"name": "tidemark", "cluster": cluster}],
                "users": [{"name": "tidemark", "user": user}],
                "contexts": [{"name": "tidemark", "context": {"cluster": "tidemark", "user": "tidemark", "namespace": namespace}}],
            })
        )  # fmt: skip
        path.chmod(0o600)

    def up(self) -> None:
        (self.folder / "home").mkdir(exist_ok=True)
        self.make_pki()
        port, pki = self.ports, self.pki
        client, peer = f"http://127.0.0.1:{port['etcd']}", f"http://127.0.0.1:{port['etcd-peer']}"
        self.processes.start(
            "etcd", tools.program("etcd"), "--name=tidemark", f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=tidemark={peer}",
            # Its data is of no use after a fall of the machine.
            "--unsafe-no-fsync", "--log-level=warn",
        )  # fmt: skip
        self.processes.start(
            "kube-apiserver", tools.program("kube-apiserver"), f"--etcd-servers={client}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={port['api']}", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={pki / 'apiserver.crt'}", f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}", f"--service-account-key-file={pki / 'accounts.pub'}",
            f"--service-account-signing-key-file={pki / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            # Dapr's sentry accepts tokens for its own audience only.
            "--api-audiences=https://kubernetes.default.svc,dapr.io/sentry",
            "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
            f"--kubelet-client-certificate={pki / 'kubelet.crt'}", f"--kubelet-client-key={pki / 'kubelet.key'}",
            # For metrics.k8s.io, which an extension server answers.
            f"--proxy-client-cert-file={pki / 'aggregator.crt'}", f"--proxy-client-key-file={pki / 'aggregator.key'}",
            f"--requestheader-client-ca-file={pki / 'ca.crt'}", "--requestheader-allowed-names=aggregator",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        )  # fmt: skip
        wait_for("the API server is ready", 120, self.ready)
        manager = pki / "kube-controller-manager.kubeconfig"
        self.processes.start(
            "kube-controller-manager", tools.program("kube-controller-manager"), f"--kubeconfig={manager}",
            f"--authentication-kubeconfig={manager}", f"--authorization-kubeconfig={manager}",
            f"--service-account-private-key-file={pki / 'accounts.key'}", f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}", f"--cluster-signing-key-file={pki / 'ca.key'}",
            "--use-service-account-credentials", "--bind-address=127.0.0.1", f"--secure-port={port['controllers']}",
            "--leader-elect=false", "--controllers=*",
            # On a machine that is busy with other things, kwok may be late; that is no loss of a node.
            "--node-monitor-grace-period=15m",
        )  # fmt: skip
        scheduler = pki / "kube-scheduler.kubeconfig"
        self.processes.start(
            "kube-scheduler", tools.program("kube-scheduler"), f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}", f"--authorization-kubeconfig={scheduler}",
            "--bind-address=127.0.0.1", f"--secure-port={port['scheduler']}", "--leader-elect=false",
        )  # fmt: skip
        self.processes.start(
            "kwok", tools.program("kwok"), f"--kubeconfig={self.kubeconfig}", "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", f"--config={HERE / 'stages.yaml'}",
            f"--server-address=127.0.0.1:{port['kwok']}", "--node-ip=127.0.0.1",
        )  # fmt: skip
        for number in range(NODES):
            self.apply([node(number)])
        wait_for("every node is ready", 60, lambda: len(self.ready_nodes()) == NODES)
        wait_for("pods may be made in the default namespace", 60, lambda: self.get("serviceaccount", "default"))

    def ready(self) -> bool:
        context = create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        if not self.processes.runs("kube-apiserver"):
            raise SystemExit(f"the API server has ended:\n{self.processes.tail('kube-apiserver')}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(f"{self.server}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def ready_nodes(self) -> list[str]:
        return [
            each["metadata"]["name"]
            for each in self.every("nodes")
            if any(c["type"] == "Ready" and c["status"] == "True" for c in each.get("status", {}).get("conditions", []))
        ]

    def down(self) -> None:
        self.processes.stop_all()

    def remove(self) -> None:
        self.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        # Helm's own folders stay inside ours; a proxy has no business with loopback.
        return {
            "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder / "home"), "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost", "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
        }  # fmt: skip

    def version(self) -> str:
        return tools.KUBERNETES

    def kubectl(self, *words: str | Path, stdin: str | None = None) -> str:
        return command(tools.program("kubectl"), *words, stdin=stdin, environment=self.environment)

    def helm(self, *words: str | Path, stdin: str | None = None) -> str:
        return command(tools.helm(), *words, stdin=stdin, environment=self.environment)

    def every(self, kind: str, namespace: str = "", selector: str = "") -> list[dict]:
        scope = ["-n", namespace] if namespace else ["-A"]
        chosen = ["-l", selector] if selector else []
        return json.loads(self.kubectl("get", kind, *scope, *chosen, "-o", "json"))["items"]

    def get(self, kind: str, name: str, namespace: str = "default") -> dict:
        return json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))

    def apply(self, objects: list[dict], *flags: str) -> str:
        documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        return self.kubectl("apply", "-f", "-", *flags, stdin=documents)

    def namespace(self, name: str, **labels: str) -> None:
        self.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])
        # A pod is refused until its namespace has the account that it runs under.
        wait_for(f"{name} has its account", 30, lambda: self.get("serviceaccount", "default", name))


def openssl(*words: str | Path) -> None:
    command("openssl", *words)


def node(number: int) -> dict:
    name = f"node-{number}"
    room = {"cpu": "64", "memory": "256Gi", "pods": "250", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name, "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": ZONES[number % len(ZONES)], "topology.kubernetes.io/region": "here",
            },
        },
        "status": {"allocatable": room, "capacity": room},
    }  # fmt: skip
