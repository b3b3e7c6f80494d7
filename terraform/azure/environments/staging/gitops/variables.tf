variable "subscription_id" {
  description = "Subscription of this environment."
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
