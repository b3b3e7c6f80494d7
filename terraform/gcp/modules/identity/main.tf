# One service account for each of Tidemark's roles and each controller that calls Google's APIs, bound to a
# Kubernetes service account by Workload Identity. A role may read its own secrets; its rights on topics are
# in module messaging.

locals {
  product = { for name, role in var.roles : name => { namespace = var.namespace, service_account = "tidemark-${name}" } }

  operators = {
    backup       = { namespace = var.namespace, service_account = "tidemark-backup" }
    cert-manager = { namespace = "cert-manager", service_account = "cert-manager-google-cas-issuer" }
    external-dns = { namespace = "external-dns", service_account = "external-dns" }
  }

  identities = merge(local.product, local.operators)

  secret_rights = merge([
    for name, role in var.roles : {
      for secret, detail in var.secrets : "${name}-${secret}" => { role = name, secret = secret } if contains(role.secrets, detail.group)
    }
  ]...)
}

resource "google_service_account" "this" {
  for_each = local.identities

  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = "Pods of ${each.value.namespace}/${each.value.service_account}"
}

resource "google_service_account_iam_member" "pods" {
  for_each = local.identities

  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${each.value.namespace}/${each.value.service_account}]"
}

resource "google_secret_manager_secret_iam_member" "this" {
  for_each = local.secret_rights

  project   = var.project
  secret_id = var.secrets[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this[each.value.role].member
}

resource "google_storage_bucket_iam_member" "backup" {
  for_each = toset(["roles/storage.objectCreator", "roles/storage.objectViewer"])

  bucket = var.backup_bucket
  role   = each.key
  member = google_service_account.this["backup"].member
}

resource "google_privateca_ca_pool_iam_member" "cert_manager" {
  ca_pool = var.client_ca_pool
  role    = "roles/privateca.certificateRequester"
  member  = google_service_account.this["cert-manager"].member
}

resource "google_dns_managed_zone_iam_member" "external_dns" {
  project      = var.project
  managed_zone = var.dns_zone
  role         = "roles/dns.admin"
  member       = google_service_account.this["external-dns"].member
}
