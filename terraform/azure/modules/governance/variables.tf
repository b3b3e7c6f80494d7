variable "prefix" {
  description = "Name of the budget."
  type        = string
}

variable "resource_group_id" {
  description = "Resource group that the budget is for."
  type        = string
}

variable "alert_emails" {
  description = "Addresses for warnings."
  type        = set(string)
}

variable "monthly_budget_usd" {
  description = "Planned spending a month, in the subscription's currency."
  type        = number
}

