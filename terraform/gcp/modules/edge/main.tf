# DNS, the certificate, the address and the firewall of the load balancer. The load balancer itself is made
# by GKE from the Gateway in the charts, which names the address, the certificate map and the policy.

resource "google_dns_managed_zone" "this" {
  project     = var.project
  name        = var.prefix
  dns_name    = "${var.domain}."
  description = "Delegated from the parent zone by its name servers"

  dnssec_config {
    state = "on"

    default_key_specs {
      algorithm  = "ecdsap256sha256"
      key_type   = "keySigning"
      key_length = 256
    }

    default_key_specs {
      algorithm  = "ecdsap256sha256"
      key_type   = "zoneSigning"
      key_length = 256
    }
  }

  cloud_logging_config {
    enable_logging = true
  }
}

resource "google_compute_global_address" "this" {
  project = var.project
  name    = var.prefix
}

resource "google_dns_record_set" "apex" {
  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = "${var.domain}."
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.this.address]
}

resource "google_certificate_manager_dns_authorization" "this" {
  project = var.project
  name    = var.prefix
  domain  = var.domain
}

resource "google_dns_record_set" "certificate" {
  project      = var.project
  managed_zone = google_dns_managed_zone.this.name
  name         = google_certificate_manager_dns_authorization.this.dns_resource_record[0].name
  type         = google_certificate_manager_dns_authorization.this.dns_resource_record[0].type
  ttl          = 300
  rrdatas      = [google_certificate_manager_dns_authorization.this.dns_resource_record[0].data]
}

resource "google_certificate_manager_certificate" "this" {
  project = var.project
  name    = var.prefix

  managed {
    domains            = [var.domain, "*.${var.domain}"]
    dns_authorizations = [google_certificate_manager_dns_authorization.this.id]
  }
}

resource "google_certificate_manager_certificate_map" "this" {
  project = var.project
  name    = var.prefix
}

resource "google_certificate_manager_certificate_map_entry" "this" {
  project      = var.project
  name         = var.prefix
  map          = google_certificate_manager_certificate_map.this.name
  certificates = [google_certificate_manager_certificate.this.id]
  matcher      = "PRIMARY"
}

resource "google_compute_ssl_policy" "this" {
  project         = var.project
  name            = var.prefix
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

# The application limits calls by user and address itself; this stops floods and known attacks before it.
resource "google_compute_security_policy" "this" {
  project = var.project
  name    = var.prefix
  type    = "CLOUD_ARMOR"

  rule {
    action      = "deny(403)"
    priority    = 100
    description = "Known attacks on Java logging, in case it ever comes in behind this door"

    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary')"
      }
    }
  }

  rule {
    action      = "throttle"
    priority    = 1000
    description = "Floods"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"

      rate_limit_threshold {
        count        = 6000
        interval_sec = 60
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Everybody else"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}
