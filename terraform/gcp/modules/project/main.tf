# The services that the stack calls, and the audit log of who read data. Disabling a service on destroy
# would break whatever else the project holds, so they stay.

resource "google_project_service" "this" {
  for_each = toset(var.services)

  project            = var.project
  service            = each.key
  disable_on_destroy = false
}

resource "google_project_iam_audit_config" "this" {
  project = var.project
  service = "allServices"

  dynamic "audit_log_config" {
    for_each = toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])

    content {
      log_type = audit_log_config.key
    }
  }
}
