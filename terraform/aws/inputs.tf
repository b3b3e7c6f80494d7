# The inputs that all clouds share. This file is the same in aws/, gcp/ and azure/; `make tf-check`
# compares them. What only one cloud needs is in variables.tf.

variable "name" {
  description = "Short name that starts every resource's name."
  type        = string
  default     = "tidemark"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,10}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 12 lower-case letters, digits or hyphens and start with a letter: some clouds limit a resource's name to 24 characters."
  }
}

variable "environment" {
  description = "Which environment this is: staging or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be \"staging\" or \"production\"."
  }
}

variable "region" {
  description = "Region that everything runs in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]+$", var.region))
    error_message = "region must be the cloud's own short name of a region, in lower case."
  }
}

variable "recovery_region" {
  description = "Region that holds replicas and copies of backups."
  type        = string

  validation {
    condition     = var.recovery_region != var.region
    error_message = "recovery_region must be another region than region: a copy beside its original is lost with it."
  }
}

variable "domain" {
  description = "DNS zone that this environment is reached under, such as staging.tidemark.example."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain must be a DNS name in lower case, without a dot at its end."
  }
}

variable "network_cidr" {
  description = "Private address range of the network, from /16 to /20."
  type        = string

  validation {
    condition     = can(cidrhost(var.network_cidr, 0)) && can(regex("^(10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.)", var.network_cidr)) && can(regex("/(1[6-9]|20)$", var.network_cidr))
    error_message = "network_cidr must be a private IPv4 range (RFC 1918) between /16 and /20."
  }
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes, such as 1.34."
  type        = string

  validation {
    condition     = can(regex("^1\\.(3[2-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be a minor version from 1.32 on, such as 1.34, without a patch number."
  }
}

variable "kubernetes_api_cidrs" {
  description = "Public address ranges that may reach the Kubernetes API, in CIDR notation."
  type        = set(string)

  validation {
    condition     = length(var.kubernetes_api_cidrs) > 0 && alltrue([for range in var.kubernetes_api_cidrs : can(cidrhost(range, 0))])
    error_message = "kubernetes_api_cidrs must name at least one range in CIDR notation, such as 203.0.113.7/32."
  }

  validation {
    condition     = alltrue([for range in var.kubernetes_api_cidrs : !can(regex("/[0-7]$", range))])
    error_message = "kubernetes_api_cidrs must not open the Kubernetes API to the world: no range may be wider than /8."
  }
}

variable "alert_emails" {
  description = "Addresses that alerts and budget warnings go to."
  type        = set(string)

  validation {
    condition     = length(var.alert_emails) > 0 && alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alert_emails must hold at least one e-mail address: an alert that reaches nobody is none."
  }
}

variable "monthly_budget_usd" {
  description = "Planned spending a month in US dollars; warnings go out at 80 % and when the forecast exceeds it."
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be above zero."
  }
}

variable "high_availability" {
  description = "Spread data stores over zones and keep replicas in the recovery region."
  type        = bool

  validation {
    condition     = var.environment != "production" || var.high_availability
    error_message = "high_availability must be on in production: the loss of a zone must not stop it."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete data stores and the cluster."
  type        = bool

  validation {
    condition     = var.environment != "production" || var.deletion_protection
    error_message = "deletion_protection must be on in production. To tear production down, follow docs/cloud/tear-down.md."
  }
}

variable "retention" {
  description = "Days that things are kept: logs, locked backups, and the window for point-in-time recovery."
  type = object({
    backup_days        = number
    log_days           = number
    point_in_time_days = number
  })

  validation {
    condition     = var.retention.point_in_time_days >= 7 && var.retention.point_in_time_days <= 35
    error_message = "retention.point_in_time_days must be from 7 to 35, which all three clouds offer."
  }

  validation {
    condition     = var.retention.backup_days >= 7 && (var.environment != "production" || var.retention.backup_days >= 30)
    error_message = "retention.backup_days must be at least 7, and at least 30 in production."
  }

  validation {
    condition     = contains([30, 60, 90, 180, 365], var.retention.log_days)
    error_message = "retention.log_days must be 30, 60, 90, 180 or 365, which all three clouds offer."
  }
}

variable "sizes" {
  description = "Machine types and volumes. A type is the cloud's own name; the numbers mean the same everywhere."
  type = object({
    nodes    = object({ type = string, minimum = number, maximum = number })
    postgres = object({ type = string, storage_gib = number })
    redis    = object({ type = string })
    kafka    = object({ type = string, storage_gib = number })
    rabbitmq = object({ type = string })
  })

  validation {
    condition     = var.sizes.nodes.minimum >= 1 && var.sizes.nodes.minimum <= var.sizes.nodes.maximum
    error_message = "sizes.nodes: minimum must be at least 1 and not above maximum."
  }

  validation {
    condition     = var.environment != "production" || var.sizes.nodes.minimum >= 3
    error_message = "sizes.nodes.minimum must be at least 3 in production, one node a zone."
  }

  validation {
    condition     = var.sizes.postgres.storage_gib >= 32 && var.sizes.kafka.storage_gib >= 32
    error_message = "sizes: storage_gib must be at least 32 for postgres and kafka."
  }
}

variable "labels" {
  description = "More tags (labels) for every resource; application, environment and managed-by are set already."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels must be lower-case letters, digits, hyphens and underscores, which all three clouds accept."
  }

  validation {
    condition     = length(setintersection(keys(var.labels), ["application", "environment", "managed-by"])) == 0
    error_message = "labels must not replace application, environment or managed-by: budgets and clean-up rely on them."
  }
}
