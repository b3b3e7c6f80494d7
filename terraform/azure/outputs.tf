# The outputs that all clouds share: same names, same shapes.

output "cluster" {
  description = "The Kubernetes cluster: its name, where it is, and the command that connects kubectl to it."
  value = {
    name            = module.cluster.name
    location        = var.region
    connect_command = "az aks get-credentials --resource-group ${azurerm_resource_group.this.name} --name ${module.cluster.name} && kubelogin convert-kubeconfig --login azurecli"
  }
}

output "registry" {
  description = "Where images are pushed to and pulled from."
  value       = module.registry.url
}

output "name_servers" {
  description = "Name servers to delegate the domain to."
  value       = module.edge.name_servers
}

output "endpoints" {
  description = "Where each store is reached from inside the network."
  value       = merge(module.data.endpoints, { kafka = module.messaging.brokers })
}

output "secrets" {
  description = "Name of each secret in the cloud's secret store; Dapr's components read them by it."
  value       = module.data.secret_names
}

output "identities" {
  description = "The cloud identity of each of Tidemark's roles and operators."
  value       = module.identity.ids
}

output "backups" {
  description = "Where backups are written, and where their copies are."
  value = {
    primary  = module.backups.bucket
    recovery = module.backups.recovery_bucket
  }
}

output "dashboard" {
  description = "Name of the cloud's own dashboard."
  value       = module.monitoring.dashboard
}

output "cloud_values" {
  description = "What the Helm values of this cloud need besides."
  value = {
    vault_name     = module.keys.vault_name
    resource_group = azurerm_resource_group.this.name
    address_name   = module.edge.address_name
  }
}

output "labels" {
  description = "What every resource is tagged with."
  value       = local.labels
}
