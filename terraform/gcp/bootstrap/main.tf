# Run once a project, before anything else: the bucket that holds the states of its environment, and the
# identity that CI takes. Its own state stays in a file with whoever runs it; everything can be imported.

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = { application = "tidemark", environment = var.environment, managed-by = "terraform" }
}

data "google_project" "this" {
  project_id = var.project
}

resource "google_project_service" "this" {
  for_each = toset(["cloudkms.googleapis.com", "cloudresourcemanager.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com", "serviceusage.googleapis.com", "storage.googleapis.com", "sts.googleapis.com"])

  project            = var.project
  service            = each.key
  disable_on_destroy = false
}

resource "google_kms_key_ring" "state" {
  project  = var.project
  name     = "tidemark-${var.environment}-state"
  location = var.region

  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "state" {
  name            = "state"
  key_ring        = google_kms_key_ring.state.id
  rotation_period = "7776000s"

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "storage" {
  crypto_key_id = google_kms_crypto_key.state.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${data.google_project.this.number}@gs-project-accounts.iam.gserviceaccount.com"
}

resource "google_storage_bucket" "state" {
  project                     = var.project
  name                        = "tidemark-${var.environment}-state-${data.google_project.this.number}"
  location                    = upper(var.region)
  force_destroy               = false
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  encryption {
    default_kms_key_name = google_kms_crypto_key_iam_member.storage.crypto_key_id
  }

  # The way back from a broken state.
  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = 365
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

# CI proves by its own token which repository and environment it is; no key is stored anywhere.
resource "google_iam_workload_identity_pool" "ci" {
  project                   = var.project
  workload_identity_pool_id = "ci"

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "ci" {
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_condition                = "assertion.sub == \"repo:${var.repository}:environment:${var.environment}\""
  attribute_mapping                  = { "google.subject" = "assertion.sub" }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account" "ci" {
  project      = var.project
  account_id   = "tidemark-ci"
  display_name = "CI of ${var.repository}"

  depends_on = [google_project_service.this]
}

resource "google_service_account_iam_member" "ci" {
  service_account_id = google_service_account.ci.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.ci.name}/subject/repo:${var.repository}:environment:${var.environment}"
}

# CI plans and pushes images. Applying is for a person, or for an account of your own making.
resource "google_project_iam_member" "ci" {
  for_each = toset(["roles/artifactregistry.writer", "roles/viewer"])

  project = var.project
  role    = each.key
  member  = google_service_account.ci.member
}

resource "google_storage_bucket_iam_member" "ci" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.ci.member
}
