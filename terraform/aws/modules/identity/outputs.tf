output "ids" {
  description = "IAM role of each identity."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "policies" {
  description = "What each identity may do; tests read it."
  value       = { for name, policy in aws_iam_role_policy.this : name => policy.policy }
}
