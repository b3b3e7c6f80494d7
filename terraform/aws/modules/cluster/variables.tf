variable "prefix" {
  description = "Name of the cluster and start of every name."
  type        = string
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets for the nodes."
  type        = list(string)
}

variable "api_cidrs" {
  description = "Public ranges that may reach the Kubernetes API."
  type        = set(string)
}

variable "administrators" {
  description = "IAM principals that administer the cluster."
  type        = set(string)
}

variable "nodes" {
  description = "Instance type and the limits of the node group."
  type        = object({ type = string, minimum = number, maximum = number })
}

variable "deletion_protection" {
  description = "Refuse to delete the cluster."
  type        = bool
}

variable "secret_key_arn" {
  description = "KMS key that encrypts Kubernetes Secrets."
  type        = string
}

variable "volume_key_arn" {
  description = "KMS key for the nodes' disks and the pods' volumes."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key for the control plane's logs."
  type        = string
}

variable "log_days" {
  description = "Days that the control plane's logs are kept."
  type        = number
}

variable "labels" {
  description = "Tags for nodes and their disks."
  type        = map(string)
}
