"""Breaks the stacks on purpose, once for each rule, and expects that rule to say so.

Three kinds: a validation is removed from a variable, and the negative test of it must fail; an argument that
protects something is changed, and the rule that guards it must name the resource; a guard against destruction
is removed. The list of changed arguments must cover every rule: a rule without one fails the run.
"""

import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import components
import contract
import findings
import rules
from scratch import STACKS, Scratch

VALIDATION = re.compile(r"\n  validation \{\n.*?\n  \}\n", re.S)


@dataclass(frozen=True)
class Change:
    rule: str
    file: str
    before: str
    after: str


def _in(prefix: str, *changes: tuple[str, str, str, str]) -> list[Change]:
    return [Change(rule, f"{prefix}/{file}", before, after) for rule, file, before, after in changes]


CHANGES = [
    *_in(
        "aws/modules",
        ("aws-database-private", "data/postgres.tf", "publicly_accessible    = false", "publicly_accessible    = true"),
        ("aws-database-encrypted", "data/postgres.tf", "storage_encrypted     = true", "storage_encrypted     = false"),
        ("aws-database-own-key", "data/postgres.tf", "  kms_key_id            = var.key_arns.data\n", ""),
        ("aws-database-kept", "data/postgres.tf", "deletion_protection       = var.deletion_protection", "deletion_protection       = false"),
        ("aws-database-zones", "data/postgres.tf", "multi_az       = var.high_availability", "multi_az       = false"),
        ("aws-database-no-password", "data/postgres.tf", "manage_master_user_password         = true", "manage_master_user_password         = false"),
        ("aws-database-tls", "data/postgres.tf", 'value = "1"', 'value = "0"'),
        ("aws-database-copied", "data/postgres.tf", "  kms_key_id             = var.key_arns.recovery\n", ""),
        ("aws-redis-tls", "data/redis.tf", '"required"', '"preferred"'),
        ("aws-redis-encrypted", "data/redis.tf", "at_rest_encryption_enabled = true", "at_rest_encryption_enabled = false"),
        ("aws-redis-own-key", "data/redis.tf", "  kms_key_id                 = var.key_arns.data\n", ""),
        ("aws-redis-password", "data/redis.tf", "  auth_token                 = random_password.redis.result\n", ""),
        ("aws-redis-zones", "data/redis.tf", "multi_az_enabled           = var.high_availability", "multi_az_enabled           = false"),
        ("aws-redis-keeps-state", "data/redis.tf", '"noeviction"', '"allkeys-lru"'),
        ("aws-kafka-private", "data/kafka.tf", '"DISABLED"', '"SERVICE_PROVIDED_EIPS"'),
        ("aws-kafka-signed-in", "data/kafka.tf", "unauthenticated = false", "unauthenticated = true"),
        ("aws-kafka-tls", "data/kafka.tf", 'client_broker = "TLS"', 'client_broker = "TLS_PLAINTEXT"'),
        ("aws-kafka-own-key", "data/kafka.tf", "    encryption_at_rest_kms_key_arn = var.key_arns.data\n", ""),
        ("aws-kafka-no-stray-topics", "data/kafka.tf", "auto.create.topics.enable=false", "auto.create.topics.enable=true"),
        ("aws-rabbitmq-private", "data/rabbitmq.tf", "publicly_accessible        = false", "publicly_accessible        = true"),
        ("aws-rabbitmq-own-key", "data/rabbitmq.tf", "    kms_key_id        = var.key_arns.data\n", ""),
        ("aws-bucket-private", "backups/main.tf", "block_public_policy     = true", "block_public_policy     = false"),
        ("aws-bucket-encrypted", "backups/main.tf", '"aws:kms"', '"AES256"'),
        ("aws-bucket-tls", "backups/main.tf", 'Bool = { "aws:SecureTransport" = "false" }', 'Bool = { "aws:SecureTransport" = "true" }'),
        ("aws-bucket-versions", "backups/main.tf", 'status = "Enabled"\n  }\n}\n\n# In compliance', 'status = "Suspended"\n  }\n}\n\n# In compliance'),
        ("aws-backups-locked", "backups/main.tf", 'var.compliance_lock ? "COMPLIANCE" : "GOVERNANCE"', '"GOVERNANCE"'),
        ("aws-backups-copied", "backups/main.tf", '"to-recovery-region"\n    status = "Enabled"', '"to-recovery-region"\n    status = "Disabled"'),
        ("aws-bucket-kept", "backups/main.tf", "force_destroy       = false", "force_destroy       = true"),
        ("aws-secrets-own-key", "data/main.tf", "  kms_key_id              = var.key_arns.secrets\n", ""),
        ("aws-logs-own-key", "data/main.tf", "  kms_key_id        = var.key_arns.logs\n", ""),
        ("aws-logs-end", "data/main.tf", "  retention_in_days = var.log_days\n", ""),
        ("aws-alerts-own-key", "monitoring/main.tf", "  kms_master_key_id = var.log_key_arn\n", ""),
        ("aws-keys-rotate", "keys/main.tf", "enable_key_rotation     = true", "enable_key_rotation     = false"),
        ("aws-images-own-key", "registry/main.tf", "    kms_key         = var.key_arn\n", ""),
        ("aws-images-fixed", "registry/main.tf", '"IMMUTABLE"', '"MUTABLE"'),
        ("aws-cluster-secrets-own-key", "cluster/main.tf", "key_arn = var.secret_key_arn", 'key_arn = "none"'),
        ("aws-cluster-not-open", "cluster/main.tf", "    public_access_cidrs     = var.api_cidrs\n", ""),
        ("aws-cluster-logs", "cluster/main.tf", '"audit", ', ""),
        ("aws-cluster-kept", "cluster/main.tf", "deletion_protection           = var.deletion_protection", "deletion_protection           = false"),
        ("aws-cluster-no-hidden-admin", "cluster/main.tf", "creator_admin_permissions = false", "creator_admin_permissions = true"),
        ("aws-node-metadata", "cluster/main.tf", '= "required"', '= "optional"'),
        ("aws-node-disk-own-key", "cluster/main.tf", "      kms_key_id            = var.volume_key_arn\n", ""),
        ("aws-subnet-no-public-address", "network/main.tf", "map_public_ip_on_launch = false", "map_public_ip_on_launch = true"),
        ("aws-default-group-closed", "network/main.tf", "  egress  = []\n", ""),
        ("aws-ingress-named", "data/main.tf", "  referenced_security_group_id = var.cluster_security_group_id\n  ip_protocol                  = \"tcp\"\n  from_port                    = each", "  cidr_ipv4 = \"0.0.0.0/0\"\n  ip_protocol                  = \"tcp\"\n  from_port                    = each"),
        ("aws-network-watched", "network/main.tf", '"ALL"', '"REJECT"'),
        ("aws-balancer-tls", "edge/main.tf", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "ELBSecurityPolicy-2016-08"),
        ("aws-balancer-kept", "edge/main.tf", "enable_deletion_protection = var.deletion_protection", "enable_deletion_protection = false"),
        ("aws-rights-named", "identity/main.tf", 'Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]', 'Action   = ["kafka-cluster:*"]'),
        ("aws-trust-named", "network/main.tf", 'Principal = { Service = "vpc-flow-logs.amazonaws.com" }', 'Principal = { AWS = "*" }'),
        ("aws-threats-watched", "governance/main.tf", "enable                       = true", "enable                       = false"),
        ("aws-alarms-heard", "monitoring/main.tf", "alarm_actions       = [aws_sns_topic.alerts.arn]", "alarm_actions       = []"),
    ),
    *_in(
        "gcp/modules",
        ("gcp-database-private", "data/main.tf", "ipv4_enabled    = false", "ipv4_enabled    = true"),
        ("gcp-database-tls", "data/main.tf", '"ENCRYPTED_ONLY"', '"ALLOW_UNENCRYPTED_AND_ENCRYPTED"'),
        ("gcp-database-own-key", "data/main.tf", "  encryption_key_name = var.key_ids.data\n", ""),
        ("gcp-database-kept", "data/main.tf", "deletion_protection_enabled = var.deletion_protection", "deletion_protection_enabled = false"),
        ("gcp-database-zones", "data/main.tf", 'var.high_availability ? "REGIONAL" : "ZONAL"', '"ZONAL"'),
        ("gcp-database-point-in-time", "data/main.tf", "point_in_time_recovery_enabled = true", "point_in_time_recovery_enabled = false"),
        ("gcp-redis-private", "data/main.tf", '"PRIVATE_SERVICE_ACCESS"', '"DIRECT_PEERING"'),
        ("gcp-redis-tls", "data/main.tf", '"SERVER_AUTHENTICATION"', '"DISABLED"'),
        ("gcp-redis-password", "data/main.tf", "auth_enabled            = true", "auth_enabled            = false"),
        ("gcp-redis-own-key", "data/main.tf", "  customer_managed_key    = var.key_ids.data\n", ""),
        ("gcp-redis-zones", "data/main.tf", 'var.high_availability ? "STANDARD_HA" : "BASIC"', '"BASIC"'),
        ("gcp-redis-keeps-state", "data/main.tf", '"noeviction"', '"allkeys-lru"'),
        ("gcp-kafka-own-key", "messaging/kafka.tf", "    kms_key = var.key_id\n", ""),
        ("gcp-kafka-signed-in", "messaging/kafka.tf", "      cas_configs {\n        ca_pool = google_privateca_ca_pool.clients.id\n      }\n", ""),
        ("gcp-kafka-partitions", "../../modules/product/outputs.tf", "value       = 6", "value       = 12"),
        ("gcp-topics-own-key", "messaging/pubsub.tf", "  kms_key_name = var.key_id\n", ""),
        ("gcp-subscription-order", "messaging/pubsub.tf", "enable_message_ordering      = true", "enable_message_ordering      = false"),
        ("gcp-bucket-private", "backups/main.tf", '"enforced"', '"inherited"'),
        ("gcp-bucket-own-key", "backups/main.tf", "default_kms_key_name = each.value.key", 'default_kms_key_name = "none"'),
        ("gcp-bucket-kept", "backups/main.tf", "force_destroy               = false", "force_destroy               = true"),
        ("gcp-backups-locked", "backups/main.tf", "is_locked        = var.lock", "is_locked        = false"),
        ("gcp-secrets-own-key", "data/main.tf", "kms_key_name = var.key_ids.secrets", 'kms_key_name = "none"'),
        ("gcp-keys-rotate", "keys/main.tf", '"7776000s"', '"31536000s"'),
        ("gcp-images-own-key", "registry/main.tf", "  kms_key_name  = var.key_id\n", ""),
        ("gcp-images-fixed", "registry/main.tf", "immutable_tags = true", "immutable_tags = false"),
        ("gcp-cluster-private-nodes", "cluster/main.tf", "enable_private_nodes    = true", "enable_private_nodes    = false"),
        ("gcp-cluster-not-open", "cluster/main.tf", "cidr_block = cidr_blocks.value", 'cidr_block = "0.0.0.0/0"'),
        ("gcp-cluster-secrets-own-key", "cluster/main.tf", "key_name = var.secret_key_id", 'key_name = "none"'),
        ("gcp-cluster-kept", "cluster/main.tf", "deletion_protection = var.deletion_protection", "deletion_protection = false"),
        ("gcp-cluster-policies", "cluster/main.tf", '"ADVANCED_DATAPATH"', '"LEGACY_DATAPATH"'),
        ("gcp-pod-identity", "cluster/main.tf", "GKE_METADATA", "GCE_METADATA"),
        ("gcp-node-disk-own-key", "cluster/main.tf", "    boot_disk_kms_key = var.volume_key_id\n", ""),
        ("gcp-node-zones", "../main.tf", "var.high_availability ? local.zones : slice", "false ? local.zones : slice"),
        ("gcp-node-boot", "cluster/main.tf", "enable_secure_boot          = true", "enable_secure_boot          = false"),
        ("gcp-network-watched", "network/main.tf", '  log_config {\n    aggregation_interval = "INTERVAL_10_MIN"\n    flow_sampling        = 0.5\n    metadata             = "INCLUDE_ALL_METADATA"\n  }\n', ""),
        ("gcp-network-private-calls", "network/main.tf", "private_ip_google_access = true", "private_ip_google_access = false"),
        ("gcp-firewall-named", "network/main.tf", '["130.211.0.0/22", "35.191.0.0/16"]', '["0.0.0.0/0"]'),
        ("gcp-rights-not-basic", "cluster/main.tf", "roles/container.defaultNodeServiceAccount", "roles/editor"),
        ("gcp-rights-not-public", "messaging/pubsub.tf", "member  = var.pubsub_agent", 'member  = "allUsers"'),
        ("gcp-zone-signed", "edge/main.tf", 'state = "on"', 'state = "off"'),
        ("gcp-edge-tls", "edge/main.tf", '"RESTRICTED"', '"COMPATIBLE"'),
        ("gcp-alerts-heard", "monitoring/main.tf", "notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]", "notification_channels = []"),
    ),
    *_in(
        "azure/modules",
        ("azure-database-private", "data/main.tf", "public_network_access_enabled = false", "public_network_access_enabled = true"),
        ("azure-database-no-password", "data/main.tf", "password_auth_enabled         = false", "password_auth_enabled         = true"),
        ("azure-database-own-key", "data/main.tf", "key_vault_key_id                     = var.keys.data.id", 'key_vault_key_id                     = "none"'),
        ("azure-database-zones", "data/main.tf", '"ZoneRedundant"', '"SameZone"'),
        ("azure-database-copied", "data/main.tf", "geo_redundant_backup_enabled  = var.high_availability", "geo_redundant_backup_enabled  = false"),
        ("azure-database-tls", "data/main.tf", '"require_secure_transport"   = "on"', '"require_secure_transport"   = "off"'),
        ("azure-redis-private", "data/main.tf", '"Disabled"', '"Enabled"'),
        ("azure-redis-tls", "data/main.tf", '"Encrypted"', '"Plaintext"'),
        ("azure-redis-own-key", "data/main.tf", "key_vault_key_id          = var.keys.data.id", 'key_vault_key_id          = "none"'),
        ("azure-redis-zones", "data/main.tf", "high_availability_enabled = var.high_availability", "high_availability_enabled = false"),
        ("azure-redis-keeps-state", "data/main.tf", '"NoEviction"', '"AllKeysLRU"'),
        ("azure-messaging-private", "messaging/main.tf", "public_network_access_enabled = false", "public_network_access_enabled = true"),
        ("azure-messaging-tls", "messaging/main.tf", '"1.2"', '"1.0"'),
        ("azure-messaging-own-key", "messaging/main.tf", "key_vault_key_ids                 = [var.key.id]", 'key_vault_key_ids                 = ["none"]'),
        ("azure-messaging-cannot-manage", "messaging/main.tf", "manage              = false", "manage              = true"),
        ("azure-messaging-partitions", "../../modules/product/outputs.tf", "value       = 6", "value       = 12"),
        ("azure-storage-private", "backups/main.tf", "public_network_access_enabled     = false", "public_network_access_enabled     = true"),
        ("azure-storage-no-keys", "backups/main.tf", "shared_access_key_enabled         = false", "shared_access_key_enabled         = true"),
        ("azure-storage-tls", "backups/main.tf", '"TLS1_2"', '"TLS1_0"'),
        ("azure-storage-own-key", "backups/main.tf", "key_vault_key_id          = var.key.id", 'key_vault_key_id          = "none"'),
        ("azure-backups-locked", "backups/main.tf", "locked                                = var.lock", "locked                                = false"),
        ("azure-vault-backups-locked", "backups/main.tf", 'var.lock ? "Locked" : "Unlocked"', '"Disabled"'),
        ("azure-vault-closed", "keys/main.tf", '"Deny"', '"Allow"'),
        ("azure-keys-rotate", "keys/main.tf", '    automatic {\n      time_before_expiry = "P60D"\n    }\n', ""),
        ("azure-cluster-no-local-account", "cluster/main.tf", "local_account_disabled            = true", "local_account_disabled            = false"),
        ("azure-cluster-not-open", "cluster/main.tf", "authorized_ip_ranges = var.api_cidrs", 'authorized_ip_ranges = ["0.0.0.0/0"]'),
        ("azure-cluster-secrets-own-key", "cluster/main.tf", "key_vault_key_id         = var.secret_key_id", 'key_vault_key_id         = "none"'),
        ("azure-cluster-policies", "cluster/main.tf", 'network_policy      = "cilium"', 'network_policy      = "none"'),
        ("azure-node-encrypted", "cluster/main.tf", "= true\n    node_public_ip_enabled", "= false\n    node_public_ip_enabled"),
        ("azure-node-zones", "../main.tf", 'toset(["1", "2", "3"])', 'toset(["1"])'),
        ("azure-pod-identity", "cluster/main.tf", "workload_identity_enabled         = true", "workload_identity_enabled         = false"),
        ("azure-kept", "data/main.tf", '"CanNotDelete"', '"ReadOnly"'),
        ("azure-images-signed-in", "registry/main.tf", "admin_enabled                 = false", "admin_enabled                 = true"),
        ("azure-network-closed", "network/main.tf", 'destination_port_range     = "443"', 'destination_port_range     = "22"'),
        ("azure-network-watched", "network/main.tf", "  enabled              = true\n", "  enabled              = false\n"),
        ("azure-rights-not-wide", "registry/main.tf", '"AcrPull"', '"Contributor"'),
        ("azure-alerts-heard", "monitoring/main.tf", "  action {\n    action_group_id = azurerm_monitor_action_group.this.id\n  }\n", ""),
    ),
]


