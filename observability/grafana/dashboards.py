#!/usr/bin/env python3
"""Writes the dashboards: grafana/dashboards/*.json.

A dashboard is a list of rows, a row a list of panels, a panel a line or two here and two hundred lines of JSON.
`make observability-dashboards` writes them anew; `make observability-check` fails when they differ.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
RUNBOOKS = "https://github.com/tidemark/tidemark/blob/main/docs/runbooks"
API = 'route!~"/health.*|/api/health|/metrics"'
NAMESPACE = 'namespace=~"$namespace"'
ROLE = f'{NAMESPACE}, role=~"$role"'


@dataclass
class Panel:
    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    description: str = ""
    # Value and colour from there on; the first without a value.
    thresholds: list[tuple[float | None, str]] = field(default_factory=lambda: [(None, "green")])
    stacked: bool = False
    exemplars: bool = False
    minimum: float | None = 0
    maximum: float | None = None
    decimals: int | None = None
    links: list[tuple[str, str]] = field(default_factory=list)

    def json(self, number: int, x: int, y: int) -> dict:
        lines = self.kind == "timeseries"
        targets = [
            {
                "datasource": DATASOURCE,
                "expr": query,
                "legendFormat": legend,
                "refId": chr(ord("A") + index),
                "range": lines,
                "instant": not lines,
                "exemplar": self.exemplars,
                "format": "table" if self.kind == "table" else "time_series",
            }
            for index, (legend, query) in enumerate(self.queries.items())
        ]
        defaults: dict = {
            "unit": self.unit,
            "thresholds": {
                "mode": "absolute",
                "steps": [{"value": value, "color": colour} for value, colour in self.thresholds],
            },
        }
        for name, value in (("min", self.minimum), ("max", self.maximum), ("decimals", self.decimals)):
            if value is not None:
                defaults[name] = value
        options: dict
        if lines:
            defaults["custom"] = {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 30 if self.stacked else 8,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if len(self.thresholds) > 1 else "off"},
            }
            options = {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        elif self.kind == "stat":
            options = {
                "colorMode": "value",
                "graphMode": "none",
                "justifyMode": "auto",
                "textMode": "auto",
                "orientation": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            }
        elif self.kind == "bargauge":
            options = {
                "displayMode": "gradient",
                "orientation": "horizontal",
                "valueMode": "color",
                "showUnfilled": True,
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            }
        else:
            options = {"showHeader": True, "cellHeight": "sm"}
        panel = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": targets,
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options,
        }
        if self.description:
            panel["description"] = self.description
        if self.links:
            panel["links"] = [{"title": title, "url": url, "targetBlank": True} for title, url in self.links]
        if self.kind == "table":
            panel["transformations"] = [
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {"excludeByName": {"Time": True}}},
            ]
        return panel


def stat(title: str, query: str, **more) -> Panel:
    return Panel(title, {"": query}, kind="stat", width=more.pop("width", 4), height=4, **more)


def variable(name: str, label: str, query: str) -> dict:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Also what has no such label: beside compose there is no namespace.
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def dashboard(uid: str, title: str, description: str, rows: dict[str, list[Panel]], variables: list[dict]) -> dict:
    panels, number, y = [], 1, 0
    for row, content in rows.items():
        panels.append({"id": number, "type": "row", "title": row, "collapsed": False, "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}, "panels": []})
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in content:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(panel.json(number, x, y))
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["tidemark"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"title": "Tidemark", "type": "dashboards", "tags": ["tidemark"], "asDropdown": True, "keepTime": True, "includeVars": True, "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""},
            {"title": "Runbooks", "type": "link", "url": RUNBOOKS, "targetBlank": True, "asDropdown": False, "keepTime": False, "includeVars": False, "tags": [], "icon": "doc", "tooltip": "What to do when an alert fires"},
        ],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {"text": "Prometheus", "value": "prometheus"}},
                *variables,
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Versions",
                    "enable": True,
                    "iconColor": "blue",
                    "datasource": DATASOURCE,
                    "expr": "count by (version) (tidemark_build_info) unless count by (version) (tidemark_build_info offset 1m)",
                    "titleFormat": "version {{version}} appeared",
                },
                {
                    "name": "Critical alerts",
                    "enable": True,
                    "iconColor": "red",
                    "datasource": DATASOURCE,
                    "expr": 'ALERTS{alertstate="firing", severity="critical"}',
                    "titleFormat": "{{alertname}} {{role}}",
                },
            ]
        },
        "panels": panels,
    }


NAMESPACES = variable("namespace", "Namespace", "label_values(up, namespace)")
ROLES = variable("role", "Role", 'label_values(up{job="todo-backend"}, role)')
GOOD_BELOW = lambda limit: [(None, "green"), (limit, "red")]  # noqa: E731
GOOD_ABOVE = lambda limit: [(None, "red"), (limit, "green")]  # noqa: E731


def backend() -> dict:
    rows = {
        "Service levels": [
            stat("Answered without error, 6 h", f"1 - min(namespace:slo_availability_missed:ratio_rate6h{{{NAMESPACE}}})", unit="percentunit", decimals=3, thresholds=GOOD_ABOVE(0.999), minimum=None, maximum=1, description="Promised: 99.9 % over 30 days."),
            stat("Answered within 0.5 s, 6 h", f"1 - max(namespace:slo_latency_missed:ratio_rate6h{{{NAMESPACE}}})", unit="percentunit", decimals=2, thresholds=GOOD_ABOVE(0.99), minimum=None, maximum=1, description="Promised: 99 % over 30 days."),
            Panel("How fast the availability budget burns", {
                "5 min": f"max(namespace:slo_availability_missed:ratio_rate5m{{{NAMESPACE}}}) / 0.001",
                "1 h": f"max(namespace:slo_availability_missed:ratio_rate1h{{{NAMESPACE}}}) / 0.001",
                "6 h": f"max(namespace:slo_availability_missed:ratio_rate6h{{{NAMESPACE}}}) / 0.001",
            }, width=8, height=8, thresholds=[(None, "green"), (1, "orange"), (14.4, "red")], description="1: the budget lasts exactly 30 days. 14.4 over an hour wakes somebody.", links=[("What to do", f"{RUNBOOKS}/AvailabilityBudgetBurns.md")]),
            Panel("How fast the latency budget burns", {
                "5 min": f"max(namespace:slo_latency_missed:ratio_rate5m{{{NAMESPACE}}}) / 0.01",
                "1 h": f"max(namespace:slo_latency_missed:ratio_rate1h{{{NAMESPACE}}}) / 0.01",
                "6 h": f"max(namespace:slo_latency_missed:ratio_rate6h{{{NAMESPACE}}}) / 0.01",
            }, width=8, height=8, thresholds=[(None, "green"), (1, "orange"), (14.4, "red")], links=[("What to do", f"{RUNBOOKS}/LatencyBudgetBurns.md")]),
        ],
        "Requests": [
            Panel("Requests a second", {"{{role}}": f"role:http_requests:rate5m{{{ROLE}}}"}, unit="reqps", stacked=True),
            Panel("Failed requests (5xx) a second", {"{{role}}": f"role:http_requests_failed:rate5m{{{ROLE}}}"}, unit="reqps", thresholds=GOOD_BELOW(0.1), links=[("What to do", f"{RUNBOOKS}/HighErrorRate.md")]),
            Panel("Requests in flight", {"{{role}} {{instance}}": f"http_requests_in_flight{{{ROLE}}}"}),
            Panel("Response time, 95th percentile", {"{{role}}": f"role:http_request_duration_seconds:p95_5m{{{ROLE}}}"}, unit="s", exemplars=True, links=[("What to do", f"{RUNBOOKS}/HighLatency.md")]),
            Panel("Response time, 99th percentile", {"{{role}}": f"role:http_request_duration_seconds:p99_5m{{{ROLE}}}"}, unit="s", exemplars=True),
            Panel("Answers by status, a second", {"{{status}}": f"sum by (status) (rate(http_requests_total{{{ROLE}, {API}}}[5m]))"}, unit="reqps", stacked=True),
            Panel("Routes: requests a second, 95th percentile", {
                "requests": f"sort_desc(route:http_requests:rate5m{{{NAMESPACE}}})",
                "p95": f"route:http_request_duration_seconds:p95_5m{{{NAMESPACE}}}",
            }, kind="table", width=24, height=8, unit="none", decimals=3),
        ],
        "What the processes use": [
            Panel("Processor, cores", {
                "{{role}} {{instance}}": f'rate(process_cpu_seconds_total{{job="todo-backend", {ROLE}}}[5m])',
                "sidecar {{role}}": f'rate(process_cpu_seconds_total{{job="dapr", {ROLE}}}[5m])',
            }),
            Panel("Memory", {
                "{{role}} {{instance}}": f'process_resident_memory_bytes{{job="todo-backend", {ROLE}}}',
                "sidecar {{role}}": f'process_resident_memory_bytes{{job="dapr", {ROLE}}}',
            }, unit="bytes"),
            Panel("Open files and connections", {"{{role}} {{instance}}": f'process_open_fds{{job="todo-backend", {ROLE}}}'}),
        ],
        "Pages": [
            Panel("Changes that shared a save", {
                "median": f"histogram_quantile(0.5, sum by (le) (rate(pages_commands_per_save_bucket{{{ROLE}}}[5m])))",
                "p95": f"histogram_quantile(0.95, sum by (le) (rate(pages_commands_per_save_bucket{{{ROLE}}}[5m])))",
            }, description="More callers of one page share one save: the page gets faster, not slower."),
            Panel("Saves a second", {"{{outcome}}": f"sum by (outcome) (rate(pages_saves_total{{{ROLE}}}[5m]))", "only to tidy": f"sum(rate(pages_tidy_saves_total{{{ROLE}}}[5m]))"}, unit="ops"),
            Panel("Size of saved pages", {"median": f"histogram_quantile(0.5, sum by (le) (rate(pages_saved_bytes_bucket{{{ROLE}}}[5m])))", "p99": f"histogram_quantile(0.99, sum by (le) (rate(pages_saved_bytes_bucket{{{ROLE}}}[5m])))"}, unit="bytes"),
            Panel("Readings a second", {"shared: {{shared}}": f"sum by (shared) (rate(pages_reads_total{{{ROLE}}}[5m]))"}, unit="ops", stacked=True),
            Panel("Keys read a second", {"{{role}}": f"sum by (role) (rate(state_keys_read_total{{{ROLE}}}[5m]))"}, unit="ops", stacked=True, description="What reading costs the state store: a board of 64 tasks is five keys."),
            Panel("Removed from the trash, a day", {"{{entity}}": f"sum by (entity) (increase(trash_purged_total{{{ROLE}}}[1d]))"}),
            Panel("Overtaken by another replica, a second", {"saved again": f"sum(rate(pages_conflicts_total{{{ROLE}}}[5m]))", "wrong guesses": f'sum(rate(pages_etag_guess_total{{{ROLE}, result="wrong"}}[5m]))'}, unit="ops"),
            Panel("Stored data that cannot be read, in an hour", {"{{role}} {{kind}}": f"sum by (role, kind) (increase(damaged_entries_total{{{ROLE}}}[1h]))", "{{role}} pages": f"sum by (role) (increase(pages_unreadable_total{{{ROLE}}}[1h]))"}, thresholds=GOOD_BELOW(1), links=[("What to do", f"{RUNBOOKS}/DataDamaged.md")]),
            Panel("Changes refused, a second", {"a page is overrun": f"sum(rate(pages_overloads_total{{{ROLE}}}[5m]))", "too many events wait": f"sum(rate(pages_backlogs_total{{{ROLE}}}[5m]))"}, unit="ops", thresholds=GOOD_BELOW(0.01), links=[("What to do", f"{RUNBOOKS}/ChangesRefused.md")]),
        ],
        "The sidecar": [
            Panel("Calls a second", {"{{operation}}": f"sum by (operation) (rate(sidecar_calls_total{{{ROLE}}}[5m]))"}, unit="ops", stacked=True),
            Panel("Calls that end otherwise, a second", {"{{operation}} {{code}}": f'sum by (operation, code) (rate(sidecar_calls_total{{{ROLE}, code!="Ok"}}[5m]))'}, unit="ops", links=[("What to do", f"{RUNBOOKS}/SidecarCallsFail.md")]),
            Panel("Time of a call, 99th percentile", {"{{role}} {{operation}}": f"operation:sidecar_call_duration_seconds:p99_5m{{{ROLE}}}"}, unit="s"),
            Panel("State store, as the sidecars see it: 95th percentile", {"{{operation}}": f"histogram_quantile(0.95, sum by (operation, le) (rate(dapr_component_state_latencies_bucket{{{ROLE}}}[5m])))"}, unit="ms"),
            Panel("Calls between roles a second", {"{{grpc_server_method}} {{grpc_server_status}}": f'sum by (grpc_server_method, grpc_server_status) (rate(dapr_grpc_io_server_completed_rpcs{{{ROLE}, grpc_server_method=~"/tidemark.+"}}[5m]))'}, unit="ops"),
            Panel("Components that did not load", {"{{role}}": f"sum by (role) (dapr_runtime_component_init_total{{{ROLE}}}) - sum by (role) (dapr_runtime_component_loaded{{{ROLE}}})"}, thresholds=GOOD_BELOW(1), minimum=None),
        ],
        "Edge and state store": [
            Panel("Connections at the edge", {"active": "nginx_connections_active", "waiting": "nginx_connections_waiting", "writing": "nginx_connections_writing"}),
            Panel("Connections of the state store (the sidecars' pools)", {"clients": "redis_connected_clients", "blocked": "redis_blocked_clients"}),
            Panel("State store: commands a second", {"commands": "rate(redis_commands_processed_total[5m])"}, unit="ops"),
            Panel("State store: memory", {"used": "redis_memory_used_bytes", "limit": "redis_memory_max_bytes > 0"}, unit="bytes"),
            Panel("Time for the edge to answer, from outside", {"{{instance}}": 'probe_duration_seconds{job="edge"}'}, unit="s"),
            Panel("Delivery queue: messages", {"ready": "sum(rabbitmq_queue_messages_ready)", "handed out": "sum(rabbitmq_queue_messages_unacked)"}),
        ],
    }
    return dashboard("tidemark-backend", "Backend", "What callers get, and where the time goes.", rows, [NAMESPACES, ROLES])


def kafka() -> dict:
    topic = f'{NAMESPACE}, topic=~"$topic"'
    rows = {
        "Now": [
            stat("Brokers", f"max(kafka_brokers{{{NAMESPACE}}})", thresholds=GOOD_ABOVE(1), links=[("What to do", f"{RUNBOOKS}/BrokerDown.md")]),
            stat("Largest lag", f"max(consumergroup:kafka_lag:sum{{{NAMESPACE}}})", thresholds=GOOD_BELOW(100), description="Healthy is below 100."),
            stat("Partitions that lack a copy", f"sum(kafka_topic_partition_under_replicated_partition{{{NAMESPACE}}})", thresholds=GOOD_BELOW(1)),
            stat("Dead letters kept", f'sum(kafka_topic_partition_current_offset{{{NAMESPACE}, topic=~".+\\\\.dlq"}} - kafka_topic_partition_oldest_offset{{{NAMESPACE}, topic=~".+\\\\.dlq"}})', thresholds=GOOD_BELOW(1), links=[("What to do", f"{RUNBOOKS}/DeadLetters.md")]),
            stat("Events not published", f"sum(relay_unpublished_events{{{NAMESPACE}}})", thresholds=GOOD_BELOW(1000)),
            stat("Oldest of them", f"max(relay_oldest_seconds{{{NAMESPACE}}})", unit="s", thresholds=GOOD_BELOW(60), links=[("What to do", f"{RUNBOOKS}/EventsWait.md")]),
        ],
        "Producing": [
            Panel("Events waiting to be published", {"{{role}} {{instance}}": f"relay_unpublished_events{{{NAMESPACE}}}"}, description="Producer lag: committed, and not yet in Kafka."),
            Panel("Age of the oldest of them", {"{{role}} {{instance}}": f"relay_oldest_seconds{{{NAMESPACE}}}"}, unit="s", thresholds=GOOD_BELOW(60)),
            Panel("Events published a second", {"{{role}}": f"role:relay_published:rate5m{{{NAMESPACE}}}"}, unit="ops"),
            Panel("Messages a second, by topic", {"{{topic}}": f"topic:kafka_messages:rate5m{{{topic}}}"}, unit="ops", stacked=True),
            Panel("Failed attempts to publish, a second", {"{{role}}": f"sum by (role) (rate(relay_publish_failures_total{{{NAMESPACE}}}[5m]))"}, unit="ops"),
            Panel("Time to publish, as the sidecars see it: 95th percentile", {"{{topic}}": f"histogram_quantile(0.95, sum by (topic, le) (rate(dapr_component_pubsub_egress_bulk_latencies_bucket{{{topic}}}[5m])))"}, unit="ms"),
        ],
        "Consuming": [
            Panel("Age of an event when it can be read", {
                "median": f"histogram_quantile(0.5, sum by (le) (rate(history_event_age_seconds_bucket{{{NAMESPACE}}}[5m])))",
                "p95": f"histogram_quantile(0.95, sum by (le) (rate(history_event_age_seconds_bucket{{{NAMESPACE}}}[5m])))",
            }, unit="s", thresholds=GOOD_BELOW(0.1), description="From the commit until its row is in the history, end to end."),
            Panel("Lag, by consumer group", {"{{consumergroup}} {{topic}}": f"consumergroup:kafka_lag:sum{{{topic}}}"}, thresholds=GOOD_BELOW(100), links=[("What to do", f"{RUNBOOKS}/ConsumerLagHigh.md")]),
            Panel("Lag, by partition", {"{{consumergroup}} {{partition}}": f"kafka_consumergroup_lag{{{topic}}}"}),
            Panel("Messages taken a second", {"{{consumergroup}} {{topic}}": f"sum by (consumergroup, topic) (rate(kafka_consumergroup_current_offset{{{topic}}}[5m]))"}, unit="ops"),
            Panel("Events handled a second", {"{{role}} {{topic}}": f"topic:consumer_events:rate5m{{{topic}}}"}, unit="ops"),
            Panel("Time to handle a batch, 95th percentile", {"{{role}} {{topic}}": f"histogram_quantile(0.95, sum by (role, topic, le) (rate(consumer_batch_duration_seconds_bucket{{{topic}}}[5m])))"}, unit="s"),
            Panel("Events in a batch", {"median {{topic}}": f"histogram_quantile(0.5, sum by (topic, le) (rate(consumer_events_per_batch_bucket{{{topic}}}[5m])))", "p95 {{topic}}": f"histogram_quantile(0.95, sum by (topic, le) (rate(consumer_events_per_batch_bucket{{{topic}}}[5m])))"}),
            Panel("Batches that come again, a second", {"{{role}} {{topic}}": f"sum by (role, topic) (rate(consumer_batch_failures_total{{{topic}}}[5m]))"}, unit="ops", thresholds=GOOD_BELOW(0.01), links=[("What to do", f"{RUNBOOKS}/BatchesFail.md")]),
            Panel("Dead letters in an hour", {"{{topic}}": f'sum by (topic) (increase(kafka_topic_partition_current_offset{{{NAMESPACE}, topic=~".+\\\\.dlq"}}[1h]))'}, thresholds=GOOD_BELOW(1)),
            Panel("Members of a consumer group", {"{{consumergroup}}": f"kafka_consumergroup_members{{{NAMESPACE}}}"}),
        ],
        "Partitions and disks": [
            Panel("Partitions led, by broker", {"broker {{leader}}": f'count_values("leader", kafka_topic_partition_leader{{{topic}}})'}, kind="bargauge"),
            Panel("Messages kept, by partition", {"{{topic}} {{partition}}": f"kafka_topic_partition_current_offset{{{topic}}} - kafka_topic_partition_oldest_offset{{{topic}}}"}, description="Even columns: the keys spread well."),
            Panel("Disks", {
                "{{persistentvolumeclaim}}": f'kubelet_volume_stats_used_bytes{{{NAMESPACE}, persistentvolumeclaim=~".*kafka.*"}} / kubelet_volume_stats_capacity_bytes{{{NAMESPACE}, persistentvolumeclaim=~".*kafka.*"}}',
                "{{instance}} {{mountpoint}}": '1 - node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs|iso9660"} / node_filesystem_size_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs|iso9660"}',
            }, unit="percentunit", maximum=1, thresholds=GOOD_BELOW(0.85), links=[("What to do", f"{RUNBOOKS}/DiskFull.md")]),
        ],
    }
    topics = variable("topic", "Topic", "label_values(kafka_topic_partitions, topic)")
    return dashboard("tidemark-kafka", "Kafka", "Events on their way, from the commit to the consumer.", rows, [NAMESPACES, topics])


def kubernetes() -> dict:
    container = f'{NAMESPACE}, container!="", container!="POD"'
    rows = {
        "Nodes": [
            Panel("Processor", {"{{instance}}": '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))'}, unit="percentunit", maximum=1, thresholds=GOOD_BELOW(0.9)),
            Panel("Memory", {"{{instance}}": "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"}, unit="percentunit", maximum=1, thresholds=GOOD_BELOW(0.9)),
            Panel("Disks", {"{{instance}} {{mountpoint}}": '1 - node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs|iso9660"} / node_filesystem_size_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs|iso9660"}'}, unit="percentunit", maximum=1, thresholds=GOOD_BELOW(0.85)),
            Panel("Nodes that are not ready", {"{{node}}": 'kube_node_status_condition{condition="Ready", status="true"} == 0'}, thresholds=GOOD_BELOW(1), minimum=None),
            Panel("Network, bytes a second", {"in {{instance}}": 'sum by (instance) (rate(node_network_receive_bytes_total{device!~"lo|veth.+"}[5m]))', "out {{instance}}": 'sum by (instance) (rate(node_network_transmit_bytes_total{device!~"lo|veth.+"}[5m]))'}, unit="Bps"),
            Panel("Load, by core", {"{{instance}}": 'node_load5 / on (instance) count by (instance) (node_cpu_seconds_total{mode="idle"})'}),
        ],
        "Pods": [
            Panel("Processor, cores", {"{{pod}} {{container}}": f"sum by (pod, container) (rate(container_cpu_usage_seconds_total{{{container}}}[5m]))"}),
            Panel("Processor, of what was asked for", {"{{pod}} {{container}}": f'sum by (pod, container) (rate(container_cpu_usage_seconds_total{{{container}}}[5m])) / sum by (pod, container) (kube_pod_container_resource_requests{{{NAMESPACE}, resource="cpu"}})'}, unit="percentunit"),
            Panel("Time held back for want of processor", {"{{pod}} {{container}}": f"sum by (pod, container) (rate(container_cpu_cfs_throttled_periods_total{{{container}}}[5m])) / sum by (pod, container) (rate(container_cpu_cfs_periods_total{{{container}}}[5m]))"}, unit="percentunit", maximum=1),
            Panel("Memory", {"{{pod}} {{container}}": f"sum by (pod, container) (container_memory_working_set_bytes{{{container}}})"}, unit="bytes"),
            Panel("Memory, of the limit", {"{{pod}} {{container}}": f'sum by (pod, container) (container_memory_working_set_bytes{{{container}}}) / sum by (pod, container) (kube_pod_container_resource_limits{{{NAMESPACE}, resource="memory"}})'}, unit="percentunit", maximum=1, thresholds=GOOD_BELOW(0.9)),
            Panel("Volumes", {"{{persistentvolumeclaim}}": f"kubelet_volume_stats_used_bytes{{{NAMESPACE}}} / kubelet_volume_stats_capacity_bytes{{{NAMESPACE}}}"}, unit="percentunit", maximum=1, thresholds=GOOD_BELOW(0.85)),
        ],
        "Rollouts": [
            Panel("Restarts in an hour", {"{{pod}} {{container}}": f"sum by (pod, container) (increase(kube_pod_container_status_restarts_total{{{NAMESPACE}}}[1h])) > 0"}, links=[("What to do", f"{RUNBOOKS}/PodCrashLoop.md")]),
            Panel("Replicas that are missing", {"{{deployment}}": f"kube_deployment_status_replicas_unavailable{{{NAMESPACE}}}"}, thresholds=GOOD_BELOW(1), links=[("What to do", f"{RUNBOOKS}/RolloutStuck.md")]),
            Panel("Containers that wait", {"{{pod}} {{reason}}": f"sum by (pod, reason) (kube_pod_container_status_waiting_reason{{{NAMESPACE}}})"}),
        ],
        "Autoscalers and disruption budgets": [
            Panel("Replicas", {"{{horizontalpodautoscaler}}": f"kube_horizontalpodautoscaler_status_current_replicas{{{NAMESPACE}}}", "{{horizontalpodautoscaler}}: at most": f"kube_horizontalpodautoscaler_spec_max_replicas{{{NAMESPACE}}}"}, links=[("What to do", f"{RUNBOOKS}/HPAAtMax.md")]),
            Panel("Replicas wanted", {"{{horizontalpodautoscaler}}": f"kube_horizontalpodautoscaler_status_desired_replicas{{{NAMESPACE}}}"}),
            Panel("Pods that may be taken away", {"{{poddisruptionbudget}}": f"kube_poddisruptionbudget_status_pod_disruptions_allowed{{{NAMESPACE}}}"}, description="At 0 a drain of a node waits."),
        ],
    }
    return dashboard("tidemark-kubernetes", "Kubernetes", "Nodes, pods, rollouts, autoscalers.", rows, [NAMESPACES])


def business() -> dict:
    def made(method: str, routes: str, window: str) -> str:
        return f'sum(increase(http_requests_total{{{NAMESPACE}, method="{method}", route=~"{routes}", status="201"}}[{window}]))'

    tasks, groups, comments, users = "/api/groups/.+/tasks|/api/tasks|/tasks", "/api/groups", "/api/tasks/.+/comments|/tasks/.+/comments", "/api/auth/register|/auth/register"
    rows = {
        "Today": [
            stat("Tasks created, 24 h", made("POST", tasks, "24h"), decimals=0, width=6),
            stat("Groups created, 24 h", made("POST", groups, "24h"), decimals=0, width=6),
            stat("Comments, 24 h", made("POST", comments, "24h"), decimals=0, width=6),
            stat("Registrations, 24 h", made("POST", users, "24h"), decimals=0, width=6),
        ],
        "Work": [
            Panel("Created in an hour", {"tasks": made("POST", tasks, "1h"), "groups": made("POST", groups, "1h"), "comments": made("POST", comments, "1h")}, width=12),
            Panel("Changed and removed in an hour", {
                "changed": f'sum(increase(http_requests_total{{{NAMESPACE}, method=~"PUT|PATCH", status="200"}}[1h]))',
                "removed": f'sum(increase(http_requests_total{{{NAMESPACE}, method="DELETE", status=~"20[04]"}}[1h]))',
            }, width=12),
            Panel("Events recorded in an hour, by kind", {"{{entity}} {{type}}": f'sum by (entity, type) (increase(history_events_total{{{NAMESPACE}}}[1h]))'}, width=12, stacked=True, description="Every change of everybody."),
            Panel("Messages in an hour, by kind of change", {"{{topic}}": f'sum by (topic) (increase(kafka_topic_partition_current_offset{{{NAMESPACE}, topic!~".+\\\\.dlq|tidemark.health|__.+"}}[1h]))'}, width=12, description="The seven projections, once they are published, and the ledger."),
        ],
        "People": [
            Panel("Registrations in an hour", {"registrations": made("POST", users, "1h")}, width=8),
            Panel("Log-ins in an hour", {
                "let in": f'sum(increase(http_requests_total{{{NAMESPACE}, method="POST", route=~"/api/auth/login|/auth/login", status="200"}}[1h]))',
                "refused": f'sum(increase(http_requests_total{{{NAMESPACE}, method="POST", route=~"/api/auth/login|/auth/login", status="401"}}[1h]))',
            }, width=8),
            Panel("Boards looked at in an hour", {"boards": f'sum(increase(http_requests_total{{{NAMESPACE}, method="GET", route=~"/api/groups|/api/groups/.id.", status="200"}}[1h]))'}, width=8),
            Panel("Pages being worked on", {"{{role}}": f"sum by (role) (pages_writers{{{NAMESPACE}}})"}, width=12, description="Pages of groups, tasks and comments that were changed lately: how many boards are active."),
            Panel("Requests in an hour, over a week", {"requests": f'sum(increase(http_requests_total{{{NAMESPACE}, {API}}}[1h]))', "a week before": f'sum(increase(http_requests_total{{{NAMESPACE}, {API}}}[1h] offset 1w))'}, width=12),
        ],
    }
    return dashboard("tidemark-business", "Business", "What people do with Tidemark.", rows, [NAMESPACES])


def database() -> dict:
    database = f'{NAMESPACE}, datname="todo_history"'
    rows = {
        "Now": [
            stat("Answers", 'min(pg_up{job="timescaledb"} or cnpg_collector_up{job="timescaledb"})', thresholds=GOOD_ABOVE(1), links=[("What to do", f"{RUNBOOKS}/DatabaseDown.md")]),
            stat("Size", f"sum(pg_database_size_bytes{{{database}}} or cnpg_pg_database_size_bytes{{{database}}})", unit="bytes"),
            stat("Found in memory", f"sum(rate(pg_stat_database_blks_hit{{{database}}}[5m]) or rate(cnpg_pg_stat_database_blks_hit{{{database}}}[5m])) / sum((rate(pg_stat_database_blks_hit{{{database}}}[5m]) + rate(pg_stat_database_blks_read{{{database}}}[5m])) or (rate(cnpg_pg_stat_database_blks_hit{{{database}}}[5m]) + rate(cnpg_pg_stat_database_blks_read{{{database}}}[5m])))", unit="percentunit", maximum=1, thresholds=GOOD_ABOVE(0.95), description="Cache hit ratio."),
            stat("Connections taken", "sum(pg_stat_activity_count) / max(pg_settings_max_connections)", unit="percentunit", maximum=1, thresholds=GOOD_BELOW(0.8), links=[("What to do", f"{RUNBOOKS}/DatabaseConnectionsHigh.md")]),
            stat("A replica is behind by", "max(cnpg_pg_replication_lag)", unit="s", thresholds=GOOD_BELOW(60)),
            stat("Age of the last backup", "time() - max(barman_cloud_cloudnative_pg_io_last_available_backup_timestamp)", unit="s", thresholds=GOOD_BELOW(26 * 3600), links=[("What to do", f"{RUNBOOKS}/BackupMissing.md")]),
        ],
        "Statements": [
            Panel("Time of a statement, as the sidecars see it", {
                "{{operation}} median": f"histogram_quantile(0.5, sum by (operation, le) (rate(dapr_component_output_binding_latencies_bucket{{{NAMESPACE}}}[5m])))",
                "{{operation}} p95": f"histogram_quantile(0.95, sum by (operation, le) (rate(dapr_component_output_binding_latencies_bucket{{{NAMESPACE}}}[5m])))",
            }, unit="ms", description="exec writes batches of events, query answers requests for logs."),
            Panel("Statements a second", {"{{operation}} success: {{success}}": f"sum by (operation, success) (rate(dapr_component_output_binding_count{{{NAMESPACE}}}[5m]))"}, unit="ops"),
            Panel("Longest transaction", {"{{state}}": f"max by (state) (pg_stat_activity_max_tx_duration{{{database}}})", "cluster": "max(cnpg_backends_max_tx_duration_seconds)"}, unit="s"),
            Panel("Rows a second", {"inserted": f"sum(rate(pg_stat_database_tup_inserted{{{database}}}[5m]) or rate(cnpg_pg_stat_database_tup_inserted{{{database}}}[5m]))", "read": f"sum(rate(pg_stat_database_tup_fetched{{{database}}}[5m]) or rate(cnpg_pg_stat_database_tup_fetched{{{database}}}[5m]))"}, unit="ops"),
            Panel("Transactions a second", {"committed": f"sum(rate(pg_stat_database_xact_commit{{{database}}}[5m]) or rate(cnpg_pg_stat_database_xact_commit{{{database}}}[5m]))", "rolled back": f"sum(rate(pg_stat_database_xact_rollback{{{database}}}[5m]) or rate(cnpg_pg_stat_database_xact_rollback{{{database}}}[5m]))"}, unit="ops"),
            Panel("Deadlocks in an hour", {"deadlocks": f"sum(increase(pg_stat_database_deadlocks{{{database}}}[1h]) or increase(cnpg_pg_stat_database_deadlocks{{{database}}}[1h]))"}, thresholds=GOOD_BELOW(1)),
        ],
        "Connections, locks, space": [
            Panel("Connections", {"{{state}}": f"sum by (state) (pg_stat_activity_count{{{database}}})", "at most": "max(pg_settings_max_connections)"}),
            Panel("Locks", {"{{mode}}": f"sum by (mode) (pg_locks_count{{{database}}})", "waiting in the cluster": "sum(cnpg_backends_waiting_total)"}),
            Panel("Size", {"{{datname}}": f"pg_database_size_bytes{{{database}}} or cnpg_pg_database_size_bytes{{{database}}}"}, unit="bytes"),
        ],
    }
    return dashboard("tidemark-database", "Database", "The history's PostgreSQL or TimescaleDB.", rows, [NAMESPACES])


DASHBOARDS = {"backend": backend, "kafka": kafka, "kubernetes": kubernetes, "business": business, "database": database}


def texts() -> dict[Path, str]:
    return {
        HERE / "dashboards" / f"{name}.json": json.dumps(make(), indent=2, ensure_ascii=False) + "\n"
        for name, make in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for path, text in texts().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    sys.stdout.write(f"{len(DASHBOARDS)} dashboards written\n")
