# Event Hubs by its Kafka endpoint. Premium, for three reasons: the seventeen topics (Standard holds ten),
# dead letters kept for thirty days (Standard keeps seven), and compressed batches.

resource "azurerm_eventhub_namespace" "this" {
  name                          = "${var.prefix}-events"
  location                      = var.location
  resource_group_name           = var.resource_group
  sku                           = "Premium"
  capacity                      = var.processing_units
  minimum_tls_version           = "1.2"
  public_network_access_enabled = false
  local_authentication_enabled  = true
  tags                          = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.key.identity_id]
  }
}

resource "azurerm_eventhub_namespace_customer_managed_key" "this" {
  eventhub_namespace_id             = azurerm_eventhub_namespace.this.id
  key_vault_key_ids                 = [var.key.id]
  user_assigned_identity_id         = var.key.identity_id
  infrastructure_encryption_enabled = true
}

locals {
  topics = merge(
    { for topic in var.events : topic => { partitions = var.partitions, days = var.event_days } },
    { for topic in var.dead_letters : topic => { partitions = 1, days = var.dead_letter_days } },
    { (var.probe) = { partitions = 1, days = 1 } },
  )
}

resource "azurerm_eventhub" "this" {
  for_each = local.topics

  name            = each.key
  namespace_id    = azurerm_eventhub_namespace.this.id
  partition_count = each.value.partitions

  retention_description {
    cleanup_policy          = "Delete"
    retention_time_in_hours = each.value.days * 24
  }

  # A topic that is made anew loses its events, and with another number of partitions their order.
  lifecycle {
    prevent_destroy = true
  }
}

# Dapr's Kafka component signs in to Event Hubs by a connection string only. It may send and listen, not
# manage; one component serves all roles, so the roles cannot be told apart here.
resource "azurerm_eventhub_namespace_authorization_rule" "application" {
  name                = "application"
  namespace_name      = azurerm_eventhub_namespace.this.name
  resource_group_name = var.resource_group
  listen              = true
  send                = true
  manage              = false
}

resource "azurerm_eventhub_namespace_schema_group" "events" {
  name                 = "events"
  namespace_id         = azurerm_eventhub_namespace.this.id
  schema_type          = "Avro"
  schema_compatibility = "Backward"
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.prefix}-events"
  location            = var.location
  resource_group_name = var.resource_group
  subnet_id           = var.endpoint_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "events"
    private_connection_resource_id = azurerm_eventhub_namespace.this.id
    subresource_names              = ["namespace"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "events"
    private_dns_zone_ids = [var.private_zone_id]
  }
}

# The names of the topics go to the recovery region with the alias; their events do not. The ledger's
# events are in the history database, whose backups are copied.
resource "azurerm_eventhub_namespace" "recovery" {
  count = var.recovery_location == null ? 0 : 1

  name                          = "${var.prefix}-events-r"
  location                      = coalesce(var.recovery_location, var.location)
  resource_group_name           = var.resource_group
  sku                           = "Premium"
  capacity                      = 1
  minimum_tls_version           = "1.2"
  public_network_access_enabled = false
  local_authentication_enabled  = true
  tags                          = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.recovery_key.identity_id]
  }
}

resource "azurerm_eventhub_namespace_customer_managed_key" "recovery" {
  count = var.recovery_location == null ? 0 : 1

  eventhub_namespace_id             = azurerm_eventhub_namespace.recovery[0].id
  key_vault_key_ids                 = [var.recovery_key.id]
  user_assigned_identity_id         = var.recovery_key.identity_id
  infrastructure_encryption_enabled = true
}

resource "azurerm_eventhub_namespace_disaster_recovery_config" "this" {
  count = var.recovery_location == null ? 0 : 1

  name                 = "${var.prefix}-events-alias"
  resource_group_name  = var.resource_group
  namespace_name       = azurerm_eventhub_namespace.this.name
  partner_namespace_id = azurerm_eventhub_namespace.recovery[0].id
}