# Changes of the Dapr components, each of which must be refused: file below overlays, before, after.
COMPONENT_CHANGES = [
    ("aws/base/pubsub.yaml", "authType", "authTyp"),
    ("aws/base/pubsub.yaml", "value: awsiam", "value: none"),
    ("aws/base/pubsub-history-3.yaml", "value: oldest", "value: newest"),
    ("aws/base/pubsub-history-3.yaml", 'value: "true"', 'value: "false"'),
    ("aws/base/pubsub-history-3.yaml", "value: sticky", "value: range"),
    ("aws/base/historydb.yaml", "tidemark/postgres", "tidemark/database"),
    ("aws/base/kustomization.yaml", "  - pubsub-history-5.yaml\n", ""),
    ("aws/production/kustomization.yaml", "metadata/0", "metadata/1"),
    ("azure/base/statestore.yaml", '- name: enableTLS\n      value: "true"', '- name: enableTLS\n      value: "false"'),
    ("azure/base/statestore.yaml", "- name: readTimeout", "- name: writeTimeout"),
    ("azure/base/statestore.yaml", "  - tidemark-gateway\n", ""),
    ("azure/base/pubsub.yaml", "tidemark-kafka-password", "tidemark-kafka-key"),
    ("gcp/base/pubsub.yaml", "tidemark-application-kafka", "tidemark-kafka-client"),
    ("gcp/staging/kustomization.yaml", "project_id", "project"),
    ("gcp-pubsub/base/pubsub.yaml", 'enableMessageOrdering\n      value: "true"', 'enableMessageOrdering\n      value: "false"'),
    ("gcp-pubsub/base/pubsub-history-0.yaml", "- name: ackDeadline", "- name: deadLetterTopic"),
]


