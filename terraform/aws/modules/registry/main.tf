# One repository: Tidemark is one image. Tags cannot be moved, so a digest in Git stays what it was.

resource "aws_ecr_repository" "tidemark" {
  name                 = var.prefix
  image_tag_mutability = "IMMUTABLE"
  force_delete         = false

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key_arn
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "tidemark" {
  repository = aws_ecr_repository.tidemark.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Untagged layers go after a week"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Keep the last hundred images, far more than any roll-back needs"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 100 }
        action       = { type = "expire" }
      },
    ]
  })
}

data "aws_caller_identity" "current" {}

resource "aws_ecr_replication_configuration" "recovery" {
  count = var.recovery_region == null ? 0 : 1

  replication_configuration {
    rule {
      destination {
        region      = var.recovery_region
        registry_id = data.aws_caller_identity.current.account_id
      }

      repository_filter {
        filter      = var.prefix
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}
