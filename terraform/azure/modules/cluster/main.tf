# AKS with Cilium, Entra ID for people and workload identity for pods; no local account, no key on a node.

resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${var.prefix}-cluster"
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags
}

# What the nodes themselves sign in as: pulling images is all it may do.
resource "azurerm_user_assigned_identity" "kubelet" {
  name                = "${var.prefix}-kubelet"
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_role_assignment" "cluster" {
  for_each = {
    kubelet = { scope = azurerm_user_assigned_identity.kubelet.id, role = "Managed Identity Operator" }
    network = { scope = var.subnet_id, role = "Network Contributor" }
    key     = { scope = var.vault_id, role = "Key Vault Crypto User" }
  }

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

resource "azurerm_disk_encryption_set" "nodes" {
  name                      = "${var.prefix}-nodes"
  location                  = var.location
  resource_group_name       = var.resource_group
  key_vault_key_id          = var.disk_key.id
  auto_key_rotation_enabled = true
  encryption_type           = "EncryptionAtRestWithPlatformAndCustomerKeys"
  tags                      = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.disk_key.identity_id]
  }
}

resource "azurerm_kubernetes_cluster" "this" {
  name                      = var.prefix
  location                  = var.location
  resource_group_name       = var.resource_group
  dns_prefix                = var.prefix
  kubernetes_version        = var.kubernetes_version
  sku_tier                  = var.high_availability ? "Standard" : "Free"
  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"
  disk_encryption_set_id    = azurerm_disk_encryption_set.nodes.id
  tags                      = var.tags

  local_account_disabled            = true
  role_based_access_control_enabled = true
  oidc_issuer_enabled               = true
  workload_identity_enabled         = true
  azure_policy_enabled              = true
  image_cleaner_enabled             = true
  image_cleaner_interval_hours      = 168
  run_command_enabled               = false

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled     = true
    admin_group_object_ids = var.administrators
  }

  api_server_access_profile {
    authorized_ip_ranges = var.api_cidrs
  }

  default_node_pool {
    name                        = "system"
    vm_size                     = var.nodes.type
    vnet_subnet_id              = var.subnet_id
    zones                       = var.zones
    auto_scaling_enabled        = true
    min_count                   = var.nodes.minimum
    max_count                   = var.nodes.maximum
    max_pods                    = 60
    os_sku                      = "AzureLinux"
    os_disk_size_gb             = 64
    host_encryption_enabled     = true
    node_public_ip_enabled      = false
    temporary_name_for_rotation = "rotation"
    tags                        = var.tags

    upgrade_settings {
      max_surge = "33%"
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.kubelet.client_id
    object_id                 = azurerm_user_assigned_identity.kubelet.principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.kubelet.id
  }

  key_management_service {
    key_vault_key_id         = var.secret_key_id
    key_vault_network_access = "Public"
  }

  key_vault_secrets_provider {
    secret_rotation_enabled = true
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
    outbound_type       = "userAssignedNATGateway"
    load_balancer_sku   = "standard"
    pod_cidr            = "100.64.0.0/16"
    service_cidr        = "100.65.0.0/16"
    dns_service_ip      = "100.65.0.10"
  }

  oms_agent {
    log_analytics_workspace_id      = var.workspace_id
    msi_auth_for_monitoring_enabled = true
  }

  microsoft_defender {
    log_analytics_workspace_id = var.workspace_id
  }

  monitor_metrics {}

  maintenance_window_auto_upgrade {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Sunday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  maintenance_window_node_os {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Saturday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  # The autoscaler owns the number of nodes between minimum and maximum.
  lifecycle {
    ignore_changes = [default_node_pool[0].node_count]
  }

  depends_on = [azurerm_role_assignment.cluster]
}

resource "azurerm_management_lock" "cluster" {
  count = var.deletion_protection ? 1 : 0

  name       = "keep"
  scope      = azurerm_kubernetes_cluster.this.id
  lock_level = "CanNotDelete"
  notes      = "Production: see docs/cloud/tear-down.md"
}

resource "azurerm_role_assignment" "administrator" {
  for_each = var.administrators

  scope                = azurerm_kubernetes_cluster.this.id
  role_definition_name = "Azure Kubernetes Service RBAC Cluster Admin"
  principal_id         = each.value
}
