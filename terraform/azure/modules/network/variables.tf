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

variable "cidr" {
  description = "Private address range."
  type        = string
}

variable "flow_log_storage_id" {
  description = "Storage account for flow logs."
  type        = string
}

variable "log_days" {
  description = "Days that flow logs are kept."
  type        = number
}

