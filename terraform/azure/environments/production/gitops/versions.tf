terraform {
  required_version = ">= 1.11"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.1"
    }
  }

  # A state of its own beside the cloud's, in the same container: its backend.hcl comes from the bootstrap.
  backend "azurerm" {
    use_azuread_auth = true
  }
}
