variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "location" {
  description = "Region."
  type        = string
}

variable "resource_group" {
  description = "Resource group."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}

variable "namespace" {
  description = "Kubernetes namespace of Tidemark."
  type        = string
}

variable "workspace_id" {
  description = "Log Analytics workspace."
  type        = string
}

variable "scopes" {
  description = "Resources to watch."
  type        = object({ cluster = string, eventhub = string, postgres = string, redis = string, vault = string })
}

variable "alert_emails" {
  description = "Addresses that alerts go to."
  type        = set(string)
}