class Unchanged(Exception):
    """A change that no longer finds what it is to replace."""


def _replace(scratch: Scratch, file: str, before: str, after: str) -> None:
    path = scratch.stacks / file
    text = path.read_text()
    # `terraform fmt` aligns the equals signs anew whenever a line joins a block: alignment must not matter.
    pattern = re.sub(r"(?:\\ )+=", r" +=", re.escape(before))
    changed = re.sub(pattern, lambda _: after, text)
    if changed == text:
        raise Unchanged(f"{file} no longer holds: {before.strip()}")
    path.write_text(changed)


def _restore(scratch: Scratch, file: str) -> None:
    text = (STACKS / file).read_text()
    (scratch.stacks / file).write_text(text.replace("prevent_destroy = true", "prevent_destroy = false"))


def _rule_notices(scratch: Scratch, change: Change) -> str | None:
    root = f"{change.file.split('/')[0]}/environments/production"
    try:
        _replace(scratch, change.file, change.before, change.after)
        report = findings.read(scratch.terraform(root, "test", "-json", "-verbose", "-filter=tests/plan.tftest.hcl").output)
    except Unchanged as problem:
        return str(problem)
    finally:
        _restore(scratch, change.file)
    broken = {line.split(":", 1)[0] for line in rules.judge(report, "production")[1]}
    if change.rule in broken:
        return None
    return f"{change.rule} did not notice {change.file}: {change.before.strip()} ({'; '.join(report.errors) or 'all passed'})"


