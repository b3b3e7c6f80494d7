# What the project would answer. Only values with a meaning are set; the rest is made up by Terraform.

mock_data "google_project" {
  defaults = {
    number = "123456789012"
  }
}

mock_data "google_compute_zones" {
  defaults = {
    names = ["zone-a", "zone-b", "zone-c", "zone-d"]
  }
}

mock_resource "google_kms_crypto_key" {
  defaults = {
    id = "projects/mocked/locations/mocked/keyRings/mocked/cryptoKeys/mocked"
  }
}

mock_resource "google_service_account" {
  defaults = {
    member = "serviceAccount:mocked@mocked.iam.gserviceaccount.com"
  }
}

mock_resource "google_redis_instance" {
  defaults = {
    server_ca_certs = [{
      cert             = "mocked"
      create_time      = "mocked"
      expire_time      = "mocked"
      serial_number    = "mocked"
      sha1_fingerprint = "mocked"
    }]
  }
}

mock_resource "google_certificate_manager_dns_authorization" {
  defaults = {
    dns_resource_record = [{
      data = "mocked"
      name = "mocked"
      type = "CNAME"
    }]
  }
}
