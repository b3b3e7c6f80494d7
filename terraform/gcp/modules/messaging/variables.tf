variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "region" {
  description = "Region of topics and brokers."
  type        = string
}

variable "subnet_id" {
  description = "Subnet that brokers are reached from."
  type        = string
}

variable "key_id" {
  description = "Key for topics and brokers."
  type        = string
}

variable "kafka_secret_id" {
  description = "Secret that tells where the brokers are."
  type        = string
}

variable "kafka_vcpus" {
  description = "vCPUs of the Kafka cluster; each brings 4 GiB of memory."
  type        = string
}

variable "events" {
  description = "Event topics."
  type        = list(string)
}

variable "dead_letters" {
  description = "Dead-letter topics."
  type        = list(string)
}

variable "probe" {
  description = "Topic that is only published to, to see that the broker takes events."
  type        = string
}

variable "partitions" {
  description = "Partitions of an event topic."
  type        = number
}

variable "event_days" {
  description = "Days that events are kept."
  type        = number
}

variable "dead_letter_days" {
  description = "Days that dead letters are kept."
  type        = number
}

variable "schema_folder" {
  description = "Folder with one Avro schema a topic, named topic.v1.avsc."
  type        = string
}

variable "roles" {
  description = "Tidemark's roles with their topics and consumer groups."
  type        = map(object({ publishes = list(string), consumes = list(string), consumer_groups = list(string) }))
}

variable "members" {
  description = "IAM member of each role."
  type        = map(string)
}

variable "pubsub_agent" {
  description = "Service agent of Pub/Sub, as an IAM member."
  type        = string
}

variable "deletion_protection" {
  description = "Refuse to delete the certificate authority."
  type        = bool
}

