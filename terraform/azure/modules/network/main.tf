# One virtual network: nodes, the delegated subnet of PostgreSQL, and the private endpoints of everything
# else. No store has a public address.

locals {
  private_zones = {
    blob     = "privatelink.blob.core.windows.net"
    eventhub = "privatelink.servicebus.windows.net"
    postgres = "${var.prefix}.private.postgres.database.azure.com"
    redis    = "privatelink.redis.azure.net"
    registry = "privatelink.azurecr.io"
    vault    = "privatelink.vaultcore.azure.net"
  }
}

resource "azurerm_virtual_network" "this" {
  name                = var.prefix
  location            = var.location
  resource_group_name = var.resource_group
  address_space       = [var.cidr]
  tags                = var.tags
}

resource "azurerm_subnet" "nodes" {
  name                            = "nodes"
  resource_group_name             = var.resource_group
  virtual_network_name            = azurerm_virtual_network.this.name
  address_prefixes                = [cidrsubnet(var.cidr, 4, 0)]
  default_outbound_access_enabled = false
}

resource "azurerm_subnet" "postgres" {
  name                            = "postgres"
  resource_group_name             = var.resource_group
  virtual_network_name            = azurerm_virtual_network.this.name
  address_prefixes                = [cidrsubnet(var.cidr, 8, 16)]
  default_outbound_access_enabled = false

  delegation {
    name = "postgres"

    service_delegation {
      name    = "Microsoft.DBforPostgreSQL/flexibleServers"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

resource "azurerm_subnet" "endpoints" {
  name                              = "private-endpoints"
  resource_group_name               = var.resource_group
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [cidrsubnet(var.cidr, 8, 17)]
  private_endpoint_network_policies = "Enabled"
  default_outbound_access_enabled   = false
}

resource "azurerm_network_security_group" "nodes" {
  name                = "${var.prefix}-nodes"
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags

  security_rule {
    name                       = "https-from-anywhere"
    description                = "The public door: the gateway's load balancer keeps the caller's address"
    priority                   = 100
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_address_prefix      = "Internet"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "443"
  }
}

resource "azurerm_network_security_group" "stores" {
  name                = "${var.prefix}-stores"
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags

  security_rule {
    name                       = "from-nodes"
    priority                   = 100
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_address_prefix      = azurerm_subnet.nodes.address_prefixes[0]
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_ranges    = ["443", "5432", "9093", "10000"]
  }

  security_rule {
    name                       = "nobody-else"
    priority                   = 4096
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_address_prefix      = "*"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "*"
  }
}

resource "azurerm_subnet_network_security_group_association" "this" {
  for_each = {
    nodes     = { subnet = azurerm_subnet.nodes.id, group = azurerm_network_security_group.nodes.id }
    postgres  = { subnet = azurerm_subnet.postgres.id, group = azurerm_network_security_group.stores.id }
    endpoints = { subnet = azurerm_subnet.endpoints.id, group = azurerm_network_security_group.stores.id }
  }

  subnet_id                 = each.value.subnet
  network_security_group_id = each.value.group
}

resource "azurerm_public_ip" "nat" {
  name                = "${var.prefix}-nat"
  location            = var.location
  resource_group_name = var.resource_group
  allocation_method   = "Static"
  sku                 = "Standard"
  tags                = var.tags
}

resource "azurerm_nat_gateway" "this" {
  name                    = var.prefix
  location                = var.location
  resource_group_name     = var.resource_group
  sku_name                = "Standard"
  idle_timeout_in_minutes = 10
  tags                    = var.tags
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  nat_gateway_id       = azurerm_nat_gateway.this.id
  public_ip_address_id = azurerm_public_ip.nat.id
}

resource "azurerm_subnet_nat_gateway_association" "nodes" {
  subnet_id      = azurerm_subnet.nodes.id
  nat_gateway_id = azurerm_nat_gateway.this.id
}

resource "azurerm_private_dns_zone" "this" {
  for_each = local.private_zones

  name                = each.value
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each = local.private_zones

  name                  = each.key
  resource_group_name   = var.resource_group
  private_dns_zone_name = azurerm_private_dns_zone.this[each.key].name
  virtual_network_id    = azurerm_virtual_network.this.id
  tags                  = var.tags
}

# Who talked to whom, kept with the other logs.
resource "azurerm_network_watcher" "this" {
  name                = var.prefix
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_network_watcher_flow_log" "this" {
  name                 = var.prefix
  network_watcher_name = azurerm_network_watcher.this.name
  resource_group_name  = var.resource_group
  target_resource_id   = azurerm_virtual_network.this.id
  storage_account_id   = var.flow_log_storage_id
  enabled              = true
  version              = 2
  tags                 = var.tags

  retention_policy {
    enabled = true
    days    = var.log_days
  }
}
