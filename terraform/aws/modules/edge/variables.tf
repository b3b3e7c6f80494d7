variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "domain" {
  description = "DNS zone."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the load balancer."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets of the load balancer."
  type        = list(string)
}

variable "cluster_security_group_id" {
  description = "Security group of the pods."
  type        = string
}

variable "pod_port" {
  description = "Port of the edge proxy's pods."
  type        = number
  default     = 8080
}

variable "access_log_bucket" {
  description = "Bucket for access logs."
  type        = string
}

variable "deletion_protection" {
  description = "Refuse to delete the load balancer."
  type        = bool
}

variable "log_key_arn" {
  description = "KMS key for the firewall's logs."
  type        = string
}

variable "log_days" {
  description = "Days that the firewall's logs are kept."
  type        = number
}
