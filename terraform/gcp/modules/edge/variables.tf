variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "domain" {
  description = "DNS zone."
  type        = string
}

