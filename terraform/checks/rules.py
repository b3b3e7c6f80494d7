"""What must hold of every resource, whichever module makes it: nothing public, everything encrypted, deletion
refused in production, rights no wider than needed.

A rule looks at the plan where the value must have been written down by us (an argument that nobody set is
absent there), and at the state where only the applied value shows a link, such as the key of a volume: a
mocked key has an address that nothing else has.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from findings import Resource, TestReport

PRODUCTION = "production"


@dataclass(frozen=True)
class Rule:
    name: str
    kinds: tuple[str, ...]
    holds: Callable[[Resource], bool]
    look_in: str = "plan"
    only_in: str | None = None


def is_true(path: str) -> Callable[[Resource], bool]:
    return lambda resource: resource.at(path) is True


def is_false(path: str) -> Callable[[Resource], bool]:
    return lambda resource: resource.at(path) is False


def equals(path: str, wanted: Any) -> Callable[[Resource], bool]:
    return lambda resource: resource.at(path) == wanted


def starts_with(path: str, start: str) -> Callable[[Resource], bool]:
    return lambda resource: str(resource.at(path)).startswith(start)


def every(*conditions: Callable[[Resource], bool]) -> Callable[[Resource], bool]:
    return lambda resource: all(condition(resource) for condition in conditions)


def either(*conditions: Callable[[Resource], bool]) -> Callable[[Resource], bool]:
    return lambda resource: any(condition(resource) for condition in conditions)


AWS_KEY, GOOGLE_KEY, AZURE_KEY = "arn:aws:kms:", "projects/mocked/", "https://mocked.vault"

# What IAM offers only for all resources at once, and what the registry's sign-in is.
UNSCOPED = re.compile(
    r"^(autoscaling:Describe|ec2:(Describe|Get)|ecr:GetAuthorizationToken$|eks:DescribeNodegroup$"
    r"|elasticloadbalancing:Describe|route53:List)"
)


def statements(resource: Resource) -> list[dict]:
    return json.loads(resource.values["policy"])["Statement"]


def listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def grants_no_more_than_named(resource: Resource) -> bool:
    """No action with a bare wildcard, and all resources at once only where there is no other way."""
    for statement in statements(resource):
        actions, targets = listed(statement["Action"]), listed(statement["Resource"])
        if any(action == "*" or action.endswith(":*") for action in actions):
            return False
        if "*" in targets and "Condition" not in statement:
            if not all(UNSCOPED.match(action) for action in actions):
                return False
    return True


def refuses_plain_http(resource: Resource) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        for statement in statements(resource)
    )


def trusts_a_named_caller(resource: Resource) -> bool:
    """A role is taken by a service, or by CI of exactly one repository and environment."""
    for statement in json.loads(resource.values["assume_role_policy"])["Statement"]:
        principal = statement["Principal"]
        if "Federated" in principal:
            subject = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
            if "*" in subject:
                return False
        elif set(principal) != {"Service"}:
            return False
    return True


def is_not_open_to_the_world(resource: Resource) -> bool:
    # The load balancer's own two doors are the only ones.
    if resource.values.get("cidr_ipv4") == "0.0.0.0/0":
        return ".edge." in resource.address and resource.values.get("from_port") in (80, 443)
    return True


def speaks_https_or_redirects(resource: Resource) -> bool:
    if resource.at("protocol") == "HTTPS":
        return "TLS13" in str(resource.at("ssl_policy"))
    return resource.at("default_action.type") == "redirect"


def lets_in_only_https(resource: Resource) -> bool:
    return all(
        rule["access"] == "Deny"
        or rule["source_address_prefix"] not in ("*", "Internet", "0.0.0.0/0")
        or (resource.address.endswith(".nodes") and rule["destination_port_range"] == "443")
        for rule in resource.values["security_rule"]
    )


def gives_no_basic_role(resource: Resource) -> bool:
    role = resource.values.get("role", "")
    # CI may read the project it plans; nobody may write to all of it.
    return role not in ("roles/owner", "roles/editor") and not (
        role == "roles/viewer" and "google_project_iam_member.ci" not in resource.address
    )


def is_given_to_somebody(resource: Resource) -> bool:
    return resource.values.get("member") not in ("allUsers", "allAuthenticatedUsers")


def gives_no_owner(resource: Resource) -> bool:
    return resource.values.get("role_definition_name") not in ("Owner", "Contributor", "User Access Administrator")


RULES = [
    # --- AWS
    Rule("aws-database-private", ("aws_db_instance",), is_false("publicly_accessible")),
    Rule("aws-database-encrypted", ("aws_db_instance",), is_true("storage_encrypted")),
    Rule("aws-database-own-key", ("aws_db_instance",), starts_with("kms_key_id", AWS_KEY), "state"),
    Rule("aws-database-kept", ("aws_db_instance",), every(is_true("deletion_protection"), is_false("skip_final_snapshot")), only_in=PRODUCTION),
    Rule("aws-database-zones", ("aws_db_instance",), is_true("multi_az"), only_in=PRODUCTION),
    Rule("aws-database-no-password", ("aws_db_instance",), is_true("manage_master_user_password")),
    Rule("aws-database-tls", ("aws_db_parameter_group",), lambda r: {"name": "rds.force_ssl", "value": "1"}.items() <= {k: v for p in r.values["parameter"] if p["name"] == "rds.force_ssl" for k, v in p.items()}.items()),
    Rule("aws-database-copied", ("aws_db_instance_automated_backups_replication",), starts_with("kms_key_id", AWS_KEY), "state", PRODUCTION),
    Rule("aws-redis-tls", ("aws_elasticache_replication_group",), either(equals("transit_encryption_mode", "required"), lambda r: r.address.endswith("recovery[0]"))),
    Rule("aws-redis-encrypted", ("aws_elasticache_replication_group",), either(lambda r: str(r.at("at_rest_encryption_enabled")).lower() == "true", lambda r: r.address.endswith("recovery[0]"))),
    Rule("aws-redis-own-key", ("aws_elasticache_replication_group",), starts_with("kms_key_id", AWS_KEY), "state"),
    Rule("aws-redis-password", ("aws_elasticache_replication_group",), either(equals("auth_token", "mocked-not-a-secret"), lambda r: r.address.endswith("recovery[0]")), "state"),
    Rule("aws-redis-zones", ("aws_elasticache_replication_group",), either(every(is_true("multi_az_enabled"), is_true("automatic_failover_enabled")), lambda r: r.address.endswith("recovery[0]")), only_in=PRODUCTION),
    Rule("aws-redis-keeps-state", ("aws_elasticache_parameter_group",), lambda r: any(p["name"] == "maxmemory-policy" and p["value"] == "noeviction" for p in r.values["parameter"])),
    Rule("aws-kafka-private", ("aws_msk_cluster",), equals("broker_node_group_info.connectivity_info.public_access.type", "DISABLED")),
    Rule("aws-kafka-signed-in", ("aws_msk_cluster",), every(is_false("client_authentication.unauthenticated"), is_true("client_authentication.sasl.iam"))),
    Rule("aws-kafka-tls", ("aws_msk_cluster",), every(equals("encryption_info.encryption_in_transit.client_broker", "TLS"), is_true("encryption_info.encryption_in_transit.in_cluster"))),
    Rule("aws-kafka-own-key", ("aws_msk_cluster",), starts_with("encryption_info.encryption_at_rest_kms_key_arn", AWS_KEY), "state"),
    Rule("aws-kafka-no-stray-topics", ("aws_msk_configuration",), lambda r: "auto.create.topics.enable=false" in r.values["server_properties"] and "min.insync.replicas=2" in r.values["server_properties"]),
    Rule("aws-rabbitmq-private", ("aws_mq_broker",), is_false("publicly_accessible")),
    Rule("aws-rabbitmq-own-key", ("aws_mq_broker",), starts_with("encryption_options.kms_key_id", AWS_KEY), "state"),
    Rule("aws-bucket-private", ("aws_s3_bucket_public_access_block",), every(*(is_true(flag) for flag in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")))),
    Rule("aws-bucket-encrypted", ("aws_s3_bucket_server_side_encryption_configuration",), either(equals("rule.apply_server_side_encryption_by_default.sse_algorithm", "aws:kms"), lambda r: r.address.endswith(".access_logs"))),
    Rule("aws-bucket-tls", ("aws_s3_bucket_policy",), refuses_plain_http, "state"),
    Rule("aws-bucket-versions", ("aws_s3_bucket_versioning",), equals("versioning_configuration.status", "Enabled")),
    Rule("aws-backups-locked", ("aws_s3_bucket_object_lock_configuration",), lambda r: (r.at("rule.default_retention.mode"), r.at("rule.default_retention.days") >= 30) == ("COMPLIANCE", True), only_in=PRODUCTION),
    Rule("aws-backups-copied", ("aws_s3_bucket_replication_configuration",), equals("rule.status", "Enabled")),
    Rule("aws-bucket-kept", ("aws_s3_bucket",), is_false("force_destroy")),
    Rule("aws-secrets-own-key", ("aws_secretsmanager_secret",), starts_with("kms_key_id", AWS_KEY), "state"),
    Rule("aws-logs-own-key", ("aws_cloudwatch_log_group",), starts_with("kms_key_id", AWS_KEY), "state"),
    Rule("aws-logs-end", ("aws_cloudwatch_log_group",), lambda r: (r.at("retention_in_days") or 0) > 0),
    Rule("aws-alerts-own-key", ("aws_sns_topic",), starts_with("kms_master_key_id", AWS_KEY), "state"),
    Rule("aws-keys-rotate", ("aws_kms_key",), is_true("enable_key_rotation")),
    Rule("aws-images-own-key", ("aws_ecr_repository",), every(equals("encryption_configuration.encryption_type", "KMS"), starts_with("encryption_configuration.kms_key", AWS_KEY)), "state"),
    Rule("aws-images-fixed", ("aws_ecr_repository",), every(equals("image_tag_mutability", "IMMUTABLE"), is_true("image_scanning_configuration.scan_on_push"))),
    Rule("aws-cluster-secrets-own-key", ("aws_eks_cluster",), starts_with("encryption_config.provider.key_arn", AWS_KEY), "state"),
    Rule("aws-cluster-not-open", ("aws_eks_cluster",), lambda r: r.at("vpc_config.public_access_cidrs") and "0.0.0.0/0" not in r.at("vpc_config.public_access_cidrs")),
    Rule("aws-cluster-logs", ("aws_eks_cluster",), lambda r: {"audit", "authenticator"} <= set(r.at("enabled_cluster_log_types"))),
    Rule("aws-cluster-kept", ("aws_eks_cluster",), is_true("deletion_protection"), only_in=PRODUCTION),
    Rule("aws-cluster-no-hidden-admin", ("aws_eks_cluster",), every(is_false("access_config.bootstrap_cluster_creator_admin_permissions"), equals("access_config.authentication_mode", "API"))),
    Rule("aws-node-metadata", ("aws_launch_template",), every(equals("metadata_options.http_tokens", "required"), equals("metadata_options.http_put_response_hop_limit", 1))),
    Rule("aws-node-disk-own-key", ("aws_launch_template",), every(lambda r: str(r.at("block_device_mappings.ebs.encrypted")).lower() == "true", starts_with("block_device_mappings.ebs.kms_key_id", AWS_KEY)), "state"),
    Rule("aws-subnet-no-public-address", ("aws_subnet",), is_false("map_public_ip_on_launch")),
    Rule("aws-default-group-closed", ("aws_default_security_group",), lambda r: r.values["ingress"] == [] and r.values["egress"] == []),
    Rule("aws-ingress-named", ("aws_vpc_security_group_ingress_rule",), is_not_open_to_the_world),
    Rule("aws-network-watched", ("aws_flow_log",), equals("traffic_type", "ALL")),
    Rule("aws-balancer-tls", ("aws_lb_listener",), speaks_https_or_redirects),
    Rule("aws-balancer-kept", ("aws_lb",), is_true("enable_deletion_protection"), only_in=PRODUCTION),
    Rule("aws-rights-named", ("aws_iam_role_policy",), grants_no_more_than_named, "state"),
    Rule("aws-trust-named", ("aws_iam_role",), trusts_a_named_caller, "state"),
    Rule("aws-threats-watched", ("aws_guardduty_detector",), is_true("enable")),
    Rule("aws-alarms-heard", ("aws_cloudwatch_metric_alarm",), lambda r: bool(r.values["alarm_actions"]), "state"),
    # --- Google Cloud
    Rule("gcp-database-private", ("google_sql_database_instance",), is_false("settings.ip_configuration.ipv4_enabled")),
    Rule("gcp-database-tls", ("google_sql_database_instance",), equals("settings.ip_configuration.ssl_mode", "ENCRYPTED_ONLY")),
    Rule("gcp-database-own-key", ("google_sql_database_instance",), starts_with("encryption_key_name", GOOGLE_KEY), "state"),
    Rule("gcp-database-kept", ("google_sql_database_instance",), every(is_true("deletion_protection"), is_true("settings.deletion_protection_enabled")), only_in=PRODUCTION),
    Rule("gcp-database-zones", ("google_sql_database_instance",), either(equals("settings.availability_type", "REGIONAL"), lambda r: r.address.endswith("recovery[0]")), only_in=PRODUCTION),
    Rule("gcp-database-point-in-time", ("google_sql_database_instance",), either(is_true("settings.backup_configuration.point_in_time_recovery_enabled"), lambda r: r.address.endswith("recovery[0]"))),
    Rule("gcp-redis-private", ("google_redis_instance",), equals("connect_mode", "PRIVATE_SERVICE_ACCESS")),
    Rule("gcp-redis-tls", ("google_redis_instance",), equals("transit_encryption_mode", "SERVER_AUTHENTICATION")),
    Rule("gcp-redis-password", ("google_redis_instance",), is_true("auth_enabled")),
    Rule("gcp-redis-own-key", ("google_redis_instance",), starts_with("customer_managed_key", GOOGLE_KEY), "state"),
    Rule("gcp-redis-zones", ("google_redis_instance",), equals("tier", "STANDARD_HA"), only_in=PRODUCTION),
    Rule("gcp-redis-keeps-state", ("google_redis_instance",), lambda r: r.values["redis_configs"].get("maxmemory-policy") == "noeviction"),
    Rule("gcp-kafka-own-key", ("google_managed_kafka_cluster",), starts_with("gcp_config.kms_key", GOOGLE_KEY), "state"),
    Rule("gcp-kafka-signed-in", ("google_managed_kafka_cluster",), lambda r: bool(r.at("tls_config.trust_config.cas_configs")), "state"),
    Rule("gcp-kafka-partitions", ("google_managed_kafka_topic",), lambda r: r.at("partition_count") == (1 if r.at("topic_id").endswith((".dlq", ".health")) else 6)),
    Rule("gcp-topics-own-key", ("google_pubsub_topic",), starts_with("kms_key_name", GOOGLE_KEY), "state"),
    Rule("gcp-subscription-order", ("google_pubsub_subscription",), either(is_true("enable_message_ordering"), lambda r: r.at("name").startswith("kept-"))),
    Rule("gcp-bucket-private", ("google_storage_bucket",), every(equals("public_access_prevention", "enforced"), is_true("uniform_bucket_level_access"))),
    Rule("gcp-bucket-own-key", ("google_storage_bucket",), starts_with("encryption.default_kms_key_name", GOOGLE_KEY), "state"),
    Rule("gcp-bucket-kept", ("google_storage_bucket",), is_false("force_destroy")),
    Rule("gcp-backups-locked", ("google_storage_bucket",), either(is_true("retention_policy.is_locked"), lambda r: "locked" not in r.address), only_in=PRODUCTION),
    Rule("gcp-secrets-own-key", ("google_secret_manager_secret",), lambda r: all(str(replica["customer_managed_encryption"][0]["kms_key_name"]).startswith(GOOGLE_KEY) for replica in r.at("replication.user_managed")["replicas"]) if isinstance(r.at("replication.user_managed"), dict) else all(str(replica["customer_managed_encryption"][0]["kms_key_name"]).startswith(GOOGLE_KEY) for block in r.at("replication.user_managed") for replica in block["replicas"]), "state"),
    Rule("gcp-keys-rotate", ("google_kms_crypto_key",), lambda r: int(r.values["rotation_period"].rstrip("s")) <= 90 * 24 * 60 * 60),
    Rule("gcp-images-own-key", ("google_artifact_registry_repository",), starts_with("kms_key_name", GOOGLE_KEY), "state"),
    Rule("gcp-images-fixed", ("google_artifact_registry_repository",), is_true("docker_config.immutable_tags")),
    Rule("gcp-cluster-private-nodes", ("google_container_cluster",), is_true("private_cluster_config.enable_private_nodes")),
    Rule("gcp-cluster-not-open", ("google_container_cluster",), lambda r: bool(r.at("master_authorized_networks_config.cidr_blocks")) and all(block["cidr_block"] != "0.0.0.0/0" for config in r.values["master_authorized_networks_config"] for block in config["cidr_blocks"])),
    Rule("gcp-cluster-secrets-own-key", ("google_container_cluster",), starts_with("database_encryption.key_name", GOOGLE_KEY), "state"),
    Rule("gcp-cluster-kept", ("google_container_cluster",), is_true("deletion_protection"), only_in=PRODUCTION),
    Rule("gcp-cluster-policies", ("google_container_cluster",), equals("datapath_provider", "ADVANCED_DATAPATH")),
    Rule("gcp-pod-identity", ("google_container_node_pool",), equals("node_config.workload_metadata_config.mode", "GKE_METADATA")),
    Rule("gcp-node-disk-own-key", ("google_container_node_pool",), starts_with("node_config.boot_disk_kms_key", GOOGLE_KEY), "state"),
    Rule("gcp-node-zones", ("google_container_node_pool",), lambda r: len(r.values["node_locations"]) == 3, only_in=PRODUCTION),
    Rule("gcp-node-boot", ("google_container_node_pool",), is_true("node_config.shielded_instance_config.enable_secure_boot")),
    Rule("gcp-network-watched", ("google_compute_subnetwork",), lambda r: bool(r.values["log_config"])),
    Rule("gcp-network-private-calls", ("google_compute_subnetwork",), is_true("private_ip_google_access")),
    Rule("gcp-firewall-named", ("google_compute_firewall",), lambda r: bool(r.values["deny"]) or "0.0.0.0/0" not in r.values["source_ranges"]),
    Rule("gcp-rights-not-basic", ("google_project_iam_member",), gives_no_basic_role),
    Rule("gcp-rights-not-public", ("google_storage_bucket_iam_member", "google_pubsub_topic_iam_member", "google_secret_manager_secret_iam_member", "google_project_iam_member"), is_given_to_somebody, "state"),
    Rule("gcp-zone-signed", ("google_dns_managed_zone",), equals("dnssec_config.state", "on")),
    Rule("gcp-edge-tls", ("google_compute_ssl_policy",), every(equals("profile", "RESTRICTED"), equals("min_tls_version", "TLS_1_2"))),
    Rule("gcp-alerts-heard", ("google_monitoring_alert_policy",), lambda r: bool(r.values["notification_channels"]), "state"),
    # --- Azure
    Rule("azure-database-private", ("azurerm_postgresql_flexible_server",), is_false("public_network_access_enabled")),
    Rule("azure-database-no-password", ("azurerm_postgresql_flexible_server",), every(is_false("authentication.password_auth_enabled"), is_true("authentication.active_directory_auth_enabled"))),
    Rule("azure-database-own-key", ("azurerm_postgresql_flexible_server",), starts_with("customer_managed_key.key_vault_key_id", AZURE_KEY), "state"),
    Rule("azure-database-zones", ("azurerm_postgresql_flexible_server",), equals("high_availability.mode", "ZoneRedundant"), only_in=PRODUCTION),
    Rule("azure-database-copied", ("azurerm_postgresql_flexible_server",), is_true("geo_redundant_backup_enabled"), only_in=PRODUCTION),
    Rule("azure-database-tls", ("azurerm_postgresql_flexible_server_configuration",), lambda r: r.values["name"] != "require_secure_transport" or r.values["value"] == "on"),
    Rule("azure-redis-private", ("azurerm_managed_redis",), equals("public_network_access", "Disabled")),
    Rule("azure-redis-tls", ("azurerm_managed_redis",), equals("default_database.client_protocol", "Encrypted")),
    Rule("azure-redis-own-key", ("azurerm_managed_redis",), starts_with("customer_managed_key.key_vault_key_id", AZURE_KEY), "state"),
    Rule("azure-redis-zones", ("azurerm_managed_redis",), is_true("high_availability_enabled"), only_in=PRODUCTION),
    Rule("azure-redis-keeps-state", ("azurerm_managed_redis",), every(equals("default_database.eviction_policy", "NoEviction"), equals("default_database.persistence_append_only_file_backup_frequency", "1s"))),
    Rule("azure-messaging-private", ("azurerm_eventhub_namespace",), is_false("public_network_access_enabled")),
    Rule("azure-messaging-tls", ("azurerm_eventhub_namespace",), equals("minimum_tls_version", "1.2")),
    Rule("azure-messaging-own-key", ("azurerm_eventhub_namespace_customer_managed_key",), lambda r: all(key.startswith(AZURE_KEY) for key in r.values["key_vault_key_ids"]), "state"),
    Rule("azure-messaging-cannot-manage", ("azurerm_eventhub_namespace_authorization_rule",), is_false("manage")),
    Rule("azure-messaging-partitions", ("azurerm_eventhub",), lambda r: r.at("partition_count") == (1 if r.at("name").endswith((".dlq", ".health")) else 6)),
    Rule("azure-storage-private", ("azurerm_storage_account",), every(either(is_false("public_network_access_enabled"), lambda r: r.address.endswith(".state")), equals("network_rules.default_action", "Deny"), is_false("allow_nested_items_to_be_public"))),
    Rule("azure-storage-no-keys", ("azurerm_storage_account",), is_false("shared_access_key_enabled")),
    Rule("azure-storage-tls", ("azurerm_storage_account",), every(equals("min_tls_version", "TLS1_2"), is_true("https_traffic_only_enabled"))),
    Rule("azure-storage-own-key", ("azurerm_storage_account",), either(starts_with("customer_managed_key.key_vault_key_id", AZURE_KEY), lambda r: r.address.endswith(".state")), "state"),
    Rule("azure-backups-locked", ("azurerm_storage_container_immutability_policy",), every(is_true("locked"), lambda r: r.at("immutability_period_in_days") >= 30), only_in=PRODUCTION),
    Rule("azure-vault-backups-locked", ("azurerm_data_protection_backup_vault",), equals("immutability", "Locked"), only_in=PRODUCTION),
    Rule("azure-vault-closed", ("azurerm_key_vault",), every(equals("network_acls.default_action", "Deny"), is_true("purge_protection_enabled"), is_true("rbac_authorization_enabled"))),
    Rule("azure-keys-rotate", ("azurerm_key_vault_key",), lambda r: bool(r.at("rotation_policy.automatic.time_before_expiry"))),
    Rule("azure-cluster-no-local-account", ("azurerm_kubernetes_cluster",), every(is_true("local_account_disabled"), is_true("azure_active_directory_role_based_access_control.azure_rbac_enabled"), is_false("run_command_enabled"))),
    Rule("azure-cluster-not-open", ("azurerm_kubernetes_cluster",), lambda r: r.at("api_server_access_profile.authorized_ip_ranges") and "0.0.0.0/0" not in r.at("api_server_access_profile.authorized_ip_ranges")),
    Rule("azure-cluster-secrets-own-key", ("azurerm_kubernetes_cluster",), starts_with("key_management_service.key_vault_key_id", AZURE_KEY), "state"),
    Rule("azure-cluster-policies", ("azurerm_kubernetes_cluster",), equals("network_profile.network_policy", "cilium")),
    Rule("azure-node-encrypted", ("azurerm_kubernetes_cluster",), every(is_true("default_node_pool.host_encryption_enabled"), is_false("default_node_pool.node_public_ip_enabled"))),
    Rule("azure-node-zones", ("azurerm_kubernetes_cluster",), lambda r: len(r.at("default_node_pool.zones")) == 3, only_in=PRODUCTION),
    Rule("azure-pod-identity", ("azurerm_kubernetes_cluster",), every(is_true("workload_identity_enabled"), is_true("oidc_issuer_enabled"))),
    Rule("azure-kept", ("azurerm_management_lock",), equals("lock_level", "CanNotDelete"), only_in=PRODUCTION),
    Rule("azure-images-signed-in", ("azurerm_container_registry",), every(is_false("admin_enabled"), is_false("anonymous_pull_enabled"))),
    Rule("azure-network-closed", ("azurerm_network_security_group",), lets_in_only_https),
    Rule("azure-network-watched", ("azurerm_network_watcher_flow_log",), is_true("enabled")),
    Rule("azure-rights-not-wide", ("azurerm_role_assignment",), gives_no_owner),
    Rule("azure-alerts-heard", ("azurerm_monitor_metric_alert",), lambda r: bool(r.values["action"]), "state"),
]

# Resources whose loss cannot be made good: each has prevent_destroy in its source.
GUARDED = [
    'aws_kms_key" "state', 'aws_s3_bucket" "state',
    'google_kms_crypto_key" "this', 'google_kms_crypto_key" "state', 'google_storage_bucket" "state', 'google_managed_kafka_topic" "this',
    'azurerm_key_vault_key" "this', 'azurerm_eventhub" "this', 'azurerm_postgresql_flexible_server_database" "history', 'azurerm_storage_account" "state',
]  # fmt: skip


def judge(report: TestReport, environment: str) -> tuple[int, list[str]]:
    """Returns how many times a rule was applied, and what broke one."""
    judged, broken = 0, []
    for rule in RULES:
        if rule.only_in not in (None, environment):
            continue
        resources = report.plan if rule.look_in == "plan" else report.state
        for resource in resources:
            if resource.kind not in rule.kinds:
                continue
            judged += 1
            try:
                holds = rule.holds(resource)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                holds = False
            if not holds:
                broken.append(f"{rule.name}: {resource.address}")
    return judged, broken


def without_a_subject(reports: dict[str, TestReport]) -> list[str]:
    """Rules that found nothing to judge anywhere: a renamed resource must not pass by being absent."""
    kinds = {resource.kind for report in reports.values() for resource in report.plan}
    return [rule.name for rule in RULES if not set(rule.kinds) & kinds]


def unguarded(stacks: Path) -> list[str]:
    missing = set(GUARDED)
    for source in stacks.rglob("*.tf"):
        for block in re.split(r"\n(?=resource )", source.read_text()):
            for guarded in GUARDED:
                if block.startswith(f'resource "{guarded}"') and "prevent_destroy = true" in block:
                    missing.discard(guarded)
    return [f"prevent_destroy is missing: {guarded}" for guarded in sorted(missing)]
