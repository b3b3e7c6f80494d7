# The inputs that only Azure needs; inputs.tf has the shared ones.

variable "suffix" {
  description = "Four to six letters or digits that make the names of vaults, accounts and registry unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{4,6}$", var.suffix))
    error_message = "suffix must be four to six lower-case letters or digits; choose them once and never change them."
  }
}

variable "administrators" {
  description = "Who administers cluster and database: object ids of Entra groups."
  type        = set(string)

  validation {
    condition     = length(var.administrators) > 0 && alltrue([for id in var.administrators : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))])
    error_message = "administrators must name at least one Entra group by its object id (a UUID in lower case): local accounts are off."
  }
}
