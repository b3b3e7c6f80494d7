variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "prefix" {
  description = "Name of the repository."
  type        = string
}

variable "region" {
  description = "Region of the repository."
  type        = string
}

variable "key_id" {
  description = "Key for the images."
  type        = string
}

variable "reader" {
  description = "IAM member that pulls: the nodes."
  type        = string
}

