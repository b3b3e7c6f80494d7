variable "name" {
  description = "Start of the secrets' names."
  type        = string
}

variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "prefix" {
  description = "Start of every other name."
  type        = string
}

variable "region" {
  description = "Region of the stores."
  type        = string
}

variable "recovery_region" {
  description = "Region of replicas and copies."
  type        = string
}

variable "network_id" {
  description = "Network that the stores are reached from."
  type        = string
}

variable "key_ids" {
  description = "Keys by purpose: data, secrets, recovery."
  type        = map(string)
}

variable "snapshot_bucket" {
  description = "Bucket in the recovery region for exports of the state."
  type        = string
}

variable "sizes" {
  description = "Machine types and volumes."
  type        = object({ postgres = object({ type = string, storage_gib = number }), redis = object({ type = string }) })
}

variable "high_availability" {
  description = "Spread over zones and replicate to the recovery region."
  type        = bool
}

variable "deletion_protection" {
  description = "Refuse to delete."
  type        = bool
}

variable "retention" {
  description = "Days that automatic backups reach back."
  type        = object({ point_in_time_days = number })
}

