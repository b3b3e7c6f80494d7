output "id" {
  description = "The project, once its services are on."
  value       = var.project

  depends_on = [google_project_service.this]
}