def _validations(scratch: Scratch) -> tuple[int, list[str]]:
    """Removes each validation in turn; some test of the same root must then fail."""
    tried, survived = 0, []
    roots = [(scratch.inputs_root(cloud), ["inputs.tf", "variables.tf"]) for cloud in contract.CLOUDS]
    roots += [(f"{cloud}/bootstrap", ["variables.tf"]) for cloud in contract.CLOUDS]
    roots += [("modules/gitops", ["variables.tf"])]
    roots += [(f"{cloud}/environments/{e}", ["variables.tf"]) for cloud in contract.CLOUDS for e in contract.ENVIRONMENTS]
    for root, files in roots:
        scratch.initialise(root)
        for name in files:
            path = scratch.stacks / root / name
            text = path.read_text()
            for found in VALIDATION.finditer(text):
                tried += 1
                path.write_text(text[: found.start()] + "\n" + text[found.end() :])
                report = findings.read(scratch.terraform(root, "test", "-json").output)
                if report.failed == 0 or report.passed == 0:
                    variable = re.findall(r'variable "(\w+)"', text[: found.start()])[-1]
                    survived.append(f"{root}: nothing failed without a validation of {variable}")
            path.write_text(text)
    return tried, survived


def _guards() -> tuple[int, list[str]]:
    survived = []
    with Scratch() as scratch:
        # Here the guards are off already: every one of them must be missed.
        missed = rules.unguarded(scratch.stacks)
        survived += [f"nobody missed prevent_destroy of {guard}" for guard in rules.GUARDED if not any(guard in line for line in missed)]
    return len(rules.GUARDED), survived


