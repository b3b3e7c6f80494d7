variable "account_id" {
  description = "The AWS account of this environment; Terraform refuses to work in any other."
  type        = string
}

variable "region" {
  description = "Region of the cluster."
  type        = string
}

variable "domain" {
  description = "DNS zone of this environment."
  type        = string
}

variable "repository_url" {
  description = "Git repository that Argo CD follows."
  type        = string
}

variable "target_revision" {
  description = "Branch or tag that Argo CD follows."
  type        = string
}
