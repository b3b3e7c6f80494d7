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

variable "key_arns" {
  description = "KMS keys by purpose: backups, recovery."
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

variable "compliance_lock" {
  description = "Lock so that nobody, the root user included, can delete early."
  type        = bool
}
