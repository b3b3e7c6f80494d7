output "namespaces" {
  description = "Namespaces that Terraform filled."
  value       = [helm_release.rollouts.namespace, helm_release.dapr.namespace, helm_release.argocd.namespace]
}