def _components() -> tuple[int, list[str]]:
    survived = []
    for file, before, after in COMPONENT_CHANGES:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "components"
            shutil.copytree(components.COMPONENTS, root)
            changed = root / "overlays" / file
            text = changed.read_text()
            changed.write_text(text.replace(before, after))
            if before not in text or not components.judged(root)[1]:
                survived.append(f"components/overlays/{file}: nobody noticed {after.strip() or 'a missing ' + before.strip()}")
    return len(COMPONENT_CHANGES), survived


def _worker(changes: list[Change]) -> list[str]:
    with Scratch() as scratch:
        for cloud in contract.CLOUDS:
            scratch.initialise(f"{cloud}/environments/production")
        return [problem for change in changes if (problem := _rule_notices(scratch, change))]


def run() -> int:
    uncovered = {rule.name for rule in rules.RULES} - {change.rule for change in CHANGES}
    survived = [f"rule {name} has no change that breaks it" for name in sorted(uncovered)]
    with ThreadPoolExecutor(2) as pool:
        for problems in pool.map(_worker, [CHANGES[0::2], CHANGES[1::2]]):
            survived += problems
    print(f"rules: {len(CHANGES)} changes tried", flush=True)
    with Scratch() as scratch:
        tried, unnoticed = _validations(scratch)
    print(f"validations: {tried} removed", flush=True)
    guards, unmissed = _guards()
    print(f"guards: {guards} removed", flush=True)
    changed, accepted = _components()
    print(f"components: {changed} changes tried", flush=True)
    survived += unnoticed + unmissed + accepted
    for line in survived:
        print(f"survived: {line}")
    total = len(CHANGES) + tried + guards + changed
    print(f"{total - len(survived)} passed, {len(survived)} failed")
    return 1 if survived else 0


