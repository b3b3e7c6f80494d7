variable "prefix" {
  description = "Name of the budget."
  type        = string
}

variable "project_number" {
  description = "Number of the project."
  type        = string
}

variable "billing_account" {
  description = "Billing account."
  type        = string
}

variable "monthly_budget_usd" {
  description = "Planned spending a month in US dollars."
  type        = number
}

variable "channels" {
  description = "Notification channels for warnings."
  type        = list(string)
}

