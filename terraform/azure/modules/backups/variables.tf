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

variable "suffix" {
  description = "What makes names unique in the world."
  type        = string
}

variable "resource_group_id" {
  description = "Id of the resource group."
  type        = string
}

variable "high_availability" {
  description = "Spread copies over zones too."
  type        = bool
}

variable "key" {
  description = "Key of the backups, and the identity that may use it."
  type        = object({ id = string, identity_id = string })
}

variable "endpoint_subnet_id" {
  description = "Subnet of private endpoints."
  type        = string
}

variable "private_zone_id" {
  description = "Private DNS zone of blobs."
  type        = string
}

variable "postgres_id" {
  description = "Database server to back up."
  type        = string
}

variable "backup_days" {
  description = "Days that a backup is locked."
  type        = number
}

variable "lock" {
  description = "Lock the time for good."
  type        = bool
}

