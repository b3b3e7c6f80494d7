output "alert_topic_arn" {
  description = "SNS topic for alerts."
  value       = aws_sns_topic.alerts.arn
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
