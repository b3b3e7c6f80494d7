# What Tidemark needs from any cloud: its roles, its topics and who may do what with them. It makes
# nothing; the three stacks read it, so a new topic is one line here and not one in each cloud.

locals {
  ledger = "todo-history-events"

  projections = [
    "group.changed",
    "task.commented",
    "task.created",
    "task.deleted",
    "task.status-changed",
    "task.updated",
    "user.registered",
  ]

  # Published to by whoever asks whether the broker takes events; nobody reads it.
  probe = "tidemark.health"

  events       = concat([local.ledger], local.projections)
  dead_letters = [for topic in local.events : "${topic}.dlq"]

  roles = {
    accounts = {
      publishes       = [local.ledger, "user.registered"]
      consumes        = []
      consumer_groups = []
      secrets         = ["kafka", "redis", "signing-keys"]
    }
    tasks = {
      publishes       = setunion(setsubtract(local.events, ["user.registered"]), [local.probe])
      consumes        = []
      consumer_groups = []
      secrets         = ["kafka", "redis"]
    }
    history = {
      publishes       = local.dead_letters
      consumes        = concat([local.ledger], local.dead_letters)
      consumer_groups = ["todo-consumer-group-go"]
      secrets         = ["kafka", "postgres", "redis"]
    }
    notifications = {
      publishes       = local.dead_letters
      consumes        = local.events
      consumer_groups = ["tidemark-notifications"]
      secrets         = ["kafka", "rabbitmq", "redis"]
    }
    # Every replica reads the ledger with a consumer group of its own, named after its pod.
    gateway = {
      publishes       = local.dead_letters
      consumes        = [local.ledger]
      consumer_groups = ["tidemark-gateway-*"]
      secrets         = ["kafka", "redis"]
    }
  }
}
