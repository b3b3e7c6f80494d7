# Pub/Sub, the other way: the same topics without a broker to pay for by the hour. docs/cloud/messaging.md
# says what Tidemark loses with it. Idle topics cost nothing, so they are always there.

resource "google_pubsub_topic" "this" {
  for_each = local.topics

  project      = var.project
  name         = each.key
  kms_key_name = var.key_id

  message_retention_duration = "${each.value.days * 24 * 60 * 60}s"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

# A registry copy for readers. It is not bound to the topic: Tidemark's payload starts with the five bytes
# of the registry's wire format, which the topic's own validation would refuse.
resource "google_pubsub_schema" "this" {
  for_each = { for topic in var.events : topic => "${var.schema_folder}/${topic}.v1.avsc" if fileexists("${var.schema_folder}/${topic}.v1.avsc") }

  project    = var.project
  name       = each.key
  type       = "AVRO"
  definition = file(each.value)
}

locals {
  # Dapr names a subscription after the consumer and the topic. The gateway's are made by its sidecars.
  subscriptions = merge([
    for name, role in var.roles : {
      for pair in setproduct(role.consumer_groups, role.consumes) : "${pair[0]}-${pair[1]}" => { role = name, topic = pair[1] }
      if !endswith(pair[0], "*")
    }
  ]...)

  publishers = merge([
    for name, role in var.roles : { for topic in role.publishes : "${name}-${topic}" => { role = name, topic = topic } }
  ]...)

  # Replicas that each want every event: their subscriptions come and go with them.
  replicated = { for name, role in var.roles : name => role if anytrue([for group in role.consumer_groups : endswith(group, "*")]) }

  replicated_topics = merge([
    for name, role in local.replicated : { for topic in role.consumes : "${name}-${topic}" => { role = name, topic = topic } }
  ]...)
}

resource "google_pubsub_subscription" "this" {
  for_each = local.subscriptions

  project                      = var.project
  name                         = each.key
  topic                        = google_pubsub_topic.this[each.value.topic].id
  enable_message_ordering      = true
  enable_exactly_once_delivery = false
  ack_deadline_seconds         = 60
  message_retention_duration   = "${var.event_days * 24 * 60 * 60}s"

  # An idle consumer must find its place again: never expire.
  expiration_policy {
    ttl = ""
  }

  # A net below the application's own dead-lettering, which handles what cannot be decoded at once.
  dynamic "dead_letter_policy" {
    for_each = contains(var.events, each.value.topic) ? [google_pubsub_topic.this["${each.value.topic}.dlq"].id] : []

    content {
      dead_letter_topic     = dead_letter_policy.value
      max_delivery_attempts = 100
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }
}

# Keeps dead letters until somebody lists and replays them.
resource "google_pubsub_subscription" "dead_letters" {
  for_each = toset(var.dead_letters)

  project                    = var.project
  name                       = "kept-${each.key}"
  topic                      = google_pubsub_topic.this[each.key].id
  message_retention_duration = "${var.dead_letter_days * 24 * 60 * 60}s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.publishers

  project = var.project
  topic   = google_pubsub_topic.this[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = var.members[each.value.role]
}

resource "google_pubsub_subscription_iam_member" "subscriber" {
  for_each = local.subscriptions

  project      = var.project
  subscription = google_pubsub_subscription.this[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = var.members[each.value.role]
}

# Pub/Sub itself forwards to the dead-letter topics.
resource "google_pubsub_topic_iam_member" "forwarder" {
  for_each = toset(var.dead_letters)

  project = var.project
  topic   = google_pubsub_topic.this[each.key].name
  role    = "roles/pubsub.publisher"
  member  = var.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "forwarder" {
  for_each = local.subscriptions

  project      = var.project
  subscription = google_pubsub_subscription.this[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = var.pubsub_agent
}

resource "google_project_iam_custom_role" "replica" {
  project     = var.project
  role_id     = replace("${var.prefix}_replica", "-", "_")
  title       = "Make and read a replica's own subscriptions"
  permissions = ["pubsub.subscriptions.consume", "pubsub.subscriptions.create", "pubsub.subscriptions.delete", "pubsub.subscriptions.get"]
}

resource "google_project_iam_member" "replica" {
  for_each = local.replicated

  project = var.project
  role    = google_project_iam_custom_role.replica.id
  member  = var.members[each.key]
}

resource "google_pubsub_topic_iam_member" "replica" {
  for_each = local.replicated_topics

  project = var.project
  topic   = google_pubsub_topic.this[each.value.topic].name
  role    = "roles/pubsub.subscriber"
  member  = var.members[each.value.role]
}
