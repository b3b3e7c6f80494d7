variable "name" {
  description = "Start of the secrets' names."
  type        = string
}

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

variable "tenant_id" {
  description = "Tenant."
  type        = string
}

variable "administrators" {
  description = "Object ids of the Entra groups that administer the database."
  type        = set(string)
}

variable "database_user" {
  description = "Entra identity that history signs in as."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the stores."
  type        = object({ postgres = string, endpoints = string })
}

variable "private_zone_ids" {
  description = "Private DNS zones."
  type        = map(string)
}

variable "keys" {
  description = "Keys by purpose: data, recovery."
  type        = map(object({ id = string, identity_id = string }))
}

variable "vault_id" {
  description = "Vault of the application's secrets."
  type        = string
}

variable "kafka" {
  description = "Where Event Hubs is, and its connection string."
  type        = object({ brokers = string, password = string })
  sensitive   = true
}

variable "sizes" {
  description = "Machine types and volumes."
  type        = object({ postgres = object({ type = string, storage_gib = number }), redis = object({ type = string }) })
}

variable "high_availability" {
  description = "Spread over zones and copy backups to the recovery region."
  type        = bool
}

variable "deletion_protection" {
  description = "Refuse to delete."
  type        = bool
}

variable "retention" {
  description = "Days that automatic backups reach back."
  type        = object({ point_in_time_days = number })
}

