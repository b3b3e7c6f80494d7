variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "location" {
  description = "Region."
  type        = string
}

variable "resource_group" {
  description = "Resource group."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}

variable "zones" {
  description = "Availability zones of the nodes."
  type        = set(string)
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes."
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
  description = "Object ids of the Entra groups that administer the cluster."
  type        = set(string)
}

variable "nodes" {
  description = "Machine type and the limits of the node pool."
  type        = object({ type = string, minimum = number, maximum = number })
}

variable "high_availability" {
  description = "Pay for the control plane's availability promise."
  type        = bool
}

variable "deletion_protection" {
  description = "Refuse to delete the cluster."
  type        = bool
}

variable "vault_id" {
  description = "Vault of the key for Kubernetes Secrets."
  type        = string
}

variable "secret_key_id" {
  description = "Key that encrypts Kubernetes Secrets."
  type        = string
}

variable "disk_key" {
  description = "Key for disks, and the identity that may use it."
  type        = object({ id = string, identity_id = string })
}

variable "workspace_id" {
  description = "Log Analytics workspace."
  type        = string
}

