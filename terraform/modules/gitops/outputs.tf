output "namespaces" {
  description = "Namespaces that Terraform filled."
  value       = [helm_release.dapr.namespace, helm_release.argocd.namespace]
}
