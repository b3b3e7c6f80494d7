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

variable "project" {
  description = "Project of this environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be the id of a project: 6 to 30 lower-case letters, digits or hyphens."
  }
}

variable "region" {
  description = "Region of the states."
  type        = string
}
