variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "environment" {
  description = "Environment, the tag that the budget filters by."
  type        = string
}

variable "alert_topic_arn" {
  description = "SNS topic for findings."
  type        = string
}

variable "alert_emails" {
  description = "Addresses for budget warnings."
  type        = set(string)
}

variable "monthly_budget_usd" {
  description = "Planned spending a month in US dollars."
  type        = number
}
