output "bucket" {
  description = "Bucket that backups are written to."
  value       = google_storage_bucket.locked["backups"].name
}

output "recovery_bucket" {
  description = "Bucket with the copies in the recovery region."
  value       = google_storage_bucket.locked["recovery"].name
}

output "snapshot_bucket" {
  description = "Bucket for exports of the state."
  value       = google_storage_bucket.snapshots.name
}
