variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "project_number" {
  description = "Its number, which makes the buckets' names unique."
  type        = string
}

variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "region" {
  description = "Region of the backups."
  type        = string
}

variable "recovery_region" {
  description = "Region of their copies."
  type        = string
}

variable "cluster_id" {
  description = "Cluster to back up."
  type        = string
}

variable "namespaces" {
  description = "Namespaces to back up."
  type        = list(string)
}

variable "key_ids" {
  description = "Keys by purpose: backups, recovery."
  type        = map(string)
}

variable "backup_days" {
  description = "Days that a backup is locked."
  type        = number
}

variable "log_days" {
  description = "Days that access logs are kept."
  type        = number
}

variable "lock" {
  description = "Lock the time for good."
  type        = bool
}

