output "url" {
  description = "Where images are pushed to and pulled from."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.tidemark.repository_id}/tidemark"
}
