# The inputs that only AWS needs; inputs.tf has the shared ones.

variable "administrators" {
  description = "Who administers the cluster: ARNs of IAM roles or users."
  type        = set(string)

  validation {
    condition     = length(var.administrators) > 0 && alltrue([for principal in var.administrators : can(regex("^arn:aws:iam::[0-9]{12}:(role|user)/.+$", principal))])
    error_message = "administrators must name at least one IAM role or user by its ARN: the cluster's maker gets no rights of its own."
  }
}

variable "kafka_version" {
  description = "Version of Kafka, as MSK names it; KRaft mode only."
  type        = string
  default     = "4.0.x.kraft"

  validation {
    condition     = can(regex("^([4-9]|3\\.[7-9])\\..*kraft$", var.kafka_version))
    error_message = "kafka_version must be a KRaft version of MSK, such as 4.0.x.kraft."
  }

  validation {
    condition     = startswith(var.kafka_version, "3.") || !startswith(var.sizes.kafka.type, "kafka.t3.")
    error_message = "kafka_version: MSK refuses t3 brokers for Kafka 4; the smallest are kafka.m7g.large and kafka.m5.large."
  }
}
