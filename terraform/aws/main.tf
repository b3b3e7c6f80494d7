# Tidemark on AWS: the network, the cluster and the stores around it. What runs inside the cluster is not
# here; it comes from Git through Argo CD (environments/*/gitops).

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_availability_zones" "recovery" {
  region = var.recovery_region
  state  = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_caller_identity" "current" {}

locals {
  prefix = "${var.name}-${var.environment}"
  labels = merge(var.labels, { application = var.name, environment = var.environment, managed-by = "terraform" })
}

module "product" {
  source = "../modules/product"
}

module "keys" {
  source = "./modules/keys"

  prefix          = local.prefix
  region          = var.region
  recovery_region = var.recovery_region
}

module "network" {
  source = "./modules/network"

  prefix       = local.prefix
  region       = var.region
  cidr         = var.network_cidr
  zones        = slice(sort(data.aws_availability_zones.available.names), 0, 3)
  nat_per_zone = var.high_availability
  log_key_arn  = module.keys.arns.logs
  log_days     = var.retention.log_days
}

module "recovery_network" {
  source = "./modules/network"
  count  = var.high_availability ? 1 : 0

  prefix       = "${local.prefix}-recovery"
  region       = var.recovery_region
  cidr         = var.network_cidr
  zones        = slice(sort(data.aws_availability_zones.recovery.names), 0, 3)
  internet     = false
  nat_per_zone = false
  log_key_arn  = module.keys.arns.recovery
  log_days     = var.retention.log_days
}

module "cluster" {
  source = "./modules/cluster"

  prefix              = local.prefix
  kubernetes_version  = var.kubernetes_version
  subnet_ids          = module.network.subnet_ids.private
  api_cidrs           = var.kubernetes_api_cidrs
  administrators      = var.administrators
  nodes               = var.sizes.nodes
  deletion_protection = var.deletion_protection
  secret_key_arn      = module.keys.arns.secrets
  volume_key_arn      = module.keys.arns.data
  log_key_arn         = module.keys.arns.logs
  log_days            = var.retention.log_days
  labels              = local.labels
}

module "data" {
  source = "./modules/data"

  name                      = var.name
  prefix                    = local.prefix
  region                    = var.region
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.subnet_ids.data
  cluster_security_group_id = module.cluster.security_group_id
  key_arns                  = module.keys.arns
  sizes                     = var.sizes
  kafka_version             = var.kafka_version
  high_availability         = var.high_availability
  deletion_protection       = var.deletion_protection
  retention                 = var.retention
  log_days                  = var.retention.log_days

  recovery = {
    region     = var.recovery_region
    vpc_id     = join("", module.recovery_network[*].vpc_id)
    subnet_ids = flatten([for network in module.recovery_network : network.subnet_ids.data])
  }
}

module "registry" {
  source = "./modules/registry"

  prefix          = local.prefix
  key_arn         = module.keys.arns.data
  recovery_region = var.high_availability ? var.recovery_region : null
}

module "backups" {
  source = "./modules/backups"

  prefix          = local.prefix
  region          = var.region
  recovery_region = var.recovery_region
  key_arns        = module.keys.arns
  backup_days     = var.retention.backup_days
  log_days        = var.retention.log_days
  compliance_lock = var.deletion_protection
}

module "edge" {
  source = "./modules/edge"

  prefix                    = local.prefix
  domain                    = var.domain
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.subnet_ids.public
  cluster_security_group_id = module.cluster.security_group_id
  access_log_bucket         = module.backups.access_log_bucket
  deletion_protection       = var.deletion_protection
  log_key_arn               = module.keys.arns.logs
  log_days                  = var.retention.log_days
}

module "identity" {
  source = "./modules/identity"

  prefix                   = local.prefix
  namespace                = "tidemark-${var.environment}"
  cluster_name             = module.cluster.name
  cluster_arn              = module.cluster.arn
  roles                    = module.product.roles
  topics                   = concat(module.product.events, module.product.dead_letters, [module.product.probe])
  kafka_arn                = module.data.kafka_arn
  database_user_arn        = "${local.database_users}/tidemark_history"
  database_backup_user_arn = "${local.database_users}/tidemark_backup"
  secret_arns              = module.data.secret_arns
  secret_key_arn           = module.keys.arns.secrets
  backup_bucket_arn        = module.backups.bucket_arn
  backup_key_arn           = module.keys.arns.backups
  target_group_arn         = module.edge.target_group_arn
  zone_arn                 = module.edge.zone_arn
}

locals {
  database_users = "arn:aws:rds-db:${var.region}:${data.aws_caller_identity.current.account_id}:dbuser:${module.data.postgres_resource_id}"
}

module "monitoring" {
  source = "./modules/monitoring"

  prefix          = local.prefix
  environment     = var.environment
  region          = var.region
  account_id      = data.aws_caller_identity.current.account_id
  cluster_name    = module.cluster.name
  stores          = module.data.names
  ledger          = module.product.ledger
  load_balancer   = module.edge.load_balancer
  target_group    = module.edge.target_group
  certificate_arn = module.edge.certificate_arn
  backup_bucket   = module.backups.bucket
  recovery_bucket = module.backups.recovery_bucket
  alert_emails    = var.alert_emails
  log_key_arn     = module.keys.arns.logs
  log_days        = var.retention.log_days
}

module "governance" {
  source = "./modules/governance"

  prefix             = local.prefix
  environment        = var.environment
  alert_topic_arn    = module.monitoring.alert_topic_arn
  alert_emails       = var.alert_emails
  monthly_budget_usd = var.monthly_budget_usd
}
