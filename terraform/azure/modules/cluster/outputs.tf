output "id" {
  description = "The cluster."
  value       = azurerm_kubernetes_cluster.this.id
}

output "name" {
  description = "Name of the cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "issuer" {
  description = "Issuer of the pods' identity tokens."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}

output "kubelet_principal_id" {
  description = "Identity that pulls images."
  value       = azurerm_user_assigned_identity.kubelet.principal_id
}
