# What goes into the staging cluster. The cluster itself is another state, one folder up.

provider "azurerm" {
  subscription_id = var.subscription_id

  features {}
}

data "azurerm_kubernetes_cluster" "this" {
  name                = "tidemark-stag"
  resource_group_name = "tidemark-stag"
}

provider "helm" {
  kubernetes = {
    host                   = data.azurerm_kubernetes_cluster.this.kube_config[0].host
    cluster_ca_certificate = base64decode(data.azurerm_kubernetes_cluster.this.kube_config[0].cluster_ca_certificate)

    # The id is Azure's own application for Kubernetes, the same in every tenant.
    exec = {
      api_version = "client.authentication.k8s.io/v1beta1"
      command     = "kubelogin"
      args        = ["get-token", "--login", "azurecli", "--server-id", "6dae42f8-4368-4678-94ff-3960e28e3630"]
    }
  }
}

module "gitops" {
  source = "../../../../modules/gitops"

  environment       = "staging"
  cloud             = "azure"
  domain            = var.domain
  high_availability = false
  repository_url    = var.repository_url
  target_revision   = var.target_revision
}
