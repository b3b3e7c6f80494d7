variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "prefix" {
  description = "Name of the cluster and start of every name."
  type        = string
}

variable "location" {
  description = "Region, or zone for a zonal cluster."
  type        = string
}

variable "zones" {
  description = "Zones of the nodes."
  type        = list(string)
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes."
  type        = string
}

variable "network_id" {
  description = "Network."
  type        = string
}

variable "subnet_id" {
  description = "Subnet of the nodes."
  type        = string
}

variable "api_cidrs" {
  description = "Public ranges that may reach the Kubernetes API."
  type        = set(string)
}

variable "administrators" {
  description = "IAM members that administer the cluster."
  type        = set(string)
}

variable "nodes" {
  description = "Machine type and the limits of the node pool."
  type        = object({ type = string, minimum = number, maximum = number })
}

variable "deletion_protection" {
  description = "Refuse to delete the cluster."
  type        = bool
}

variable "secret_key_id" {
  description = "Key that encrypts Kubernetes Secrets."
  type        = string
}

variable "volume_key_id" {
  description = "Key for the nodes' disks."
  type        = string
}

variable "labels" {
  description = "Labels of the nodes."
  type        = map(string)
}

