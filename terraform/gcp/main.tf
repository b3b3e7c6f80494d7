# Tidemark on Google Cloud: the network, the cluster and the stores around it. What runs inside the cluster
# is not here; it comes from Git through Argo CD (environments/*/gitops).

data "google_project" "this" {
  project_id = var.project
}

data "google_compute_zones" "available" {
  project = var.project
  region  = var.region
  status  = "UP"
}

locals {
  prefix    = "${var.name}-${var.environment}"
  labels    = merge(var.labels, { application = var.name, environment = var.environment, managed-by = "terraform" })
  namespace = "tidemark-${var.environment}"
  number    = data.google_project.this.number
  zones     = slice(sort(data.google_compute_zones.available.names), 0, 3)
}

module "product" {
  source = "../modules/product"
}

module "project" {
  source = "./modules/project"

  project = var.project
  services = [
    "artifactregistry.googleapis.com",
    "billingbudgets.googleapis.com",
    "binaryauthorization.googleapis.com",
    "certificatemanager.googleapis.com",
    "cloudkms.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "container.googleapis.com",
    "containersecurity.googleapis.com",
    "dns.googleapis.com",
    "gkebackup.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "managedkafka.googleapis.com",
    "monitoring.googleapis.com",
    "privateca.googleapis.com",
    "pubsub.googleapis.com",
    "redis.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
    "storagetransfer.googleapis.com",
  ]
}

module "keys" {
  source = "./modules/keys"

  project         = module.project.id
  project_number  = local.number
  prefix          = local.prefix
  region          = var.region
  recovery_region = var.recovery_region
}

module "network" {
  source = "./modules/network"

  project = module.project.id
  prefix  = local.prefix
  region  = var.region
  cidr    = var.network_cidr
}

module "cluster" {
  source = "./modules/cluster"

  project             = module.project.id
  prefix              = local.prefix
  location            = var.high_availability ? var.region : local.zones[0]
  zones               = var.high_availability ? local.zones : slice(local.zones, 0, 1)
  kubernetes_version  = var.kubernetes_version
  network_id          = module.network.id
  subnet_id           = module.network.subnet_id
  api_cidrs           = var.kubernetes_api_cidrs
  administrators      = var.administrators
  nodes               = var.sizes.nodes
  deletion_protection = var.deletion_protection
  secret_key_id       = module.keys.ids.secrets
  volume_key_id       = module.keys.ids.data
  labels              = local.labels
}

module "backups" {
  source = "./modules/backups"

  project         = module.project.id
  project_number  = local.number
  prefix          = local.prefix
  region          = var.region
  recovery_region = var.recovery_region
  cluster_id      = module.cluster.id
  namespaces      = [local.namespace, "argocd", "monitoring"]
  key_ids         = module.keys.ids
  backup_days     = var.retention.backup_days
  log_days        = var.retention.log_days
  lock            = var.deletion_protection
}

module "data" {
  source = "./modules/data"

  name                = var.name
  project             = module.project.id
  prefix              = local.prefix
  region              = var.region
  recovery_region     = var.recovery_region
  network_id          = module.network.id
  key_ids             = module.keys.ids
  snapshot_bucket     = module.backups.snapshot_bucket
  sizes               = var.sizes
  high_availability   = var.high_availability
  deletion_protection = var.deletion_protection
  retention           = var.retention
}

module "messaging" {
  source = "./modules/messaging"

  project             = module.project.id
  prefix              = local.prefix
  region              = var.region
  subnet_id           = module.network.subnet_id
  key_id              = module.keys.ids.data
  kafka_secret_id     = module.data.secrets["kafka-brokers"].id
  kafka_vcpus         = var.sizes.kafka.type
  events              = module.product.events
  dead_letters        = module.product.dead_letters
  probe               = module.product.probe
  partitions          = module.product.event_partitions
  event_days          = module.product.event_retention_days
  dead_letter_days    = module.product.dead_letter_retention_days
  schema_folder       = var.schema_folder
  roles               = module.product.roles
  members             = module.identity.members
  pubsub_agent        = "serviceAccount:service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  deletion_protection = var.deletion_protection
}

module "registry" {
  source = "./modules/registry"

  project = module.project.id
  prefix  = local.prefix
  region  = var.region
  key_id  = module.keys.ids.data
  reader  = module.cluster.node_account
}

module "edge" {
  source = "./modules/edge"

  project = module.project.id
  prefix  = local.prefix
  domain  = var.domain
}

module "identity" {
  source = "./modules/identity"

  name           = var.name
  project        = module.project.id
  namespace      = local.namespace
  roles          = module.product.roles
  secrets        = module.data.secrets
  backup_bucket  = module.backups.bucket
  client_ca_pool = module.messaging.client_ca_pool
  dns_zone       = module.edge.zone

  # The pool of identities exists only once there is a cluster that uses it.
  depends_on = [module.cluster]
}

module "monitoring" {
  source = "./modules/monitoring"

  project      = module.project.id
  prefix       = local.prefix
  namespace    = local.namespace
  region       = var.region
  domain       = var.domain
  alert_emails = var.alert_emails
  log_days     = var.retention.log_days
}

module "governance" {
  source = "./modules/governance"

  prefix             = local.prefix
  project_number     = local.number
  billing_account    = var.billing_account
  monthly_budget_usd = var.monthly_budget_usd
  channels           = module.monitoring.channels
}
