output "backend_hcl" {
  description = "For environments/*/backend.hcl."
  value       = <<-HCL
    bucket = "${google_storage_bucket.state.name}"
    prefix = "cloud"
  HCL
}

output "gitops_hcl" {
  description = "For environments/*/gitops/backend.hcl."
  value       = <<-HCL
    bucket = "${google_storage_bucket.state.name}"
    prefix = "gitops"
  HCL
}

output "ci_identity" {
  description = "What CI signs in as."
  value       = google_service_account.ci.email
}
