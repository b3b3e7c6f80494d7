# What goes into the production cluster. The cluster itself is another state, one folder up.

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]
}

data "aws_eks_cluster" "this" {
  name = "tidemark-production"
}

provider "helm" {
  kubernetes = {
    host                   = data.aws_eks_cluster.this.endpoint
    cluster_ca_certificate = base64decode(data.aws_eks_cluster.this.certificate_authority[0].data)

    exec = {
      api_version = "client.authentication.k8s.io/v1beta1"
      command     = "aws"
      args        = ["eks", "get-token", "--region", var.region, "--cluster-name", data.aws_eks_cluster.this.name]
    }
  }
}

module "gitops" {
  source = "../../../../modules/gitops"

  environment       = "production"
  cloud             = "aws"
  domain            = var.domain
  high_availability = true
  repository_url    = var.repository_url
  target_revision   = var.target_revision
}
