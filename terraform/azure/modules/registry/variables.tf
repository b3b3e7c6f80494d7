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
  description = "What makes the name unique in the world."
  type        = string
}

variable "recovery_location" {
  description = "Region that images are copied to."
  type        = string
}

variable "high_availability" {
  description = "Spread over zones and copy to the recovery region."
  type        = bool
}

variable "key" {
  description = "Key of the images, and the identity that may use it."
  type        = object({ id = string, identity_id = string, client_id = string })
}

variable "kubelet_principal_id" {
  description = "Identity that pulls."
  type        = string
}

variable "endpoint_subnet_id" {
  description = "Subnet of private endpoints."
  type        = string
}

variable "private_zone_id" {
  description = "Private DNS zone of the registry."
  type        = string
}

