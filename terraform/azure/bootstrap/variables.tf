variable "environment" {
  description = "Which environment this is: staging or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be \"staging\" or \"production\"."
  }
}

variable "repository" {
  description = "Repository whose CI may plan and push images, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be owner/name, without a wildcard: a wildcard would let in strangers."
  }
}

variable "subscription_id" {
  description = "Subscription of this environment."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a UUID in lower case."
  }
}

variable "suffix" {
  description = "Four to six letters or digits that make the account's name unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{4,6}$", var.suffix))
    error_message = "suffix must be four to six lower-case letters or digits; choose them once and never change them."
  }
}

variable "region" {
  description = "Region of the states."
  type        = string
}

variable "operator_addresses" {
  description = "Public addresses or ranges that Terraform is run from; the storage account refuses all others."
  type        = set(string)

  validation {
    condition     = length(var.operator_addresses) > 0
    error_message = "operator_addresses must name at least one address, or Terraform locks itself out."
  }
}
