variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "region" {
  description = "Region of the network."
  type        = string
}

variable "cidr" {
  description = "Private address range."
  type        = string
}

