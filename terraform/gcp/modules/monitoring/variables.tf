variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "namespace" {
  description = "Kubernetes namespace of Tidemark."
  type        = string
}

variable "region" {
  description = "Region of the audit log."
  type        = string
}

variable "domain" {
  description = "Name that the health check calls."
  type        = string
}

variable "alert_emails" {
  description = "Addresses that alerts go to."
  type        = set(string)
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
}

