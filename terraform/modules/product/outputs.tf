output "dead_letters" {
  description = "Topics that hold what could not be handled, one beside each event topic."
  value       = local.dead_letters
}

output "event_partitions" {
  description = "Partitions of an event topic; the order per key depends on the number staying as it is."
  value       = 6
}

output "event_retention_days" {
  description = "Days that an event stays in its topic."
  value       = 7
}

output "dead_letter_retention_days" {
  description = "Days that a dead letter stays in its topic."
  value       = 30
}

output "events" {
  description = "The ledger and its seven projections."
  value       = local.events
}

output "ledger" {
  description = "The topic that holds every change."
  value       = local.ledger
}

output "probe" {
  description = "The topic that is only published to, to see that the broker takes events."
  value       = local.probe
}

output "roles" {
  description = "For each role: topics it writes, topics it reads, its consumer groups and the secrets it may read."
  value       = local.roles
}
