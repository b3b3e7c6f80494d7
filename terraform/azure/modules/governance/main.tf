# What watches the subscription itself: threat detection and the budget.

resource "azurerm_security_center_subscription_pricing" "this" {
  for_each = toset(["Containers", "KeyVaults", "StorageAccounts"])

  resource_type = each.key
  tier          = "Standard"
  subplan       = each.key == "StorageAccounts" ? "DefenderForStorageV2" : null
}

resource "azurerm_security_center_contact" "this" {
  for_each = toset(slice(sort(var.alert_emails), 0, 1))

  name                = "default"
  email               = each.value
  alert_notifications = true
  alerts_to_admins    = true
}

resource "azurerm_consumption_budget_resource_group" "this" {
  name              = var.prefix
  resource_group_id = var.resource_group_id
  amount            = var.monthly_budget_usd
  time_grain        = "Monthly"

  time_period {
    start_date = "2026-01-01T00:00:00Z"
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 80
    threshold_type = "Actual"
    contact_emails = var.alert_emails
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 100
    threshold_type = "Forecasted"
    contact_emails = var.alert_emails
  }
}
