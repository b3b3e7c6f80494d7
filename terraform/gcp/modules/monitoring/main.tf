# Cloud Monitoring beside Prometheus: it watches what lives outside the cluster, and goes on watching when
# the cluster does not. The application's own signals come as log lines, which log-based metrics count.

locals {
  # Only the namespace of this environment, so that a stray test pod counts for nothing.
  application = "resource.type=\"k8s_container\" resource.labels.namespace_name=\"${var.namespace}\""

  application_metrics = {
    dead_letters  = { filter = "jsonPayload.message=\"event dead-lettered\"", description = "Events that went to a dead-letter topic" }
    server_errors = { filter = "jsonPayload.level=\"ERROR\"", description = "Error lines of the application" }
    backups       = { filter = "jsonPayload.message=\"backup finished\"", description = "Backups that finished" }
  }

  log_metric = { for name, metric in local.application_metrics : name => "metric.type=\"logging.googleapis.com/user/${var.prefix}-${name}\" resource.type=\"k8s_container\"" }

  alerts = {
    dead-letters     = { text = "Something could not be handled. Runbook: DeadLetters.", filter = local.log_metric.dead_letters, aligner = "ALIGN_DELTA", threshold = 0, seconds = 0, severity = "CRITICAL" }
    server-errors    = { text = "The application logs errors. Runbook: HighErrorRate.", filter = local.log_metric.server_errors, aligner = "ALIGN_RATE", threshold = 0.1, seconds = 120, severity = "WARNING" }
    database-cpu     = { text = "The history database is busy. Runbook: DatabaseDown.", filter = "metric.type=\"cloudsql.googleapis.com/database/cpu/utilization\" resource.type=\"cloudsql_database\"", aligner = "ALIGN_MEAN", threshold = 0.85, seconds = 900, severity = "WARNING" }
    database-storage = { text = "The history database's disk is 85 % full. Runbook: DiskFull.", filter = "metric.type=\"cloudsql.googleapis.com/database/disk/utilization\" resource.type=\"cloudsql_database\"", aligner = "ALIGN_MEAN", threshold = 0.85, seconds = 600, severity = "CRITICAL" }
    redis-memory     = { text = "State fills its memory; writes are refused when it is full. Runbook: RedisMemory.", filter = "metric.type=\"redis.googleapis.com/stats/memory/usage_ratio\" resource.type=\"redis_instance\"", aligner = "ALIGN_MEAN", threshold = 0.75, seconds = 600, severity = "CRITICAL" }
    consumer-lag     = { text = "History is 100 events behind or more. Runbook: ConsumerLagHigh.", filter = "metric.type=\"managedkafka.googleapis.com/offset_lag\" resource.type=\"managedkafka.googleapis.com/TopicPartition\"", aligner = "ALIGN_MAX", threshold = 99, seconds = 300, severity = "WARNING" }
    pubsub-backlog   = { text = "A subscription is five minutes behind. Runbook: ConsumerLagHigh.", filter = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" resource.type=\"pubsub_subscription\" NOT resource.labels.subscription_id=starts_with(\"kept-\")", aligner = "ALIGN_MAX", threshold = 300, seconds = 300, severity = "WARNING" }
    slow-answers     = { text = "95 of 100 answers take longer than half a second. Runbook: HighLatency.", filter = "metric.type=\"loadbalancing.googleapis.com/https/total_latencies\" resource.type=\"https_lb_rule\"", aligner = "ALIGN_PERCENTILE_95", threshold = 500, seconds = 300, severity = "WARNING" }
  }

  charts = {
    "Requests a second"             = { filter = "metric.type=\"loadbalancing.googleapis.com/https/request_count\" resource.type=\"https_lb_rule\"", aligner = "ALIGN_RATE" }
    "Response time, p95, ms"        = { filter = local.alerts.slow-answers.filter, aligner = "ALIGN_PERCENTILE_95" }
    "History: consumer lag"         = { filter = local.alerts.consumer-lag.filter, aligner = "ALIGN_MAX" }
    "State: memory used"            = { filter = local.alerts.redis-memory.filter, aligner = "ALIGN_MEAN" }
    "History database: CPU"         = { filter = local.alerts.database-cpu.filter, aligner = "ALIGN_MEAN" }
    "History database: disk"        = { filter = local.alerts.database-storage.filter, aligner = "ALIGN_MEAN" }
    "Dead letters"                  = { filter = local.log_metric.dead_letters, aligner = "ALIGN_DELTA" }
    "Backups finished"              = { filter = local.log_metric.backups, aligner = "ALIGN_DELTA" }
    "Pub/Sub: oldest unacked, s"    = { filter = local.alerts.pubsub-backlog.filter, aligner = "ALIGN_MAX" }
    "Application: error lines, 1/s" = { filter = local.log_metric.server_errors, aligner = "ALIGN_RATE" }
  }
}

resource "google_logging_metric" "application" {
  for_each = local.application_metrics

  project     = var.project
  name        = "${var.prefix}-${each.key}"
  description = each.value.description
  filter      = "${local.application} ${each.value.filter}"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_logging_project_bucket_config" "default" {
  project        = var.project
  location       = "global"
  bucket_id      = "_Default"
  retention_days = var.log_days
}

# Who did what, in a bucket of its own that is kept longer than the rest.
resource "google_logging_project_bucket_config" "audit" {
  project        = var.project
  location       = var.region
  bucket_id      = "${var.prefix}-audit"
  retention_days = max(var.log_days, 365)
}

resource "google_logging_project_sink" "audit" {
  project                = var.project
  name                   = "${var.prefix}-audit"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = "logName:\"cloudaudit.googleapis.com\" OR jsonPayload.category=\"security\""
  unique_writer_identity = true
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  project      = var.project
  display_name = each.value
  type         = "email"
  labels       = { email_address = each.value }
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alerts

  project               = var.project
  display_name          = "${var.prefix} ${each.key}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  conditions {
    display_name = each.key

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "${each.value.seconds}s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = each.value.aligner
      }
    }
  }

  depends_on = [google_logging_metric.application]
}

resource "google_monitoring_alert_policy" "backup_missing" {
  project               = var.project
  display_name          = "${var.prefix} backup-missing"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  documentation {
    content   = "No backup finished within a day. Runbook: BackupMissing."
    mime_type = "text/markdown"
  }

  conditions {
    display_name = "backup-missing"

    condition_absent {
      filter   = local.log_metric.backups
      duration = "84600s"

      aggregations {
        alignment_period   = "3600s"
        per_series_aligner = "ALIGN_DELTA"
      }
    }
  }

  depends_on = [google_logging_metric.application]
}

resource "google_monitoring_uptime_check_config" "health" {
  project      = var.project
  display_name = "${var.prefix} health"
  timeout      = "10s"
  period       = "60s"

  http_check {
    path         = "/health"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project, host = var.domain }
  }
}

resource "google_monitoring_dashboard" "this" {
  project = var.project

  dashboard_json = jsonencode({
    displayName = var.prefix
    gridLayout = {
      columns = "2"
      widgets = [
        for title, chart in local.charts : {
          title = title
          xyChart = {
            dataSets = [{
              timeSeriesQuery = { timeSeriesFilter = { filter = chart.filter, aggregation = { alignmentPeriod = "60s", perSeriesAligner = chart.aligner } } }
            }]
          }
        }
      ]
    }
  })
}
