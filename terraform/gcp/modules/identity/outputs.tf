output "members" {
  description = "IAM member of each identity."
  value       = { for name, account in google_service_account.this : name => account.member }
}

output "ids" {
  description = "Service account of each identity."
  value       = { for name, account in google_service_account.this : name => account.email }
}
