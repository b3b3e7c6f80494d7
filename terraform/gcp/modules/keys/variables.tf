variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "project_number" {
  description = "Its number, which the service agents are named after."
  type        = string
}

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

