output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "Subnets of each tier: public, private, data."
  value = {
    for tier in ["public", "private", "data"] : tier => [
      for key, subnet in local.subnets : aws_subnet.this[key].id if subnet.tier == tier
    ]
  }
}

output "nat_addresses" {
  description = "Public addresses that the cluster's calls to the internet come from."
  value       = [for address in aws_eip.nat : address.public_ip]
}
