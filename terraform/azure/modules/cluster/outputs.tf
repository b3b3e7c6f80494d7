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
  value       = azurerm_kubernetes_cluster.this.kubelet_identity[0].object_id
}
