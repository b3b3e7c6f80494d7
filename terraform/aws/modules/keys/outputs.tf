output "arns" {
  description = "ARN of each key: data, secrets, logs, backups, recovery."
  value       = { for purpose, key in aws_kms_key.this : purpose => key.arn }
}
