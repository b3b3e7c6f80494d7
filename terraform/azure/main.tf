# Tidemark on Azure: the network, the cluster and the stores around it. What runs inside the cluster is not
# here; it comes from Git through Argo CD (environments/*/gitops).

data "azurerm_client_config" "current" {}

locals {
  prefix    = "${var.name}-${var.environment == "production" ? "prod" : "stag"}"
  labels    = merge(var.labels, { application = var.name, environment = var.environment, managed-by = "terraform" })
  namespace = "tidemark-${var.environment}"
  zones     = var.high_availability ? toset(["1", "2", "3"]) : toset(["1"])
}

module "product" {
  source = "../modules/product"
}

resource "azurerm_resource_group" "this" {
  name     = local.prefix
  location = var.region
  tags     = local.labels
}

resource "azurerm_log_analytics_workspace" "this" {
  name                = local.prefix
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  sku                 = "PerGB2018"
  retention_in_days   = var.retention.log_days
  tags                = local.labels
}

module "keys" {
  source = "./modules/keys"

  prefix             = local.prefix
  suffix             = var.suffix
  location           = azurerm_resource_group.this.location
  recovery_location  = var.recovery_region
  resource_group     = azurerm_resource_group.this.name
  tenant_id          = data.azurerm_client_config.current.tenant_id
  operator_object_id = data.azurerm_client_config.current.object_id
  operator_cidrs     = var.kubernetes_api_cidrs
  tags               = local.labels
}

module "network" {
  source = "./modules/network"

  prefix              = local.prefix
  location            = azurerm_resource_group.this.location
  resource_group      = azurerm_resource_group.this.name
  cidr                = var.network_cidr
  flow_log_storage_id = module.backups.flow_log_storage_id
  log_days            = var.retention.log_days
  tags                = local.labels
}

module "cluster" {
  source = "./modules/cluster"

  prefix              = local.prefix
  location            = azurerm_resource_group.this.location
  resource_group      = azurerm_resource_group.this.name
  zones               = local.zones
  kubernetes_version  = var.kubernetes_version
  subnet_id           = module.network.subnet_ids.nodes
  api_cidrs           = var.kubernetes_api_cidrs
  administrators      = var.administrators
  nodes               = var.sizes.nodes
  high_availability   = var.high_availability
  deletion_protection = var.deletion_protection
  vault_id            = module.keys.vault_id
  secret_key_id       = module.keys.keys.cluster.id
  disk_key            = module.keys.keys.data
  workspace_id        = azurerm_log_analytics_workspace.this.id
  tags                = local.labels
}

module "messaging" {
  source = "./modules/messaging"

  prefix             = local.prefix
  location           = azurerm_resource_group.this.location
  recovery_location  = var.high_availability ? var.recovery_region : null
  resource_group     = azurerm_resource_group.this.name
  processing_units   = tonumber(var.sizes.kafka.type)
  events             = module.product.events
  dead_letters       = module.product.dead_letters
  probe              = module.product.probe
  partitions         = module.product.event_partitions
  event_days         = module.product.event_retention_days
  dead_letter_days   = module.product.dead_letter_retention_days
  key                = module.keys.keys.data
  recovery_key       = module.keys.keys.recovery
  endpoint_subnet_id = module.network.subnet_ids.endpoints
  private_zone_id    = module.network.private_zone_ids.eventhub
  tags               = local.labels
}

module "data" {
  source = "./modules/data"

  name                = var.name
  prefix              = local.prefix
  location            = azurerm_resource_group.this.location
  resource_group      = azurerm_resource_group.this.name
  tenant_id           = data.azurerm_client_config.current.tenant_id
  administrators      = var.administrators
  database_user       = "${local.prefix}-history"
  subnet_ids          = module.network.subnet_ids
  private_zone_ids    = module.network.private_zone_ids
  keys                = module.keys.keys
  vault_id            = module.keys.vault_id
  kafka               = module.messaging.kafka
  sizes               = var.sizes
  high_availability   = var.high_availability
  deletion_protection = var.deletion_protection
  retention           = var.retention
  tags                = local.labels
}

module "registry" {
  source = "./modules/registry"

  prefix               = local.prefix
  suffix               = var.suffix
  location             = azurerm_resource_group.this.location
  recovery_location    = var.recovery_region
  resource_group       = azurerm_resource_group.this.name
  high_availability    = var.high_availability
  key                  = module.keys.keys.data
  kubelet_principal_id = module.cluster.kubelet_principal_id
  endpoint_subnet_id   = module.network.subnet_ids.endpoints
  private_zone_id      = module.network.private_zone_ids.registry
  tags                 = local.labels
}

module "backups" {
  source = "./modules/backups"

  prefix             = local.prefix
  suffix             = var.suffix
  location           = azurerm_resource_group.this.location
  resource_group     = azurerm_resource_group.this.name
  resource_group_id  = azurerm_resource_group.this.id
  high_availability  = var.high_availability
  key                = module.keys.keys.backups
  endpoint_subnet_id = module.network.subnet_ids.endpoints
  private_zone_id    = module.network.private_zone_ids.blob
  postgres_id        = module.data.ids.postgres
  backup_days        = var.retention.backup_days
  lock               = var.deletion_protection
  tags               = local.labels
}

resource "azurerm_private_endpoint" "vault" {
  name                = "${local.prefix}-vault"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  subnet_id           = module.network.subnet_ids.endpoints
  tags                = local.labels

  private_service_connection {
    name                           = "vault"
    private_connection_resource_id = module.keys.vault_id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "vault"
    private_dns_zone_ids = [module.network.private_zone_ids.vault]
  }
}

module "edge" {
  source = "./modules/edge"

  prefix         = local.prefix
  location       = azurerm_resource_group.this.location
  resource_group = azurerm_resource_group.this.name
  zones          = local.zones
  domain         = var.domain
  tags           = local.labels
}

module "identity" {
  source = "./modules/identity"

  prefix              = local.prefix
  location            = azurerm_resource_group.this.location
  resource_group      = azurerm_resource_group.this.name
  namespace           = local.namespace
  issuer              = module.cluster.issuer
  roles               = module.product.roles
  secrets             = module.data.secrets
  dns_zone_id         = module.edge.zone_id
  backup_container_id = module.backups.container_id
  redis_id            = module.data.ids.redis
  tags                = local.labels
}

module "monitoring" {
  source = "./modules/monitoring"

  prefix         = local.prefix
  location       = azurerm_resource_group.this.location
  resource_group = azurerm_resource_group.this.name
  namespace      = local.namespace
  workspace_id   = azurerm_log_analytics_workspace.this.id
  alert_emails   = var.alert_emails
  tags           = local.labels

  scopes = {
    cluster  = module.cluster.id
    eventhub = module.messaging.namespace_id
    postgres = module.data.ids.postgres
    redis    = module.data.ids.redis
    vault    = module.keys.vault_id
  }
}

module "governance" {
  source = "./modules/governance"

  prefix             = local.prefix
  resource_group_id  = azurerm_resource_group.this.id
  alert_emails       = var.alert_emails
  monthly_budget_usd = var.monthly_budget_usd
}
