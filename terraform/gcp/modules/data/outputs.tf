output "endpoints" {
  description = "Where each store is reached from inside the network."
  value = {
    postgres = google_sql_database_instance.postgres.private_ip_address
    redis    = "${google_redis_instance.redis.host}:${google_redis_instance.redis.port}"
    rabbitmq = "rabbitmq:5672"
  }
}

output "names" {
  description = "Names by which monitoring finds the stores."
  value = {
    postgres = google_sql_database_instance.postgres.name
    redis    = google_redis_instance.redis.id
  }
}

output "secrets" {
  description = "Each secret by its short name: its id, and the group that rights are given by."
  value       = { for name, secret in google_secret_manager_secret.this : name => { id = secret.id, group = local.secrets[name].group } }
}

output "secret_names" {
  description = "Name of each secret by its short name."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}
