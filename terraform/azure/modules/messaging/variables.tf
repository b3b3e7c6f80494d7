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

variable "recovery_location" {
  description = "Region of the second namespace; null makes none."
  type        = string
}

variable "processing_units" {
  description = "Processing units of the namespace."
  type        = number
}

variable "events" {
  description = "Event topics."
  type        = list(string)
}

variable "dead_letters" {
  description = "Dead-letter topics."
  type        = list(string)
}

variable "probe" {
  description = "Topic that is only published to, to see that the broker takes events."
  type        = string
}

variable "partitions" {
  description = "Partitions of an event topic."
  type        = number
}

variable "event_days" {
  description = "Days that events are kept."
  type        = number
}

variable "dead_letter_days" {
  description = "Days that dead letters are kept."
  type        = number
}

variable "key" {
  description = "Key of the namespace, and the identity that may use it."
  type        = object({ id = string, identity_id = string })
}

variable "recovery_key" {
  description = "The same in the recovery region."
  type        = object({ id = string, identity_id = string })
}

variable "endpoint_subnet_id" {
  description = "Subnet of private endpoints."
  type        = string
}

variable "private_zone_id" {
  description = "Private DNS zone of Event Hubs."
  type        = string
}

