output "channels" {
  description = "Notification channels."
  value       = [for channel in google_monitoring_notification_channel.email : channel.id]
}

output "dashboard" {
  description = "Id of the dashboard."
  value       = google_monitoring_dashboard.this.id
}
