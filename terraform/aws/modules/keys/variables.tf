variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "region" {
  description = "Region of the keys."
  type        = string
}

variable "recovery_region" {
  description = "Region of the key for copies."
  type        = string
}
