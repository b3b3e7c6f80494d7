# Managed Kafka: the whole contract of Tidemark's events (order per key, six partitions, raw bytes). Clients
# prove who they are by a certificate of the pool below, which cert-manager issues in the cluster; the
# access lists name them by it.

resource "google_managed_kafka_cluster" "this" {
  project    = var.project
  cluster_id = "${var.prefix}-kafka"
  location   = var.region

  capacity_config {
    vcpu_count   = var.kafka_vcpus
    memory_bytes = tostring(tonumber(var.kafka_vcpus) * 4 * 1024 * 1024 * 1024)
  }

  gcp_config {
    kms_key = var.key_id

    access_config {
      network_configs {
        subnet = var.subnet_id
      }
    }
  }

  rebalance_config {
    mode = "AUTO_REBALANCE_ON_SCALE_UP"
  }

  tls_config {
    # CN=tidemark-history becomes the principal User:tidemark-history.
    ssl_principal_mapping_rules = "RULE:^CN=([^,]+).*$/$1/,DEFAULT"

    trust_config {
      cas_configs {
        ca_pool = google_privateca_ca_pool.clients.id
      }
    }
  }
}

resource "google_managed_kafka_topic" "this" {
  for_each = local.topics

  project            = var.project
  location           = var.region
  cluster            = google_managed_kafka_cluster.this.cluster_id
  topic_id           = each.key
  partition_count    = each.value.partitions
  replication_factor = 3

  configs = {
    "cleanup.policy"      = "delete"
    "min.insync.replicas" = "2"
    "retention.ms"        = tostring(each.value.days * 24 * 60 * 60 * 1000)
  }

  # A topic that is made anew loses its events, and with another number of partitions their order.
  lifecycle {
    prevent_destroy = true
  }
}

# All roles publish through one Dapr component and so by one certificate; consumers have their own.
locals {
  publisher = "User:tidemark-application"
  published = distinct(flatten([for role in var.roles : role.publishes]))

  topic_rights = {
    for topic in keys(local.topics) : topic => concat(
      contains(local.published, topic) ? [for operation in ["DESCRIBE", "WRITE"] : { principal = local.publisher, operation = operation }] : [],
      flatten([
        for name, role in var.roles : [
          for operation in ["DESCRIBE", "READ"] : { principal = "User:tidemark-${name}", operation = operation }
        ] if contains(role.consumes, topic)
      ]),
    )
  }

  group_rights = merge([
    for name, role in var.roles : {
      for group in role.consumer_groups :
      (endswith(group, "*") ? "consumerGroupPrefixed/${trimsuffix(group, "*")}" : "consumerGroup/${group}") => "User:tidemark-${name}"
    }
  ]...)
}

resource "google_managed_kafka_acl" "topic" {
  for_each = local.topic_rights

  project  = var.project
  location = var.region
  cluster  = google_managed_kafka_cluster.this.cluster_id
  acl_id   = "topic/${each.key}"

  dynamic "acl_entries" {
    for_each = each.value

    content {
      principal       = acl_entries.value.principal
      operation       = acl_entries.value.operation
      permission_type = "ALLOW"
      host            = "*"
    }
  }
}

resource "google_managed_kafka_acl" "group" {
  for_each = local.group_rights

  project  = var.project
  location = var.region
  cluster  = google_managed_kafka_cluster.this.cluster_id
  acl_id   = each.key

  acl_entries {
    principal       = each.value
    operation       = "READ"
    permission_type = "ALLOW"
    host            = "*"
  }
}

resource "google_privateca_ca_pool" "clients" {
  project  = var.project
  name     = "${var.prefix}-kafka-clients"
  location = var.region
  tier     = "DEVOPS"

  publishing_options {
    publish_ca_cert = false
    publish_crl     = false
  }

  issuance_policy {
    maximum_lifetime = "2592000s"

    identity_constraints {
      allow_subject_passthrough           = true
      allow_subject_alt_names_passthrough = false
    }

    baseline_values {
      ca_options {
        is_ca = false
      }

      key_usage {
        base_key_usage {
          digital_signature = true
        }

        extended_key_usage {
          client_auth = true
        }
      }
    }
  }
}

resource "google_privateca_certificate_authority" "clients" {
  project                  = var.project
  certificate_authority_id = "${var.prefix}-kafka-clients"
  location                 = var.region
  pool                     = google_privateca_ca_pool.clients.name
  deletion_protection      = var.deletion_protection
  lifetime                 = "315360000s"

  config {
    subject_config {
      subject {
        common_name  = "${var.prefix} Kafka clients"
        organization = "Tidemark"
      }
    }

    x509_config {
      ca_options {
        is_ca = true
      }

      key_usage {
        base_key_usage {
          cert_sign = true
          crl_sign  = true
        }

        extended_key_usage {
          client_auth = true
        }
      }
    }
  }

  key_spec {
    algorithm = "EC_P256_SHA256"
  }
}
