terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.1"
    }
  }

  # A state of its own beside the cloud's, in the same bucket: its backend.hcl comes from the bootstrap.
  backend "gcs" {}
}
