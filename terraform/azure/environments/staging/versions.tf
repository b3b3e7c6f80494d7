terraform {
  required_version = ">= 1.11"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  # The rest comes from backend.hcl, which the bootstrap prints. The blob's lease is the lock.
  backend "azurerm" {
    use_azuread_auth = true
  }
}
