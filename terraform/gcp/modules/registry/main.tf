# One repository: Tidemark is one image. Tags cannot be moved, so a digest in Git stays what it was.

resource "google_artifact_registry_repository" "tidemark" {
  project       = var.project
  location      = var.region
  repository_id = var.prefix
  description   = "Images of Tidemark"
  format        = "DOCKER"
  kms_key_name  = var.key_id

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "604800s"
    }
  }

  cleanup_policies {
    id     = "last-hundred"
    action = "KEEP"

    most_recent_versions {
      keep_count = 100
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.tidemark.name
  role       = "roles/artifactregistry.reader"
  member     = var.reader
}
