terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  # The rest comes from backend.hcl, which the bootstrap prints. Cloud Storage locks the state by itself.
  backend "gcs" {}
}
