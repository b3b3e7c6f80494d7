# CloudWatch beside Prometheus: it watches what lives outside the cluster, and goes on watching when the
# cluster does not. The application's own signals come as log lines; metric filters count them.

locals {
  metrics = "Tidemark/${var.environment}"

  application_metrics = {
    DeadLetters  = { pattern = "{ $.message = \"event dead-lettered\" }", description = "Events that went to a dead-letter topic" }
    ServerErrors = { pattern = "{ $.level = \"ERROR\" }", description = "Error lines of the application" }
    Backups      = { pattern = "{ $.message = \"backup finished\" }", description = "Backups that finished" }
  }

  alarms = {
    dead-letters = {
      description = "Something could not be handled. Runbook: docs/runbooks, DeadLetters."
      namespace   = local.metrics, metric = "DeadLetters", statistic = "Sum", dimensions = {}
      comparison  = "GreaterThanThreshold", threshold = 0, period = 300, periods = 1, missing = "notBreaching"
    }
    backup-missing = {
      description = "No backup finished within a day. Runbook: BackupMissing."
      namespace   = local.metrics, metric = "Backups", statistic = "Sum", dimensions = {}
      comparison  = "LessThanThreshold", threshold = 1, period = 86400, periods = 1, missing = "breaching"
    }
    backup-copy-late = {
      description = "Backups wait for their copy to the recovery region. Runbook: BackupMissing."
      namespace   = "AWS/S3", metric = "ReplicationLatency", statistic = "Maximum"
      dimensions  = { SourceBucket = var.backup_bucket, DestinationBucket = var.recovery_bucket, RuleId = "to-recovery-region" }
      comparison  = "GreaterThanThreshold", threshold = 900, period = 300, periods = 3, missing = "notBreaching"
    }
    server-errors = {
      description = "More than 1 % of answers are 5xx. Runbook: HighErrorRate."
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum"
      dimensions  = { LoadBalancer = var.load_balancer }
      comparison  = "GreaterThanThreshold", threshold = 30, period = 300, periods = 2, missing = "notBreaching"
    }
    slow-answers = {
      description = "95 of 100 answers take longer than half a second. Runbook: HighLatency."
      namespace   = "AWS/ApplicationELB", metric = "TargetResponseTime", statistic = "p95"
      dimensions  = { LoadBalancer = var.load_balancer }
      comparison  = "GreaterThanThreshold", threshold = 0.5, period = 300, periods = 1, missing = "notBreaching"
    }
    no-healthy-target = {
      description = "The load balancer has nobody to send to. Runbook: SidecarDown."
      namespace   = "AWS/ApplicationELB", metric = "HealthyHostCount", statistic = "Minimum"
      dimensions  = { LoadBalancer = var.load_balancer, TargetGroup = var.target_group }
      comparison  = "LessThanThreshold", threshold = 1, period = 60, periods = 3, missing = "breaching"
    }
    certificate-expiry = {
      description = "The certificate ends within 14 days. Runbook: CertExpiry."
      namespace   = "AWS/CertificateManager", metric = "DaysToExpiry", statistic = "Minimum"
      dimensions  = { CertificateArn = var.certificate_arn }
      comparison  = "LessThanThreshold", threshold = 14, period = 86400, periods = 1, missing = "notBreaching"
    }
    database-cpu = {
      description = "The history database is busy. Runbook: DatabaseDown."
      namespace   = "AWS/RDS", metric = "CPUUtilization", statistic = "Average"
      dimensions  = { DBInstanceIdentifier = var.stores.postgres }
      comparison  = "GreaterThanThreshold", threshold = 85, period = 300, periods = 3, missing = "breaching"
    }
    database-storage = {
      description = "Less than 5 GiB free for history. Runbook: DiskFull."
      namespace   = "AWS/RDS", metric = "FreeStorageSpace", statistic = "Minimum"
      dimensions  = { DBInstanceIdentifier = var.stores.postgres }
      comparison  = "LessThanThreshold", threshold = 5368709120, period = 300, periods = 2, missing = "breaching"
    }
    redis-memory = {
      description = "State fills its memory; writes are refused when it is full. Runbook: RedisMemory."
      namespace   = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", statistic = "Maximum"
      dimensions  = { ReplicationGroupId = var.stores.redis }
      comparison  = "GreaterThanThreshold", threshold = 75, period = 300, periods = 2, missing = "notBreaching"
    }
    kafka-disk = {
      description = "A broker's disk is 85 % full. Runbook: DiskFull."
      namespace   = "AWS/Kafka", metric = "KafkaDataLogsDiskUsed", statistic = "Maximum"
      dimensions  = { "Cluster Name" = var.stores.kafka }
      comparison  = "GreaterThanThreshold", threshold = 85, period = 300, periods = 2, missing = "notBreaching"
    }
    kafka-broker-down = {
      description = "A partition has too few replicas. Runbook: BrokerDown."
      namespace   = "AWS/Kafka", metric = "UnderMinIsrPartitionCount", statistic = "Maximum"
      dimensions  = { "Cluster Name" = var.stores.kafka }
      comparison  = "GreaterThanThreshold", threshold = 0, period = 300, periods = 1, missing = "notBreaching"
    }
    consumer-lag = {
      description = "History is 100 events behind or more. Runbook: ConsumerLagHigh."
      namespace   = "AWS/Kafka", metric = "SumOffsetLag", statistic = "Maximum"
      dimensions  = { "Cluster Name" = var.stores.kafka, "Consumer Group" = "todo-consumer-group-go", Topic = var.ledger }
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 100, period = 300, periods = 1, missing = "notBreaching"
    }
    rabbitmq-ready = {
      description = "Notifications wait in their queue. Runbook: RabbitMqBacklog."
      namespace   = "AWS/AmazonMQ", metric = "MessageReadyCount", statistic = "Maximum"
      dimensions  = { Broker = var.stores.rabbitmq }
      comparison  = "GreaterThanThreshold", threshold = 1000, period = 300, periods = 2, missing = "notBreaching"
    }
  }

  widgets = [
    { title = "Requests and server errors", metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer, { stat = "Sum" }], [".", "HTTPCode_Target_5XX_Count", ".", ".", { stat = "Sum" }]] },
    { title = "Response time, p95 and p99", metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer, { stat = "p95" }], ["...", { stat = "p99" }]] },
    { title = "History: lag of the ledger's consumer", metrics = [["AWS/Kafka", "SumOffsetLag", "Cluster Name", var.stores.kafka, "Consumer Group", "todo-consumer-group-go", "Topic", var.ledger, { stat = "Maximum" }]] },
    { title = "Kafka: disk used, %", metrics = [["AWS/Kafka", "KafkaDataLogsDiskUsed", "Cluster Name", var.stores.kafka, { stat = "Maximum" }]] },
    { title = "State: memory used, %", metrics = [["AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "ReplicationGroupId", var.stores.redis, { stat = "Maximum" }]] },
    { title = "History database: CPU, % and connections", metrics = [["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", var.stores.postgres, { stat = "Average" }], [".", "DatabaseConnections", ".", ".", { stat = "Maximum" }]] },
    { title = "Dead letters and error lines", metrics = [[local.metrics, "DeadLetters", { stat = "Sum" }], [".", "ServerErrors", { stat = "Sum" }]] },
    { title = "Backups finished and copy latency, s", metrics = [[local.metrics, "Backups", { stat = "Sum", period = 86400 }], ["AWS/S3", "ReplicationLatency", "SourceBucket", var.backup_bucket, "DestinationBucket", var.recovery_bucket, "RuleId", "to-recovery-region", { stat = "Maximum" }]] },
  ]
}

# The name is fixed by the log agent, which then finds the group made, encrypted and limited already.
resource "aws_cloudwatch_log_group" "application" {
  name              = "/aws/containerinsights/${var.cluster_name}/application"
  kms_key_id        = var.log_key_arn
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_metric_filter" "application" {
  for_each = local.application_metrics

  name           = "${var.prefix}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.application.name
  pattern        = each.value.pattern

  metric_transformation {
    name          = each.key
    namespace     = local.metrics
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_sns_topic" "alerts" {
  name              = "${var.prefix}-alerts"
  kms_master_key_id = var.log_key_arn
}

resource "aws_sns_topic_policy" "alerts" {
  arn = aws_sns_topic.alerts.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsAndFindings"
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "events.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alerts.arn
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.alert_emails

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.prefix}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.prefix

  dashboard_body = jsonencode({
    widgets = [
      for index, widget in local.widgets : {
        type   = "metric"
        x      = (index % 2) * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = var.region
          view    = "timeSeries"
          period  = 60
          metrics = widget.metrics
        }
      }
    ]
  })
}
