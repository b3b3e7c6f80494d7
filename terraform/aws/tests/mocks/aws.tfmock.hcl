# What the account would answer. Only values with a meaning are set; the rest is made up by Terraform.

mock_data "aws_availability_zones" {
  defaults = {
    names = ["zone-a", "zone-b", "zone-c", "zone-d"]
  }
}

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "111122223333"
    arn        = "arn:aws:iam::111122223333:role/deployer"
  }
}

mock_data "aws_partition" {
  defaults = {
    partition = "aws"
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn = "arn:aws:kms:region:111122223333:key/mocked"
  }
}

mock_resource "aws_msk_cluster" {
  defaults = {
    arn = "arn:aws:kafka:region:111122223333:cluster/tidemark/mocked"
  }
}

mock_resource "aws_acm_certificate" {
  defaults = {
    arn = "arn:aws:acm:region:111122223333:certificate/mocked"
    domain_validation_options = [{
      domain_name           = "mocked"
      resource_record_name  = "mocked"
      resource_record_type  = "CNAME"
      resource_record_value = "mocked"
    }]
  }
}

mock_resource "aws_eks_cluster" {
  defaults = {
    arn = "arn:aws:eks:region:111122223333:cluster/tidemark"
    vpc_config = {
      cluster_security_group_id = "sg-mocked"
      vpc_id                    = "vpc-mocked"
    }
  }
}

mock_resource "aws_mq_broker" {
  defaults = {
    instances = [{
      console_url = "https://mocked"
      endpoints   = ["amqps://mocked:5671"]
      ip_address  = "10.0.0.1"
    }]
  }
}
