"""Stands in for kafka_exporter, which no package of this machine has: the same metrics under the same names.

    kafka_exporter.py BROKER LISTEN     for example 127.0.0.1:9092 127.0.0.1:9308

Compose and the charts run the real one.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import tools

sys.path.insert(0, str(tools.python_packages()))

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition  # noqa: E402


class Broker:
    def __init__(self, address: str):
        self.address = address
        self.latest = ""
        self.consumer: KafkaConsumer | None = None
        self.admin: KafkaAdminClient | None = None

    def connect(self) -> None:
        if self.consumer is None:
            quick = {"bootstrap_servers": self.address, "request_timeout_ms": 4000}
            self.consumer = KafkaConsumer(**quick, bootstrap_timeout_ms=4000)
            self.admin = KafkaAdminClient(**quick, bootstrap_timeout_ms=4000)

    def disconnect(self) -> None:
        for client in (self.consumer, self.admin):
            if client is not None:
                client.close()
        self.consumer = self.admin = None

    def watch(self) -> None:
        """Keeps the latest answer, so that nobody who asks has to wait for the brokers."""
        while True:
            try:
                self.connect()
                self.latest = self.ask()
            except Exception as fault:  # noqa: BLE001: whatever a client that lost its broker may raise
                print(f"no answer from {self.address}: {fault!r}", file=sys.stderr, flush=True)
                self.latest = "# TYPE kafka_brokers gauge\nkafka_brokers 0\n"
                self.disconnect()
            time.sleep(2)

    def ask(self) -> str:
        lines = ["# TYPE kafka_brokers gauge"]
        described = self.admin.describe_cluster()
        lines.append(f"kafka_brokers {len(described['brokers'])}")
        topics = [topic for topic in self.admin.describe_topics() if topic["name"] != "__consumer_offsets"]
        partitions = {TopicPartition(topic["name"], one["partition_index"]): one for topic in topics for one in topic["partitions"]}
        newest, oldest = self.consumer.end_offsets(list(partitions)), self.consumer.beginning_offsets(list(partitions))
        gauges: dict[str, list[str]] = {}

        def gauge(name: str, value: float, **labels: object) -> None:
            text = ",".join(f'{label}="{content}"' for label, content in labels.items())
            gauges.setdefault(name, []).append(f"{name}{{{text}}} {value}")

        for topic in topics:
            gauge("kafka_topic_partitions", len(topic["partitions"]), topic=topic["name"])
        for (topic, number), one in partitions.items():
            place = {"partition": number, "topic": topic}
            gauge("kafka_topic_partition_current_offset", newest[TopicPartition(topic, number)], **place)
            gauge("kafka_topic_partition_oldest_offset", oldest[TopicPartition(topic, number)], **place)
            gauge("kafka_topic_partition_leader", one["leader_id"], **place)
            gauge("kafka_topic_partition_replicas", len(one["replica_nodes"]), **place)
            gauge("kafka_topic_partition_in_sync_replica", len(one["isr_nodes"]), **place)
            gauge("kafka_topic_partition_under_replicated_partition", int(len(one["isr_nodes"]) < len(one["replica_nodes"])), **place)
        for group in self.groups():
            committed = self.admin.list_group_offsets({group: None})[group]
            gauge("kafka_consumergroup_members", self.members(group), consumergroup=group)
            for partition, offset in committed.items():
                if partition in newest and offset.offset >= 0:
                    place = {"consumergroup": group, "partition": partition.partition, "topic": partition.topic}
                    gauge("kafka_consumergroup_current_offset", offset.offset, **place)
                    gauge("kafka_consumergroup_lag", max(newest[partition] - offset.offset, 0), **place)
        for name, samples in gauges.items():
            lines += [f"# TYPE {name} gauge", *samples]
        return "\n".join(lines) + "\n"

    def groups(self) -> list[str]:
        return [group["group_id"] for group in self.admin.list_groups()]

    def members(self, group: str) -> int:
        return len(self.admin.describe_groups([group])[group]["members"])


def serve(broker: Broker, listen: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802: the library's name
            body = broker.latest.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    Thread(target=broker.watch, daemon=True).start()
    host, port = listen.rsplit(":", 1)
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    serve(Broker(sys.argv[1]), sys.argv[2])
