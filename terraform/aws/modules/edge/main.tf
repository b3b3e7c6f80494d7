# What the world reaches: DNS, the certificate and the load balancer, which terminates TLS and hands over to
# the gateway's pods. The AWS Load Balancer Controller, installed by Argo CD, registers the pods with the
# target group through a TargetGroupBinding.

resource "aws_route53_zone" "this" {
  name    = var.domain
  comment = "${var.prefix}: delegated from the parent zone by its name servers"
}

resource "aws_acm_certificate" "this" {
  domain_name               = var.domain
  subject_alternative_names = ["*.${var.domain}"]
  validation_method         = "DNS"
  key_algorithm             = "EC_prime256v1"

  lifecycle {
    create_before_destroy = true
  }
}

# The apex and its wildcard are proven by the same record.
resource "aws_route53_record" "certificate" {
  zone_id         = aws_route53_zone.this.zone_id
  name            = tolist(aws_acm_certificate.this.domain_validation_options)[0].resource_record_name
  type            = tolist(aws_acm_certificate.this.domain_validation_options)[0].resource_record_type
  records         = [tolist(aws_acm_certificate.this.domain_validation_options)[0].resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "this" {
  certificate_arn         = aws_acm_certificate.this.arn
  validation_record_fqdns = [aws_route53_record.certificate.fqdn]
}

resource "aws_security_group" "balancer" {
  name        = "${var.prefix}-load-balancer"
  description = "The world by HTTPS"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.prefix}-load-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  description       = "HTTPS from anywhere: this is the public door"
  security_group_id = aws_security_group.balancer.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  description       = "HTTP from anywhere, answered by a redirect only"
  security_group_id = aws_security_group.balancer.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_egress_rule" "pods" {
  description                  = "To the gateway's pods"
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.pod_port
  to_port                      = var.pod_port
}

resource "aws_vpc_security_group_ingress_rule" "pods" {
  description                  = "The load balancer to the gateway's pods"
  security_group_id            = var.cluster_security_group_id
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = var.pod_port
  to_port                      = var.pod_port
}

resource "aws_lb" "this" {
  name                       = var.prefix
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = var.subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection

  # Live connections are quiet between events: the gateway's heartbeat is every 30 seconds.
  idle_timeout = 120

  access_logs {
    bucket  = var.access_log_bucket
    prefix  = "load-balancer"
    enabled = true
  }
}

resource "aws_lb_target_group" "edge" {
  name                 = "${var.prefix}-edge"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.pod_port
  deregistration_delay = 60

  health_check {
    path                = "/health/ready"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
  certificate_arn   = aws_acm_certificate_validation.this.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.edge.arn
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_route53_record" "apex" {
  zone_id = aws_route53_zone.this.zone_id
  name    = var.domain
  type    = "A"

  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = true
  }
}

# The application limits calls by user and address itself; this stops floods and known attacks before it.
# The rules are written as JSON, in the service's own words, because their schema nests without end.
locals {
  managed_rules = ["AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet"]

  firewall_rules = concat(
    [
      for index, name in local.managed_rules : {
        Name             = name
        Priority         = index + 1
        OverrideAction   = { None = {} }
        Statement        = { ManagedRuleGroupStatement = { VendorName = "AWS", Name = name } }
        VisibilityConfig = { CloudWatchMetricsEnabled = true, MetricName = name, SampledRequestsEnabled = true }
      }
    ],
    [{
      Name             = "Flood"
      Priority         = 10
      Action           = { Block = {} }
      Statement        = { RateBasedStatement = { AggregateKeyType = "IP", Limit = 30000 } }
      VisibilityConfig = { CloudWatchMetricsEnabled = true, MetricName = "Flood", SampledRequestsEnabled = true }
    }],
  )
}

resource "aws_wafv2_web_acl" "this" {
  name      = var.prefix
  scope     = "REGIONAL"
  rule_json = jsonencode(local.firewall_rules)

  default_action {
    allow {}
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.prefix
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  resource_arn = aws_lb.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this.arn
}

# The service demands this start of the name.
resource "aws_cloudwatch_log_group" "firewall" {
  name              = "aws-waf-logs-${var.prefix}"
  kms_key_id        = var.log_key_arn
  retention_in_days = var.log_days
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall.arn]

  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  redacted_fields {
    single_header {
      name = "cookie"
    }
  }
}
