variable "prefix" {
  description = "Name of the repository."
  type        = string
}

variable "key_arn" {
  description = "KMS key for the images."
  type        = string
}

variable "recovery_region" {
  description = "Region that images are copied to; null copies none."
  type        = string
}
