output "bucket" {
  description = "Bucket that backups are written to."
  value       = aws_s3_bucket.locked["backups"].id
}

output "bucket_arn" {
  description = "ARN of the bucket that backups are written to."
  value       = aws_s3_bucket.locked["backups"].arn
}

output "recovery_bucket" {
  description = "Bucket with the copies in the recovery region."
  value       = aws_s3_bucket.locked["recovery"].id
}

output "access_log_bucket" {
  description = "Bucket that the load balancer's access logs go to."
  value       = aws_s3_bucket.access_logs.id

  depends_on = [aws_s3_bucket_policy.access_logs]
}
