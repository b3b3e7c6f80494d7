# The DNS zone and the public address. The load balancer is made by AKS for the gateway's Service, which names
# the address; TLS ends in the cluster, with certificates that cert-manager gets over this zone.

resource "azurerm_dns_zone" "this" {
  name                = var.domain
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_public_ip" "this" {
  name                = "${var.prefix}-edge"
  location            = var.location
  resource_group_name = var.resource_group
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = var.zones
  tags                = var.tags
}

resource "azurerm_dns_a_record" "apex" {
  name                = "@"
  zone_name           = azurerm_dns_zone.this.name
  resource_group_name = var.resource_group
  ttl                 = 300
  target_resource_id  = azurerm_public_ip.this.id
  tags                = var.tags
}

# Only this authority may issue certificates for the domain.
resource "azurerm_dns_caa_record" "apex" {
  name                = "@"
  zone_name           = azurerm_dns_zone.this.name
  resource_group_name = var.resource_group
  ttl                 = 3600
  tags                = var.tags

  record {
    flags = 0
    tag   = "issue"
    value = "letsencrypt.org"
  }
}
