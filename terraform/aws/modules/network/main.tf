# A VPC over three zones with three tiers: public (load balancer, NAT), private (nodes) and data
# (no route to the internet at all). The recovery region gets the same, without NAT.

locals {
  # A /16 gives /20 subnets; the fourth, eighth … blocks stay free for growth.
  subnets = merge([
    for tier, offset in { public = 0, private = 4, data = 8 } : {
      for index, zone in var.zones : "${tier}-${zone}" => {
        tier = tier
        zone = zone
        cidr = cidrsubnet(var.cidr, 4, offset + index)
      } if tier == "data" || var.internet
    }
  ]...)

  public_zones = var.internet ? var.zones : []
  nat_zones    = var.internet ? (var.nat_per_zone ? var.zones : slice(var.zones, 0, 1)) : []
}

resource "aws_vpc" "this" {
  region               = var.region
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.prefix }
}

# The default group would let everything in it talk to everything else; without rules it lets nothing.
resource "aws_default_security_group" "this" {
  region  = var.region
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []
}

resource "aws_subnet" "this" {
  for_each = local.subnets

  region                  = var.region
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.value.zone
  cidr_block              = each.value.cidr
  map_public_ip_on_launch = false

  tags = merge(
    { Name = "${var.prefix}-${each.key}" },
    each.value.tier == "public" ? { "kubernetes.io/role/elb" = "1" } : {},
    each.value.tier == "private" ? { "kubernetes.io/role/internal-elb" = "1" } : {},
  )
}

resource "aws_internet_gateway" "this" {
  count = var.internet ? 1 : 0

  region = var.region
  vpc_id = aws_vpc.this.id

  tags = { Name = var.prefix }
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  region = var.region
  domain = "vpc"

  tags = { Name = "${var.prefix}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  region        = var.region
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.this["public-${each.key}"].id

  tags = { Name = "${var.prefix}-${each.key}" }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  count = var.internet ? 1 : 0

  region = var.region
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.prefix}-public" }
}

resource "aws_route" "public" {
  count = var.internet ? 1 : 0

  region                 = var.region
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table" "private" {
  for_each = toset(local.public_zones)

  region = var.region
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.prefix}-private-${each.key}" }
}

resource "aws_route" "private" {
  for_each = toset(local.public_zones)

  region                 = var.region
  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat_per_zone ? each.key : var.zones[0]].id
}

resource "aws_route_table" "data" {
  region = var.region
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.prefix}-data" }
}

resource "aws_route_table_association" "this" {
  for_each = local.subnets

  region    = var.region
  subnet_id = aws_subnet.this[each.key].id
  route_table_id = (
    each.value.tier == "public" ? aws_route_table.public[0].id :
    each.value.tier == "private" ? aws_route_table.private[each.value.zone].id :
    aws_route_table.data.id
  )
}

# Image layers and backups come from S3: by this endpoint they neither leave the network nor cost NAT.
resource "aws_vpc_endpoint" "s3" {
  region            = var.region
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat([aws_route_table.data.id], [for table in aws_route_table.private : table.id])

  tags = { Name = "${var.prefix}-s3" }
}

resource "aws_cloudwatch_log_group" "flow" {
  region            = var.region
  name              = "/${var.prefix}/network-flow"
  kms_key_id        = var.log_key_arn
  retention_in_days = var.log_days
}

resource "aws_iam_role" "flow" {
  name = "${var.prefix}-${var.region}-network-flow"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "flow" {
  name = "write-flow-logs"
  role = aws_iam_role.flow.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.flow.arn}:*"
    }]
  })
}

resource "aws_flow_log" "this" {
  region                   = var.region
  vpc_id                   = aws_vpc.this.id
  traffic_type             = "ALL"
  log_destination_type     = "cloud-watch-logs"
  log_destination          = aws_cloudwatch_log_group.flow.arn
  iam_role_arn             = aws_iam_role.flow.arn
  max_aggregation_interval = 600

  tags = { Name = var.prefix }
}
