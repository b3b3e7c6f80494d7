# Customer keys by purpose, and one in the recovery region. Google's services use a key through their own
# service agents, each of which gets the one key that it needs.

locals {
  agent = { for name, domain in {
    artifacts    = "gcp-sa-artifactregistry"
    compute      = "compute-system"
    container    = "container-engine-robot"
    gke_backup   = "gcp-sa-gkebackup"
    managedkafka = "gcp-sa-managedkafka"
    pubsub       = "gcp-sa-pubsub"
    redis        = "cloud-redis"
    secrets      = "gcp-sa-secretmanager"
    sql          = "gcp-sa-cloud-sql"
    storage      = "gs-project-accounts"
  } : name => "serviceAccount:service-${var.project_number}@${domain}.iam.gserviceaccount.com" }

  keys = {
    data     = { location = var.region, users = ["artifacts", "compute", "managedkafka", "pubsub", "redis", "sql"] }
    secrets  = { location = var.region, users = ["container", "secrets"] }
    backups  = { location = var.region, users = ["storage"] }
    recovery = { location = var.recovery_region, users = ["gke_backup", "secrets", "sql", "storage"] }
  }

  grants = merge([
    for purpose, key in local.keys : {
      for user in key.users : "${purpose}-${user}" => { purpose = purpose, member = local.agent[user] }
    }
  ]...)
}

resource "google_kms_key_ring" "this" {
  for_each = toset([var.region, var.recovery_region])

  project  = var.project
  name     = var.prefix
  location = each.key
}

resource "google_kms_crypto_key" "this" {
  for_each = local.keys

  name                       = each.key
  key_ring                   = google_kms_key_ring.this[each.value.location].id
  rotation_period            = "7776000s"
  destroy_scheduled_duration = "2592000s"

  # Without its key everything encrypted with it is gone, backups included.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = local.grants

  crypto_key_id = google_kms_crypto_key.this[each.value.purpose].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value.member
}
