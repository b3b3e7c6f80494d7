terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.1"
    }
  }

  # A state of its own beside the cloud's, in the same bucket: its backend.hcl comes from the bootstrap.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
