# The inputs that only Google Cloud needs; inputs.tf has the shared ones.

variable "project" {
  description = "Project of this environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be the id of a project: 6 to 30 lower-case letters, digits or hyphens."
  }
}

variable "billing_account" {
  description = "Billing account that the budget is set on."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account must look like 01ABCD-2345EF-6789AB."
  }
}

variable "administrators" {
  description = "Who administers the cluster: IAM members such as group:name@domain."
  type        = set(string)

  validation {
    condition     = length(var.administrators) > 0 && alltrue([for member in var.administrators : can(regex("^(group|user|serviceAccount):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "administrators must name at least one group:, user: or serviceAccount:. allUsers and whole domains are refused."
  }
}

variable "schema_folder" {
  description = "Folder with the events' Avro schemas, which Pub/Sub's registry gets a copy of."
  type        = string
}
