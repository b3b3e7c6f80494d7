variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "services" {
  description = "Services to switch on."
  type        = set(string)
}

