output "namespaces" {
  description = "Namespaces that Terraform filled."
  value       = module.gitops.namespaces
}
