# A bucket whose objects nobody can delete before their time, its copy in the recovery region, a bucket for
# the exports of the state, and backups of what runs in the cluster.

locals {
  buckets = {
    backups  = { location = var.region, key = var.key_ids.backups }
    recovery = { location = var.recovery_region, key = var.key_ids.recovery }
  }
}

resource "google_storage_bucket" "locked" {
  for_each = local.buckets

  project                     = var.project
  name                        = "${var.prefix}-${each.key}-${var.project_number}"
  location                    = upper(each.value.location)
  storage_class               = "NEARLINE"
  force_destroy               = false
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  encryption {
    default_kms_key_name = each.value.key
  }

  # A locked period can be lengthened, never shortened; production only, for it cannot be undone.
  retention_policy {
    retention_period = var.backup_days * 24 * 60 * 60
    is_locked        = var.lock
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age = var.backup_days + 1
    }
  }

  logging {
    log_bucket = google_storage_bucket.access_logs.name
  }
}

resource "google_storage_bucket" "access_logs" {
  project                     = var.project
  name                        = "${var.prefix}-access-logs-${var.project_number}"
  location                    = upper(var.region)
  force_destroy               = false
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  encryption {
    default_kms_key_name = var.key_ids.backups
  }

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age = var.log_days
    }
  }
}

# Each export of the state is a new version of one object.
resource "google_storage_bucket" "snapshots" {
  project                     = var.project
  name                        = "${var.prefix}-snapshots-${var.project_number}"
  location                    = upper(var.recovery_region)
  force_destroy               = false
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  encryption {
    default_kms_key_name = var.key_ids.recovery
  }

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = 7
    }
  }

  logging {
    log_bucket = google_storage_bucket.access_logs.name
  }
}

resource "google_storage_transfer_job" "copy" {
  project     = var.project
  description = "${var.prefix}: backups to the recovery region"

  transfer_spec {
    gcs_data_source {
      bucket_name = google_storage_bucket.locked["backups"].name
    }

    gcs_data_sink {
      bucket_name = google_storage_bucket.locked["recovery"].name
    }

    transfer_options {
      overwrite_objects_already_existing_in_sink = false
      delete_objects_unique_in_sink              = false
    }
  }

  schedule {
    repeat_interval = "3600s"

    schedule_start_date {
      year  = 2026
      month = 1
      day   = 1
    }
  }

  depends_on = [google_storage_bucket_iam_member.transfer]
}

resource "google_storage_bucket_iam_member" "transfer" {
  for_each = {
    read_bucket   = { bucket = "backups", role = "roles/storage.legacyBucketReader" }
    read_objects  = { bucket = "backups", role = "roles/storage.objectViewer" }
    write_bucket  = { bucket = "recovery", role = "roles/storage.legacyBucketWriter" }
    write_objects = { bucket = "recovery", role = "roles/storage.objectCreator" }
  }

  bucket = google_storage_bucket.locked[each.value.bucket].name
  role   = each.value.role
  member = "serviceAccount:project-${var.project_number}@storage-transfer-service.iam.gserviceaccount.com"
}

resource "google_gke_backup_backup_plan" "cluster" {
  project  = var.project
  name     = var.prefix
  cluster  = var.cluster_id
  location = var.recovery_region

  backup_config {
    include_volume_data = true
    include_secrets     = true

    selected_namespaces {
      namespaces = var.namespaces
    }

    encryption_key {
      gcp_kms_encryption_key = var.key_ids.recovery
    }
  }

  backup_schedule {
    cron_schedule = "0 2 * * *"
  }

  retention_policy {
    backup_retain_days      = var.backup_days
    backup_delete_lock_days = var.lock ? var.backup_days : 0
    locked                  = var.lock
  }
}
