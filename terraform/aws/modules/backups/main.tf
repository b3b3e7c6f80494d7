# A bucket whose objects nobody can delete or overwrite before their time, and its copy in the recovery
# region. History dumps, Kafka topic backups and configuration archives go here; RDS and ElastiCache keep
# their own snapshots. A third bucket holds access logs, because a bucket must not log into itself.

data "aws_caller_identity" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id

  buckets = {
    backups  = { region = var.region, key_arn = var.key_arns.backups, name = "${var.prefix}-backups-${local.account}" }
    recovery = { region = var.recovery_region, key_arn = var.key_arns.recovery, name = "${var.prefix}-recovery-${local.account}" }
  }
}

resource "aws_s3_bucket" "locked" {
  for_each = local.buckets

  region              = each.value.region
  bucket              = each.value.name
  object_lock_enabled = true
  force_destroy       = false
}

resource "aws_s3_bucket_versioning" "locked" {
  for_each = local.buckets

  region = each.value.region
  bucket = aws_s3_bucket.locked[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

# In compliance mode not even the root user can shorten the time; production only, for it cannot be undone.
resource "aws_s3_bucket_object_lock_configuration" "locked" {
  for_each = local.buckets

  region = each.value.region
  bucket = aws_s3_bucket.locked[each.key].id

  rule {
    default_retention {
      mode = var.compliance_lock ? "COMPLIANCE" : "GOVERNANCE"
      days = var.backup_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.locked]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "locked" {
  for_each = local.buckets

  region = each.value.region
  bucket = aws_s3_bucket.locked[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = each.value.key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "locked" {
  for_each = local.buckets

  region                  = each.value.region
  bucket                  = aws_s3_bucket.locked[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "locked" {
  for_each = local.buckets

  region = each.value.region
  bucket = aws_s3_bucket.locked[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "locked" {
  for_each = local.buckets

  region = each.value.region
  bucket = aws_s3_bucket.locked[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyOverTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.locked[each.key].arn, "${aws_s3_bucket.locked[each.key].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.locked]
}

resource "aws_s3_bucket_lifecycle_configuration" "locked" {
  for_each = local.buckets

  region = each.value.region
  bucket = aws_s3_bucket.locked[each.key].id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.backup_days + 1
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  depends_on = [aws_s3_bucket_versioning.locked]
}

resource "aws_iam_role" "replication" {
  name = "${var.prefix}-backup-replication"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "replication" {
  name = "copy-backups"
  role = aws_iam_role.replication.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = aws_s3_bucket.locked["backups"].arn
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"]
        Resource = "${aws_s3_bucket.locked["backups"].arn}/*"
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateTags"]
        Resource = "${aws_s3_bucket.locked["recovery"].arn}/*"
      },
      {
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = var.key_arns.backups
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Encrypt", "kms:GenerateDataKey"]
        Resource = var.key_arns.recovery
      },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "backups" {
  region = var.region
  bucket = aws_s3_bucket.locked["backups"].id
  role   = aws_iam_role.replication.arn

  rule {
    id     = "to-recovery-region"
    status = "Enabled"

    filter {}

    delete_marker_replication {
      status = "Disabled"
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    destination {
      bucket        = aws_s3_bucket.locked["recovery"].arn
      storage_class = "STANDARD_IA"

      encryption_configuration {
        replica_kms_key_id = var.key_arns.recovery
      }

      # Copies within 15 minutes, with a metric that the alarm on late copies watches.
      replication_time {
        status = "Enabled"

        time {
          minutes = 15
        }
      }

      metrics {
        status = "Enabled"

        event_threshold {
          minutes = 15
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.locked]
}

resource "aws_s3_bucket_logging" "backups" {
  region        = var.region
  bucket        = aws_s3_bucket.locked["backups"].id
  target_bucket = aws_s3_bucket.access_logs.id
  target_prefix = "s3/backups/"
}

resource "aws_s3_bucket" "access_logs" {
  region        = var.region
  bucket        = "${var.prefix}-access-logs-${local.account}"
  force_destroy = false
}

resource "aws_s3_bucket_versioning" "access_logs" {
  region = var.region
  bucket = aws_s3_bucket.access_logs.id

  versioning_configuration {
    status = "Enabled"
  }
}

# Load balancers can write access logs only to buckets with S3's own key.
resource "aws_s3_bucket_server_side_encryption_configuration" "access_logs" {
  region = var.region
  bucket = aws_s3_bucket.access_logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "access_logs" {
  region                  = var.region
  bucket                  = aws_s3_bucket.access_logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "access_logs" {
  region = var.region
  bucket = aws_s3_bucket.access_logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "access_logs" {
  region = var.region
  bucket = aws_s3_bucket.access_logs.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

resource "aws_s3_bucket_policy" "access_logs" {
  region = var.region
  bucket = aws_s3_bucket.access_logs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.access_logs.arn, "${aws_s3_bucket.access_logs.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "LoadBalancerWrites"
        Effect    = "Allow"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.access_logs.arn}/load-balancer/*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        Sid       = "S3Writes"
        Effect    = "Allow"
        Principal = { Service = "logging.s3.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.access_logs.arn}/s3/*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.access_logs]
}
