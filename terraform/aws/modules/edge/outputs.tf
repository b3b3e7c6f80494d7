output "name_servers" {
  description = "Name servers to delegate the zone to."
  value       = aws_route53_zone.this.name_servers
}

output "zone_arn" {
  description = "ARN of the zone."
  value       = aws_route53_zone.this.arn
}

output "load_balancer" {
  description = "Load balancer, as CloudWatch names it."
  value       = aws_lb.this.arn_suffix
}

output "target_group" {
  description = "Target group, as CloudWatch names it."
  value       = aws_lb_target_group.edge.arn_suffix
}

output "target_group_arn" {
  description = "Target group for the TargetGroupBinding."
  value       = aws_lb_target_group.edge.arn
}

output "certificate_arn" {
  description = "Certificate of the domain."
  value       = aws_acm_certificate.this.arn
}
