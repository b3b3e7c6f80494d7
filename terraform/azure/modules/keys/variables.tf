variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "suffix" {
  description = "What makes the vaults' names unique in the world."
  type        = string
}

variable "location" {
  description = "Region."
  type        = string
}

variable "recovery_location" {
  description = "Region of the second vault."
  type        = string
}

variable "resource_group" {
  description = "Resource group."
  type        = string
}

variable "tenant_id" {
  description = "Tenant."
  type        = string
}

variable "operator_object_id" {
  description = "Object id of whoever runs Terraform."
  type        = string
}

variable "operator_cidrs" {
  description = "Addresses that Terraform is run from."
  type        = set(string)
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}

