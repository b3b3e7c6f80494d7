# Azure Monitor beside Prometheus: it watches what lives outside the cluster, and goes on watching when the
# cluster does not. The application's own signals come as log lines, which queries count.

locals {
  application = "ContainerLogV2 | where PodNamespace == '${var.namespace}' | extend line = parse_json(tostring(LogMessage))"

  # severity: 0 critical … 3 informational
  queries = {
    dead-letters   = { text = "Something could not be handled. Runbook: DeadLetters.", query = "${local.application} | where line.message == 'event dead-lettered'", operator = "GreaterThan", threshold = 0, window = "PT5M", every = "PT5M", severity = 1 }
    server-errors  = { text = "The application logs errors. Runbook: HighErrorRate.", query = "${local.application} | where line.level == 'ERROR'", operator = "GreaterThan", threshold = 30, window = "PT5M", every = "PT5M", severity = 2 }
    backup-missing = { text = "No backup finished within a day. Runbook: BackupMissing.", query = "${local.application} | where line.message == 'backup finished'", operator = "LessThan", threshold = 1, window = "P1D", every = "PT1H", severity = 1 }
  }

  metrics = {
    database-cpu       = { text = "The history database is busy. Runbook: DatabaseDown.", scope = var.scopes.postgres, namespace = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "cpu_percent", aggregation = "Average", operator = "GreaterThan", threshold = 85, severity = 2 }
    database-storage   = { text = "The history database's disk is 85 % full. Runbook: DiskFull.", scope = var.scopes.postgres, namespace = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "storage_percent", aggregation = "Maximum", operator = "GreaterThan", threshold = 85, severity = 1 }
    database-down      = { text = "The history database does not answer. Runbook: DatabaseDown.", scope = var.scopes.postgres, namespace = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "is_db_alive", aggregation = "Maximum", operator = "LessThan", threshold = 1, severity = 0 }
    redis-memory       = { text = "State fills its memory; writes are refused when it is full. Runbook: RedisMemory.", scope = var.scopes.redis, namespace = "Microsoft.Cache/redisEnterprise", metric = "usedmemorypercentage", aggregation = "Maximum", operator = "GreaterThan", threshold = 75, severity = 1 }
    messaging-throttle = { text = "Event Hubs turns events away. Runbook: BrokerDown.", scope = var.scopes.eventhub, namespace = "Microsoft.EventHub/namespaces", metric = "ThrottledRequests", aggregation = "Total", operator = "GreaterThan", threshold = 0, severity = 2 }
    messaging-errors   = { text = "Event Hubs fails. Runbook: BrokerDown.", scope = var.scopes.eventhub, namespace = "Microsoft.EventHub/namespaces", metric = "ServerErrors", aggregation = "Total", operator = "GreaterThan", threshold = 0, severity = 1 }
    node-not-ready     = { text = "A node is not ready. Runbook: PodCrashLoop.", scope = var.scopes.cluster, namespace = "Microsoft.ContainerService/managedClusters", metric = "kube_node_status_condition", aggregation = "Average", operator = "LessThan", threshold = 1, severity = 2 }
  }

  diagnostics = {
    cluster  = ["kube-apiserver", "kube-audit-admin", "kube-controller-manager", "kube-scheduler", "guard"]
    eventhub = ["OperationalLogs", "RuntimeAuditLogs"]
    postgres = ["PostgreSQLLogs"]
    vault    = ["AuditEvent"]
  }

  charts = [for name, alert in local.metrics : merge(alert, { title = alert.metric })]
}

resource "azurerm_monitor_action_group" "this" {
  name                = "${var.prefix}-alerts"
  resource_group_name = var.resource_group
  short_name          = substr(replace(var.prefix, "-", ""), 0, 12)
  tags                = var.tags

  dynamic "email_receiver" {
    for_each = var.alert_emails

    content {
      name                    = email_receiver.value
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "this" {
  for_each = local.queries

  name                    = "${var.prefix}-${each.key}"
  description             = each.value.text
  location                = var.location
  resource_group_name     = var.resource_group
  scopes                  = [var.workspace_id]
  severity                = each.value.severity
  evaluation_frequency    = each.value.every
  window_duration         = each.value.window
  auto_mitigation_enabled = true
  tags                    = var.tags

  criteria {
    query                   = each.value.query
    time_aggregation_method = "Count"
    operator                = each.value.operator
    threshold               = each.value.threshold
  }

  action {
    action_groups = [azurerm_monitor_action_group.this.id]
  }
}

resource "azurerm_monitor_metric_alert" "this" {
  for_each = local.metrics

  name                = "${var.prefix}-${each.key}"
  description         = each.value.text
  resource_group_name = var.resource_group
  scopes              = [each.value.scope]
  severity            = each.value.severity
  frequency           = "PT1M"
  window_size         = "PT5M"
  tags                = var.tags

  criteria {
    metric_namespace = each.value.namespace
    metric_name      = each.value.metric
    aggregation      = each.value.aggregation
    operator         = each.value.operator
    threshold        = each.value.threshold
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  for_each = local.diagnostics

  name                       = var.prefix
  target_resource_id         = var.scopes[each.key]
  log_analytics_workspace_id = var.workspace_id

  dynamic "enabled_log" {
    for_each = each.value

    content {
      category = enabled_log.value
    }
  }

  enabled_metric {
    category = "AllMetrics"
  }
}

# Prometheus's metrics of the cluster, kept by Azure as well.
resource "azurerm_monitor_workspace" "this" {
  name                = var.prefix
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_monitor_data_collection_rule" "prometheus" {
  name                = "${var.prefix}-prometheus"
  location            = var.location
  resource_group_name = var.resource_group
  kind                = "Linux"
  tags                = var.tags

  data_sources {
    prometheus_forwarder {
      name    = "prometheus"
      streams = ["Microsoft-PrometheusMetrics"]
    }
  }

  destinations {
    monitor_account {
      name               = "workspace"
      monitor_account_id = azurerm_monitor_workspace.this.id
    }
  }

  data_flow {
    streams      = ["Microsoft-PrometheusMetrics"]
    destinations = ["workspace"]
  }
}

resource "azurerm_monitor_data_collection_rule_association" "prometheus" {
  name                    = "${var.prefix}-prometheus"
  target_resource_id      = var.scopes.cluster
  data_collection_rule_id = azurerm_monitor_data_collection_rule.prometheus.id
}

resource "azurerm_portal_dashboard" "this" {
  name                = var.prefix
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags

  dashboard_properties = jsonencode({
    lenses = [{
      order = 0
      parts = [
        for index, chart in local.charts : {
          position = { x = (index % 2) * 6, y = floor(index / 2) * 4, colSpan = 6, rowSpan = 4 }
          metadata = {
            type   = "Extension/HubsExtension/PartType/MonitorChartPart"
            inputs = []
            settings = {
              content = {
                options = {
                  chart = {
                    title = chart.title
                    metrics = [{
                      resourceMetadata = { id = chart.scope }
                      namespace        = chart.namespace
                      name             = chart.metric
                      aggregationType  = { Average = 4, Maximum = 3, Total = 1 }[chart.aggregation]
                    }]
                  }
                }
              }
            }
          }
        }
      ]
    }]
  })
}
