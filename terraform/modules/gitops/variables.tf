variable "environment" {
  description = "Which environment this is: staging or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be \"staging\" or \"production\"."
  }
}

variable "cloud" {
  description = "Which cloud the cluster is on: aws, gcp or azure."
  type        = string

  validation {
    condition     = contains(["aws", "gcp", "azure"], var.cloud)
    error_message = "cloud must be aws, gcp or azure."
  }
}

variable "domain" {
  description = "DNS zone of this environment."
  type        = string
}

variable "high_availability" {
  description = "Several replicas of Dapr's and Argo CD's control planes."
  type        = bool
}

variable "repository_url" {
  description = "Git repository that Argo CD follows."
  type        = string

  validation {
    condition     = can(regex("^(https://[^@]+|git@[^:]+:.+|ssh://.+)\\.git$", var.repository_url))
    error_message = "repository_url must be an https or ssh URL that ends in .git, without a password in it."
  }
}

variable "target_revision" {
  description = "Branch or tag that Argo CD follows."
  type        = string

  validation {
    condition     = length(var.target_revision) > 0 && var.target_revision != "HEAD"
    error_message = "target_revision must name a branch or tag; HEAD follows whatever the server's default branch becomes."
  }
}

variable "dapr_version" {
  description = "Version of Dapr and of its chart, which are the same."
  type        = string
  default     = "1.18.1"

  validation {
    condition     = can(regex("^1\\.(1[89]|[2-9][0-9])\\.[0-9]+$", var.dapr_version))
    error_message = "dapr_version must be an exact version from 1.18 on, the one Tidemark's contract tests ran against."
  }
}

variable "argocd_chart_version" {
  description = "Version of Argo CD's community chart."
  type        = string
  default     = "9.1.0"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.argocd_chart_version))
    error_message = "argocd_chart_version must be an exact version: a range would change the cluster without a commit."
  }
}

variable "rollouts_chart_version" {
  description = "Version of Argo Rollouts' community chart, which brings the version that the charts are checked against."
  type        = string
  default     = "2.40.4"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.rollouts_chart_version))
    error_message = "rollouts_chart_version must be an exact version: a range would change the cluster without a commit."
  }
}
