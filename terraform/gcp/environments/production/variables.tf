variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "billing_account" {
  description = "Billing account that the budget is set on."
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
  description = "Who administers the cluster: IAM members such as group:name@domain."
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
