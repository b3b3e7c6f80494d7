variable "subscription_id" {
  description = "Subscription of this environment."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a UUID in lower case."
  }
}

variable "suffix" {
  description = "Four to six letters or digits that make names unique in the world."
  type        = string
}

variable "region" {
  description = "Region that everything runs in."
  type        = string
}

variable "recovery_region" {
  description = "Region that holds replicas and copies of backups."
  type        = string
}

variable "domain" {
  description = "DNS zone that this environment is reached under."
  type        = string
}

variable "kubernetes_api_cidrs" {
  description = "Public address ranges that may reach the Kubernetes API."
  type        = set(string)
}

variable "administrators" {
  description = "Who administers cluster and database: object ids of Entra groups."
  type        = set(string)
}

variable "alert_emails" {
  description = "Addresses that alerts and budget warnings go to."
  type        = set(string)
}

variable "monthly_budget_usd" {
  description = "Planned spending a month in US dollars."
  type        = number
}

variable "labels" {
  description = "More tags for every resource."
  type        = map(string)
  default     = {}
}
