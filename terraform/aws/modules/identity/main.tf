# One IAM role for each of Tidemark's roles and each controller that calls AWS, bound to a Kubernetes
# service account by EKS Pod Identity. A role may write the topics it publishes, read the topics it
# consumes, and read its own secrets; nothing else.

locals {
  # Topic and group ARNs differ from the cluster's only in one word:
  # arn:aws:kafka:region:account:cluster/name/uuid → …:topic/name/uuid/topic
  kafka_topic = replace(var.kafka_arn, ":cluster/", ":topic/")
  kafka_group = replace(var.kafka_arn, ":cluster/", ":group/")

  kafka_statements = {
    for name, role in var.roles : name => concat(
      [{
        Sid      = "Connect"
        Effect   = "Allow"
        Action   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"]
        Resource = [var.kafka_arn]
      }],
      length(role.publishes) == 0 ? [] : [{
        Sid      = "Publish"
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
        Resource = [for topic in role.publishes : "${local.kafka_topic}/${topic}"]
      }],
      length(role.consumes) == 0 ? [] : [
        {
          Sid      = "Consume"
          Effect   = "Allow"
          Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"]
          Resource = [for topic in role.consumes : "${local.kafka_topic}/${topic}"]
        },
        {
          Sid      = "Commit"
          Effect   = "Allow"
          Action   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
          Resource = [for group in role.consumer_groups : "${local.kafka_group}/${group}"]
        },
      ],
    )
  }

  secret_statements = {
    for name, role in var.roles : name => [
      {
        Sid      = "ReadSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
        Resource = [for secret in role.secrets : var.secret_arns[secret]]
      },
      {
        Sid      = "DecryptSecrets"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [var.secret_key_arn]
      },
    ]
  }

  database_statements = {
    history = [{
      Sid      = "SignInToDatabase"
      Effect   = "Allow"
      Action   = ["rds-db:connect"]
      Resource = [var.database_user_arn]
    }]
  }

  product_identities = {
    for name, role in var.roles : name => {
      namespace       = var.namespace
      service_account = "tidemark-${name}"
      statements      = concat(local.kafka_statements[name], local.secret_statements[name], lookup(local.database_statements, name, []))
    }
  }

  operator_identities = {
    # Writes dumps; the object lock keeps it from deleting them.
    backup = {
      namespace       = var.namespace
      service_account = "tidemark-backup"
      statements = [
        { Sid = "WriteBackups", Effect = "Allow", Action = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], Resource = ["${var.backup_bucket_arn}/*"] },
        { Sid = "ListBackups", Effect = "Allow", Action = ["s3:ListBucket"], Resource = [var.backup_bucket_arn] },
        { Sid = "EncryptBackups", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.backup_key_arn] },
        { Sid = "SignInToDatabase", Effect = "Allow", Action = ["rds-db:connect"], Resource = [var.database_backup_user_arn] },
        { Sid = "Connect", Effect = "Allow", Action = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"], Resource = [var.kafka_arn] },
        { Sid = "ReadTopics", Effect = "Allow", Action = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"], Resource = ["${local.kafka_topic}/*"] },
        { Sid = "Commit", Effect = "Allow", Action = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"], Resource = ["${local.kafka_group}/tidemark-backup"] },
      ]
    }

    # Makes the seventeen topics once and describes them afterwards.
    topics = {
      namespace       = var.namespace
      service_account = "tidemark-topics"
      statements = [
        { Sid = "Connect", Effect = "Allow", Action = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"], Resource = [var.kafka_arn] },
        { Sid = "MakeTopics", Effect = "Allow", Action = ["kafka-cluster:AlterTopic", "kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:AlterTopicDynamicConfiguration"], Resource = [for topic in var.topics : "${local.kafka_topic}/${topic}"] },
        { Sid = "ReadSecrets", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = [var.secret_arns["kafka"]] },
        { Sid = "DecryptSecrets", Effect = "Allow", Action = ["kms:Decrypt"], Resource = [var.secret_key_arn] },
      ]
    }

    load-balancer-controller = {
      namespace       = "kube-system"
      service_account = "aws-load-balancer-controller"
      statements = [
        { Sid = "Describe", Effect = "Allow", Action = ["ec2:DescribeAvailabilityZones", "ec2:DescribeInstances", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"], Resource = ["*"] },
        { Sid = "RegisterPods", Effect = "Allow", Action = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"], Resource = [var.target_group_arn] },
      ]
    }

    cluster-autoscaler = {
      namespace       = "kube-system"
      service_account = "cluster-autoscaler"
      statements = [
        { Sid = "Describe", Effect = "Allow", Action = ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities", "autoscaling:DescribeTags", "ec2:DescribeImages", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions", "ec2:GetInstanceTypesFromInstanceRequirements", "eks:DescribeNodegroup"], Resource = ["*"] },
        { Sid = "Scale", Effect = "Allow", Action = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"], Resource = ["*"], Condition = { StringEquals = { "aws:ResourceTag/eks:cluster-name" = var.cluster_name } } },
      ]
    }

    external-dns = {
      namespace       = "external-dns"
      service_account = "external-dns"
      statements = [
        { Sid = "ListZones", Effect = "Allow", Action = ["route53:ListHostedZones", "route53:ListResourceRecordSets", "route53:ListTagsForResources"], Resource = ["*"] },
        { Sid = "ChangeRecords", Effect = "Allow", Action = ["route53:ChangeResourceRecordSets"], Resource = [var.zone_arn] },
      ]
    }
  }

  identities = merge(local.product_identities, local.operator_identities)
}

resource "aws_iam_role" "this" {
  for_each = local.identities

  name        = "${var.prefix}-${each.key}"
  description = "Pods of ${each.value.namespace}/${each.value.service_account}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:RequestTag/kubernetes-namespace"       = each.value.namespace
          "aws:RequestTag/kubernetes-service-account" = each.value.service_account
        }
        ArnEquals = { "aws:SourceArn" = var.cluster_arn }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = local.identities

  name = "permissions"
  role = aws_iam_role.this[each.key].id

  policy = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })
}

resource "aws_eks_pod_identity_association" "this" {
  for_each = local.identities

  cluster_name    = var.cluster_name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.this[each.key].arn
}
