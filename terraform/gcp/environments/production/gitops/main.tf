# What goes into the production cluster. The cluster itself is another state, one folder up.

provider "google" {
  project = var.project
  region  = var.location
}

data "google_container_cluster" "this" {
  project  = var.project
  location = var.location
  name     = "tidemark-production"
}

provider "helm" {
  kubernetes = {
    host                   = "https://${data.google_container_cluster.this.endpoint}"
    cluster_ca_certificate = base64decode(data.google_container_cluster.this.master_auth[0].cluster_ca_certificate)

    exec = {
      api_version = "client.authentication.k8s.io/v1beta1"
      command     = "gke-gcloud-auth-plugin"
    }
  }
}

module "gitops" {
  source = "../../../../modules/gitops"

  environment       = "production"
  cloud             = "gcp"
  domain            = var.domain
  high_availability = true
  repository_url    = var.repository_url
  target_revision   = var.target_revision
}
