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

variable "zones" {
  description = "Availability zones of the address."
  type        = set(string)
}

variable "domain" {
  description = "DNS zone."
  type        = string
}

