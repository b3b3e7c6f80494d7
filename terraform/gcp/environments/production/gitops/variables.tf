variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "location" {
  description = "Region of the cluster, or its zone where it is zonal; output cluster.location of the stack."
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
