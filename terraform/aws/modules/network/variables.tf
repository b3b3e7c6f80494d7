variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "region" {
  description = "Region of the network."
  type        = string
}

variable "cidr" {
  description = "Private address range."
  type        = string
}

variable "zones" {
  description = "Availability zones to spread over."
  type        = list(string)
}

variable "internet" {
  description = "Make public and private subnets too; without it there is only the data tier."
  type        = bool
  default     = true
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone, so that a lost zone cuts off only itself."
  type        = bool
}

variable "log_key_arn" {
  description = "KMS key for the flow logs, in the network's region."
  type        = string
}

variable "log_days" {
  description = "Days that flow logs are kept."
  type        = number
}
